# Every third-party library: the installed package first, a pinned release from its own home after.
include(FetchContent)
include("${CMAKE_CURRENT_LIST_DIR}/LibTorch.cmake")

find_package(ZLIB REQUIRED)
find_package(PNG REQUIRED)
find_package(libjpeg-turbo CONFIG REQUIRED)
find_package(CLI11 REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(spdlog REQUIRED)
find_package(nlohmann_json REQUIRED)
if(CDM_BUILD_TESTS)
  find_package(GTest REQUIRED)
endif()
