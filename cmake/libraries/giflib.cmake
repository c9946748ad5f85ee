# Builds giflib, whose own Makefile needs make and xmlto.
cmake_minimum_required(VERSION 3.25)
project(giflib LANGUAGES C)
add_library(gif STATIC dgif_lib.c egif_lib.c gif_err.c gif_font.c gif_hash.c gifalloc.c
                       openbsd-reallocarray.c quantize.c)
install(TARGETS gif)
install(FILES gif_lib.h TYPE INCLUDE)
