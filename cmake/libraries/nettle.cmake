# Builds the parts of Nettle that this project uses, SHA-256 and hexadecimal digits, which need none
# of what its own build needs: make, m4 and GMP.
cmake_minimum_required(VERSION 3.25)
project(nettle LANGUAGES C)
add_library(nettle STATIC base16-decode.c base16-encode.c sha256.c sha256-compress-n.c write-be32.c)
target_include_directories(nettle PRIVATE "${CMAKE_CURRENT_SOURCE_DIR}")
install(TARGETS nettle)
install(FILES base16.h nettle-types.h sha2.h DESTINATION include/nettle)
