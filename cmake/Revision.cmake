# Every build runs this script (cmake -P). It writes the git revision of SOURCE to the header
# OUTPUT. If the revision has not changed, the file is not touched, so that nothing is compiled
# again.
set(revision "unknown")
set(ENV{GIT_OPTIONAL_LOCKS} 0)
execute_process(COMMAND git -C "${SOURCE}" describe --always --dirty --abbrev=12 --exclude=*
                OUTPUT_VARIABLE described RESULT_VARIABLE status ERROR_QUIET
                OUTPUT_STRIP_TRAILING_WHITESPACE)
if(status EQUAL 0 AND described)
  set(revision "${described}")
endif()
file(CONFIGURE OUTPUT "${OUTPUT}" CONTENT "#define CDM_REVISION \"${revision}\"\n" @ONLY)
