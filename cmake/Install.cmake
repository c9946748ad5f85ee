# What cmake --install installs: programs, headers, the static library, and the CMake package cdm.
# Another project uses the library with
#   find_package(cdm REQUIRED)
#   target_link_libraries(program PRIVATE cdm::cdm)
include(CMakePackageConfigHelpers)

install(TARGETS ${CDM_PROGRAMS} RUNTIME)
if(CDM_CUDA_LIBRARIES)
  install(TARGETS ${CDM_CUDA_LIBRARIES} LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}")
endif()

set(_cdm_package "${CMAKE_INSTALL_LIBDIR}/cmake/cdm")
install(DIRECTORY include/cdm TYPE INCLUDE)
install(TARGETS cdm EXPORT cdmTargets ARCHIVE)
install(EXPORT cdmTargets NAMESPACE cdm:: DESTINATION "${_cdm_package}")
configure_package_config_file(cmake/cdmConfig.cmake.in "${CMAKE_BINARY_DIR}/cdmConfig.cmake"
  INSTALL_DESTINATION "${_cdm_package}")
write_basic_package_version_file("${CMAKE_BINARY_DIR}/cdmConfigVersion.cmake"
  COMPATIBILITY SameMinorVersion)
install(FILES "${CMAKE_BINARY_DIR}/cdmConfig.cmake" "${CMAKE_BINARY_DIR}/cdmConfigVersion.cmake"
              cmake/LibArchive.cmake cmake/LibTorch.cmake cmake/Nettle.cmake cmake/WebP.cmake
        DESTINATION "${_cdm_package}")
