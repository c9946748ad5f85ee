# Warnings, sanitizers, and the targets format, format-check, tidy, shellcheck and check.

# GCC 12 warns of overlapping memory in "x" + string, where there is none (GCC bug 105651).
set(CDM_WARNINGS -Wall -Wextra -Wpedantic -Werror $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# GCC 12 warns of copies inside the standard library when its headers are precompiled.
set(CDM_PRECOMPILED_WARNINGS $<$<CXX_COMPILER_ID:GNU>:-Wno-array-bounds>
                             $<$<CXX_COMPILER_ID:GNU>:-Wno-stringop-overflow>)
# No -Wpedantic for CUDA: the code that nvcc generates does not pass it.
set(CDM_CUDA_WARNINGS --Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Werror)
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${CDM_WARNINGS}>"
                    "$<$<COMPILE_LANGUAGE:CUDA>:${CDM_CUDA_WARNINGS}>")

set(CDM_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them: address,undefined")
if(CDM_SANITIZE)
  add_compile_options(-fsanitize=${CDM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
                      -O1 -g1)
  add_link_options(-fsanitize=${CDM_SANITIZE})
endif()

# The targets format (rewrites files), format-check, tidy, shellcheck, and check (the last three). A file
# that has passed clang-tidy is checked again when it, any header or .clang-tidy changes.
file(GLOB_RECURSE CDM_OWN_HEADERS CONFIGURE_DEPENDS include/*.h src/*.h tools/*.h tests/*.h
     fuzz/*.h)
file(GLOB_RECURSE CDM_OWN_SOURCES CONFIGURE_DEPENDS
     src/*.cpp src/*.cu tools/*.cpp tests/*.cpp benchmarks/*.cpp fuzz/*.cpp)
find_program(CDM_CLANG_FORMAT clang-format)
set(_cdm_format "${CDM_CLANG_FORMAT}" --style=file ${CDM_OWN_HEADERS} ${CDM_OWN_SOURCES})
add_custom_target(format COMMAND ${_cdm_format} -i COMMENT "clang-format" VERBATIM)
add_custom_target(format-check COMMAND ${_cdm_format} --dry-run -Werror
                  COMMENT "clang-format" VERBATIM)

# clang-tidy needs a line in compile_commands.json, so only files that this build compiles are
# checked.
file(GLOB_RECURSE CDM_TIDY_SOURCES CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}"
     src/*.cpp tools/*.cpp)
foreach(_cdm_folder IN ITEMS tests benchmarks)
  string(TOUPPER ${_cdm_folder} _cdm_option)
  if(CDM_BUILD_${_cdm_option})
    file(GLOB _cdm_found CONFIGURE_DEPENDS RELATIVE "${CMAKE_CURRENT_SOURCE_DIR}"
         ${_cdm_folder}/*.cpp ${_cdm_folder}/*/test_*.cpp)
    list(APPEND CDM_TIDY_SOURCES ${_cdm_found})
  endif()
endforeach()
find_program(CDM_CLANG_TIDY clang-tidy)
set(_cdm_stamps "")
foreach(_cdm_source IN LISTS CDM_TIDY_SOURCES)
  set(_cdm_stamp "${CMAKE_BINARY_DIR}/tidy/${_cdm_source}.passed")
  get_filename_component(_cdm_folder "${_cdm_stamp}" DIRECTORY)
  add_custom_command(OUTPUT "${_cdm_stamp}"
    COMMAND "${CDM_CLANG_TIDY}" -p "${CMAKE_BINARY_DIR}" --quiet
            --extra-arg=-Wno-unknown-warning-option "${CMAKE_CURRENT_SOURCE_DIR}/${_cdm_source}"
    COMMAND "${CMAKE_COMMAND}" -E make_directory "${_cdm_folder}"
    COMMAND "${CMAKE_COMMAND}" -E touch "${_cdm_stamp}"
    DEPENDS "${_cdm_source}" .clang-tidy ${CDM_OWN_HEADERS}
            "${CMAKE_BINARY_DIR}/generated/revision.h"
    COMMENT "clang-tidy ${_cdm_source}" VERBATIM)
  list(APPEND _cdm_stamps "${_cdm_stamp}")
endforeach()
add_custom_target(tidy DEPENDS ${_cdm_stamps})
find_program(CDM_SHELLCHECK shellcheck)
file(GLOB CDM_SCRIPTS CONFIGURE_DEPENDS .ci/run tools/*.sh tools/slurm/* tests/python/*.sh)
add_custom_target(shellcheck COMMAND "${CDM_SHELLCHECK}" -x ${CDM_SCRIPTS}
                  WORKING_DIRECTORY "${CMAKE_CURRENT_SOURCE_DIR}" COMMENT "shellcheck" VERBATIM)
add_custom_target(check)
add_dependencies(check format-check tidy shellcheck)
