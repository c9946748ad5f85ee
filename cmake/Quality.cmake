# Warnings, sanitizers, and the targets format, format-check, tidy and check.

# GCC 12 sees overlaps in "x" + string that are not there (GCC bug 105651).
set(CDM_WARNINGS -Wall -Wextra -Wpedantic -Werror $<$<CXX_COMPILER_ID:GNU>:-Wno-restrict>)
# nvcc's own generated code is not pedantic.
set(CDM_CUDA_WARNINGS --Werror=all-warnings -Xcompiler=-Wall,-Wextra,-Werror)
add_compile_options("$<$<COMPILE_LANGUAGE:CXX>:${CDM_WARNINGS}>"
                    "$<$<COMPILE_LANGUAGE:CUDA>:${CDM_CUDA_WARNINGS}>")

set(CDM_SANITIZE "" CACHE STRING "Sanitizers, as -fsanitize takes them: address,undefined")
if(CDM_SANITIZE)
  add_compile_options(-fsanitize=${CDM_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer
                      -O1 -g)
  add_link_options(-fsanitize=${CDM_SANITIZE})
endif()
