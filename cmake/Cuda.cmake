# Decides whether CUDA kernels are built, and finds what they need.
#   CDM_WITH_CUDA      option: AUTO (if nvcc is found), ON or OFF
#   CDM_CUDA           set to ON if CUDA kernels are built
#   CDM_OLDEST_ARCHITECTURE  set to the lowest number among the architectures that kernels are built
#                      for; 0 when it is not known ("native") and without kernels
#   CDM_CUDA_LIBTORCH  set to ON if LibTorch's CUDA part is there as well; CUDA graphs need it
#   CDM_NCCL           set to ON if nccl.h is there as well; summing over several GPUs needs it
#
# Kernels are built for the architectures 80 and 90 unless CMAKE_CUDA_ARCHITECTURES is set ("native"
# is the architecture of this machine).

set(CDM_WITH_CUDA "AUTO" CACHE STRING "CUDA kernels: AUTO, ON or OFF")
set_property(CACHE CDM_WITH_CUDA PROPERTY STRINGS AUTO ON OFF)
string(TOUPPER "${CDM_WITH_CUDA}" _cdm_with_cuda)

# The nvcc of NVIDIA's wheels, which tools/setup.sh unpacks beside LibTorch where it finds none of
# LibTorch's CUDA version, and which pip installs there.
if(_cdm_with_cuda AND NOT CMAKE_CUDA_COMPILER AND NOT DEFINED ENV{CUDACXX})
  set(_cdm_toolkit "${CDM_LIBTORCH_ROOT}/../nvidia/cu13")
  find_program(CDM_NVCC nvcc NO_DEFAULT_PATH PATHS "${_cdm_toolkit}/bin")
  if(CDM_NVCC)
    set(CMAKE_CUDA_COMPILER "${CDM_NVCC}")
    # It looks for libraries in lib64, and the wheels have them in lib. CMake links a program to try it.
    set(ENV{NVCC_APPEND_FLAGS} "$ENV{NVCC_APPEND_FLAGS} -L${_cdm_toolkit}/lib")
  endif()
endif()
set(CDM_CUDA OFF)
if(_cdm_with_cuda STREQUAL "AUTO")
  include(CheckLanguage)
  check_language(CUDA)
  if(CMAKE_CUDA_COMPILER)
    set(CDM_CUDA ON)
  endif()
elseif(CDM_WITH_CUDA)
  set(CDM_CUDA ON)
endif()

set(CDM_CUDA_TEXT "none")
set(CDM_OLDEST_ARCHITECTURE 0)
set(CDM_CUDA_LIBTORCH OFF)
set(CDM_NCCL OFF)
if(CDM_CUDA)
  if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
    set(CMAKE_CUDA_ARCHITECTURES 80 90)
  endif()
  set(CMAKE_CUDA_STANDARD 17)  # the newest that CMake 3.25 supports for nvcc
  set(CMAKE_CUDA_STANDARD_REQUIRED ON)
  # The CUDA runtime that LibTorch uses is linked instead; nvcc would add a second one.
  set(CMAKE_CUDA_RUNTIME_LIBRARY None)
  enable_language(CUDA)
  string(REGEX MATCH "^[0-9]+" _cdm_cuda_major "${CMAKE_CUDA_COMPILER_VERSION}")
  find_library(CDM_CUDART NAMES libcudart.so.${_cdm_cuda_major}
    HINTS "${CDM_LIBTORCH_ROOT}/lib" "${CDM_LIBTORCH_ROOT}/../nvidia/cu${_cdm_cuda_major}/lib"
          "${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES}/../lib" ${CMAKE_CUDA_IMPLICIT_LINK_DIRECTORIES}
    REQUIRED)
  list(JOIN CMAKE_CUDA_ARCHITECTURES ", " _cdm_architectures)
  set(CDM_CUDA_TEXT "${CMAKE_CUDA_COMPILER_VERSION}, architectures ${_cdm_architectures}")
  string(REGEX MATCHALL "[0-9]+" _cdm_numbers "${CMAKE_CUDA_ARCHITECTURES}")
  if(_cdm_numbers)
    list(SORT _cdm_numbers COMPARE NATURAL)
    list(GET _cdm_numbers 0 CDM_OLDEST_ARCHITECTURE)
  endif()
  find_path(CDM_NCCL_INCLUDE nccl.h HINTS "${CDM_LIBTORCH_ROOT}/../nvidia/nccl/include"
            ${CMAKE_CUDA_TOOLKIT_INCLUDE_DIRECTORIES})
  if(EXISTS "${CDM_LIBTORCH_ROOT}/lib/libtorch_cuda.so")
    set(CDM_CUDA_LIBTORCH ON)
    if(CDM_NCCL_INCLUDE)
      set(CDM_NCCL ON)
    endif()
  endif()
endif()
message(STATUS "CUDA kernels: ${CDM_CUDA_TEXT}; NCCL: ${CDM_NCCL}")
