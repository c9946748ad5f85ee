# Third-party libraries. The installed package is used; if there is none, a release is downloaded
# from the library's repository and built with this project. FETCHCONTENT_SOURCE_DIR_<PACKAGE> names
# a copy on disk to use instead of a download. FETCHCONTENT_TRY_FIND_PACKAGE_MODE=NEVER ignores
# installed packages.
include(FetchContent)
set(CDM_LIBTORCH_FALLBACK "${CMAKE_CURRENT_SOURCE_DIR}/.deps/libtorch/torch")  # tools/setup.sh's
include("${CMAKE_CURRENT_LIST_DIR}/LibTorch.cmake")

set(CDM_FETCHED "")  # packages that were not installed

# cdm_dependency(PACKAGE VERSION URL SHA256): finds PACKAGE, installed in VERSION or newer, or
# downloads https://github.com/URL, whose checksum must be SHA256.
macro(cdm_dependency package version url sha256)
  FetchContent_Declare(${package} SYSTEM URL "https://github.com/${url}" URL_HASH SHA256=${sha256}
    DOWNLOAD_EXTRACT_TIMESTAMP OFF FIND_PACKAGE_ARGS ${version})
  FetchContent_MakeAvailable(${package})
  string(TOLOWER ${package} _cdm_package)
  if(${_cdm_package}_SOURCE_DIR)
    list(APPEND CDM_FETCHED ${package})
  endif()
endmacro()

# Turns off tests, tools and installation of the libraries themselves.
set(BUILD_SHARED_LIBS OFF)
foreach(_cdm_off YAML_CPP_INSTALL YAML_CPP_BUILD_TOOLS YAML_CPP_FORMAT_SOURCE INSTALL_GTEST
        BENCHMARK_ENABLE_INSTALL BENCHMARK_ENABLE_TESTING
        ZLIB_BUILD_EXAMPLES PNG_SHARED PNG_TESTS PNG_TOOLS)
  set(${_cdm_off} OFF CACHE INTERNAL "")
endforeach()
set(SKIP_INSTALL_ALL ON)  # zlib, libpng

cdm_dependency(CLI11 2.1 CLIUtils/CLI11/archive/refs/tags/v2.4.2.tar.gz
  f2d893a65c3b1324c50d4e682c0cdc021dd0477ae2c048544f39eed6654b699a)
cdm_dependency(nlohmann_json 3.10 nlohmann/json/archive/refs/tags/v3.11.3.tar.gz
  0d8ef5af7f9794e3263480193c491549b2ba6cc74bb018906202ada498a79406)
cdm_dependency(spdlog 1.9 gabime/spdlog/archive/refs/tags/v1.13.0.tar.gz
  534f2ee1a4dcbeb22249856edfb2be76a1cf4f708a20b0ac2ed090ee24cfdbc9)
cdm_dependency(yaml-cpp 0.7 jbeder/yaml-cpp/archive/refs/tags/0.8.0.tar.gz
  fbe74bbdcee21d656715688706da3c8becfd946d92cd44705cc6098bb23b3a16)
set(CDM_YAML_CPP yaml-cpp)  # its name before release 0.8
if(TARGET yaml-cpp::yaml-cpp)
  set(CDM_YAML_CPP yaml-cpp::yaml-cpp)
endif()

cdm_dependency(ZLIB 1.2 madler/zlib/archive/refs/tags/v1.3.1.tar.gz
  17e88863f3600672ab49182f217281b6fc4d3c762bde361935e436a95214d05c)
if(NOT TARGET ZLIB::ZLIB)
  # zlib's own build sets no include folders and defines no ZLIB::ZLIB; libpng's build needs both.
  target_include_directories(zlibstatic INTERFACE "${zlib_SOURCE_DIR}" "${zlib_BINARY_DIR}")
  add_library(ZLIB::ZLIB ALIAS zlibstatic)
  file(WRITE "${CMAKE_FIND_PACKAGE_REDIRECTS_DIR}/ZLIBConfig.cmake"
       "set(ZLIB_LIBRARIES ZLIB::ZLIB)\n"
       "set(ZLIB_INCLUDE_DIRS \"${zlib_SOURCE_DIR}\" \"${zlib_BINARY_DIR}\")\n")
endif()
cdm_dependency(PNG 1.6 pnggroup/libpng/archive/refs/tags/v1.6.43.tar.gz
  fecc95b46cf05e8e3fc8a414750e0ba5aad00d89e9fdf175e94ff041caf1a03a)
if(NOT TARGET PNG::PNG)
  target_include_directories(png_static INTERFACE "${png_SOURCE_DIR}" "${png_BINARY_DIR}")
  add_library(PNG::PNG ALIAS png_static)
endif()

# libjpeg-turbo must be installed: its build cannot be part of another one.
find_package(libjpeg-turbo CONFIG QUIET)
if(NOT TARGET libjpeg-turbo::turbojpeg)
  message(FATAL_ERROR "libjpeg-turbo was not found: install its development package "
                      "(Debian: libturbojpeg0-dev), or set libjpeg-turbo_DIR")
endif()

# So must the libraries of the less usual picture formats.
find_package(TIFF 4.5 QUIET)
if(NOT TARGET TIFF::TIFF)
  message(FATAL_ERROR "libtiff 4.5 or newer was not found: install its development package "
                      "(Debian: libtiff-dev), or set TIFF_INCLUDE_DIR and TIFF_LIBRARY")
endif()
find_package(GIF 5.1 QUIET)
if(NOT TARGET GIF::GIF)
  message(FATAL_ERROR "giflib 5.1 or newer was not found: install its development package "
                      "(Debian: libgif-dev), or set GIF_INCLUDE_DIR and GIF_LIBRARY")
endif()
include("${CMAKE_CURRENT_LIST_DIR}/WebP.cmake")
set(CDM_PICTURE_LIBRARIES PNG::PNG libjpeg-turbo::turbojpeg WebP::webpdemux TIFF::TIFF GIF::GIF)

# Nettle must be installed: it has no CMake build.
include("${CMAKE_CURRENT_LIST_DIR}/Nettle.cmake")

# libarchive must be installed, too: Debian's can read far more than is read here, and a build of its
# own would decide by what is installed what it can.
include("${CMAKE_CURRENT_LIST_DIR}/LibArchive.cmake")

if(CDM_BUILD_TESTS)
  cdm_dependency(GTest 1.11 google/googletest/archive/refs/tags/v1.14.0.tar.gz
    8ad598c73ad796e0d8280b082cebd82a630d73e73cd3c70057938a6501bba5d7)
endif()
if(CDM_BUILD_BENCHMARKS)
  cdm_dependency(benchmark 1.6 google/benchmark/archive/refs/tags/v1.8.2.tar.gz
    2aab2980d0376137f969d92848fbb68216abb07633034534fc8c65cc4e7a0e93)
endif()
