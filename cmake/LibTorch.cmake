# Defines the imported targets LibTorch::c10 and LibTorch::cpu, for LibTorch from PyTorch's wheel or
# an installed copy.
#
# find_package(Torch) is not used: it enables CUDA by itself, overrides CMAKE_CUDA_ARCHITECTURES and
# fails on a machine without nvcc. Programs link libtorch_cpu and libc10 only; the CUDA libraries are
# loaded at run time (src/device/device.cpp), so one binary serves machines with and without a GPU.
#
# LibTorch is searched in this order: CDM_LIBTORCH, Torch_DIR, CMAKE_PREFIX_PATH,
# CDM_LIBTORCH_FALLBACK. This file is also installed, because the package cdm uses it.
if(TARGET LibTorch::cpu)
  return()
endif()

# The value of the environment is stored in the cache, because the build may call CMake again
# without that environment.
set(CDM_LIBTORCH "$ENV{CDM_LIBTORCH}" CACHE PATH
    "LibTorch: a folder with include/ATen and lib/libtorch_cpu.so")

set(_cdm_torch_roots "${CDM_LIBTORCH}")
if(Torch_DIR)
  get_filename_component(_cdm_torch_root "${Torch_DIR}/../../.." ABSOLUTE)
  list(APPEND _cdm_torch_roots "${_cdm_torch_root}")
endif()
list(APPEND _cdm_torch_roots ${CMAKE_PREFIX_PATH} "${CDM_LIBTORCH_FALLBACK}")

set(CDM_LIBTORCH_ROOT "")
foreach(_root IN LISTS _cdm_torch_roots)
  if(_root AND EXISTS "${_root}/lib/libtorch_cpu.so" AND EXISTS "${_root}/include/ATen/ATen.h")
    get_filename_component(CDM_LIBTORCH_ROOT "${_root}" ABSOLUTE)
    break()
  endif()
endforeach()
if(NOT CDM_LIBTORCH_ROOT)
  message(FATAL_ERROR "LibTorch was not found. Run this project's tools/setup.sh, which unpacks it out "
                      "of PyTorch's wheel, or give an installed copy with -DCDM_LIBTORCH=FOLDER (a "
                      "folder with include/ATen and lib/libtorch_cpu.so).")
endif()

file(READ "${CDM_LIBTORCH_ROOT}/include/torch/headeronly/version.h" _cdm_torch_header)
set(_cdm_torch_version "")
foreach(_part MAJOR MINOR PATCH)
  string(REGEX MATCH "define TORCH_VERSION_${_part} ([0-9]+)" _ "${_cdm_torch_header}")
  list(APPEND _cdm_torch_version "${CMAKE_MATCH_1}")
endforeach()
list(JOIN _cdm_torch_version "." CDM_LIBTORCH_VERSION)
if(NOT CDM_LIBTORCH_VERSION MATCHES "^2\\.11\\.")
  message(WARNING "LibTorch ${CDM_LIBTORCH_VERSION} at ${CDM_LIBTORCH_ROOT}: only 2.11 is tested")
endif()
message(STATUS "LibTorch ${CDM_LIBTORCH_VERSION}: ${CDM_LIBTORCH_ROOT}")

add_library(LibTorch::c10 SHARED IMPORTED GLOBAL)
set_target_properties(LibTorch::c10 PROPERTIES
  INTERFACE_COMPILE_DEFINITIONS AT_PER_OPERATOR_HEADERS  # one small header per operation
  IMPORTED_LOCATION "${CDM_LIBTORCH_ROOT}/lib/libc10.so"
  INTERFACE_INCLUDE_DIRECTORIES
    "${CDM_LIBTORCH_ROOT}/include;${CDM_LIBTORCH_ROOT}/include/torch/csrc/api/include")

# In files compiled without OpenMP, at::parallel_for is a plain loop. Its threads must be those of
# LibTorch's own operations, so the OpenMP library in the wheel is linked if there is one.
find_package(OpenMP REQUIRED COMPONENTS CXX)
file(GLOB _cdm_openmp "${CDM_LIBTORCH_ROOT}/lib/libgomp*.so*")
if(NOT _cdm_openmp)
  set(_cdm_openmp "${OpenMP_CXX_LIBRARIES}")
endif()

add_library(LibTorch::cpu SHARED IMPORTED GLOBAL)
set_target_properties(LibTorch::cpu PROPERTIES
  IMPORTED_LOCATION "${CDM_LIBTORCH_ROOT}/lib/libtorch_cpu.so"
  INTERFACE_COMPILE_OPTIONS "$<$<COMPILE_LANGUAGE:CXX>:${OpenMP_CXX_FLAGS}>"
  INTERFACE_LINK_LIBRARIES "LibTorch::c10;${_cdm_openmp}")
