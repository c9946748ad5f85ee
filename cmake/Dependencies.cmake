# Third-party libraries: the installed ones, or those that tools/setup.sh has built from source.
#   CDM_LIBRARIES  folder of the latter; "" if there are none
set(CDM_LIBTORCH_FALLBACK "${CMAKE_CURRENT_SOURCE_DIR}/.deps/libtorch/torch")  # tools/setup.sh's
include("${CMAKE_CURRENT_LIST_DIR}/LibTorch.cmake")

set(CDM_LIBRARIES "${CMAKE_CURRENT_SOURCE_DIR}/.deps/libraries")
if(EXISTS "${CDM_LIBRARIES}/complete")
  list(APPEND CMAKE_PREFIX_PATH "${CDM_LIBRARIES}")
else()
  set(CDM_LIBRARIES "")
endif()

# cdm_library(PACKAGE VERSION DEBIAN): finds PACKAGE in VERSION or newer, which the Debian package
# DEBIAN has.
macro(cdm_library package version debian)
  find_package(${package} ${version} QUIET)
  if(NOT ${package}_FOUND)
    message(FATAL_ERROR "${package} ${version} or newer was not found: run tools/setup.sh, or install "
                        "it (Debian: ${debian}), or set ${package}_ROOT")
  endif()
endmacro()

cdm_library(CLI11 2.1 libcli11-dev)
cdm_library(nlohmann_json 3.10 nlohmann-json3-dev)
cdm_library(spdlog 1.9 libspdlog-dev)
cdm_library(yaml-cpp 0.7 libyaml-cpp-dev)
set(CDM_YAML_CPP yaml-cpp)  # its name before release 0.8
if(TARGET yaml-cpp::yaml-cpp)
  set(CDM_YAML_CPP yaml-cpp::yaml-cpp)
endif()
cdm_library(ZLIB 1.2 zlib1g-dev)
cdm_library(PNG 1.6 libpng-dev)
cdm_library(libjpeg-turbo 2.0 libturbojpeg0-dev)
cdm_library(TIFF 4.5 libtiff-dev)
cdm_library(GIF 5.1 libgif-dev)
include("${CMAKE_CURRENT_LIST_DIR}/WebP.cmake")
set(CDM_PICTURE_LIBRARIES PNG::PNG libjpeg-turbo::turbojpeg WebP::webpdemux TIFF::TIFF GIF::GIF)
include("${CMAKE_CURRENT_LIST_DIR}/Nettle.cmake")
include("${CMAKE_CURRENT_LIST_DIR}/LibArchive.cmake")

if(CDM_BUILD_TESTS)
  cdm_library(GTest 1.11 libgtest-dev)
endif()
if(CDM_BUILD_BENCHMARKS)
  cdm_library(benchmark 1.6 libbenchmark-dev)
endif()
