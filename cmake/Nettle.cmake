# Defines Nettle::nettle, an imported target for Nettle (SHA-256). This file is also installed,
# because the package cdm uses it.
if(TARGET Nettle::nettle)
  return()
endif()
find_path(NETTLE_INCLUDE_DIR nettle/sha2.h)
find_library(NETTLE_LIBRARY nettle)
if(NOT NETTLE_INCLUDE_DIR OR NOT NETTLE_LIBRARY)
  message(FATAL_ERROR "Nettle was not found: install its development package (Debian: nettle-dev), or "
                      "set NETTLE_INCLUDE_DIR and NETTLE_LIBRARY")
endif()
add_library(Nettle::nettle UNKNOWN IMPORTED GLOBAL)
set_target_properties(Nettle::nettle PROPERTIES IMPORTED_LOCATION "${NETTLE_LIBRARY}"
                      INTERFACE_INCLUDE_DIRECTORIES "${NETTLE_INCLUDE_DIR}")
