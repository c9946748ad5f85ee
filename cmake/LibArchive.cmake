# Defines LibArchive::LibArchive, an imported target for libarchive (zip and tar). This file is also
# installed, because the package cdm uses it.
if(TARGET LibArchive::LibArchive)
  return()
endif()
find_package(LibArchive QUIET)
if(NOT TARGET LibArchive::LibArchive)
  message(FATAL_ERROR "libarchive was not found: install its development package (Debian: "
                      "libarchive-dev), or set LibArchive_INCLUDE_DIR and LibArchive_LIBRARY")
endif()
