# Defines WebP::webpdemux and WebP::webp, imported targets for libwebp (its own CMake package is not
# installed everywhere). This file is also installed, because the package cdm uses it.
if(TARGET WebP::webp)
  return()
endif()
find_path(WEBP_INCLUDE_DIR webp/demux.h)
find_library(WEBP_LIBRARY webp)
find_library(WEBPDEMUX_LIBRARY webpdemux)
if(NOT WEBP_INCLUDE_DIR OR NOT WEBP_LIBRARY OR NOT WEBPDEMUX_LIBRARY)
  message(FATAL_ERROR "libwebp was not found: install its development package (Debian: libwebp-dev), or "
                      "set WEBP_INCLUDE_DIR, WEBP_LIBRARY and WEBPDEMUX_LIBRARY")
endif()
add_library(WebP::webp UNKNOWN IMPORTED GLOBAL)
set_target_properties(WebP::webp PROPERTIES IMPORTED_LOCATION "${WEBP_LIBRARY}"
                      INTERFACE_INCLUDE_DIRECTORIES "${WEBP_INCLUDE_DIR}")
add_library(WebP::webpdemux UNKNOWN IMPORTED GLOBAL)
set_target_properties(WebP::webpdemux PROPERTIES IMPORTED_LOCATION "${WEBPDEMUX_LIBRARY}"
                      INTERFACE_INCLUDE_DIRECTORIES "${WEBP_INCLUDE_DIR}"
                      INTERFACE_LINK_LIBRARIES WebP::webp)
