# cmake -DBUILD=... -DSOURCE=... -DCXX=... -DLAUNCHER=... -P check.cmake: installs BUILD, runs
# an installed program, and builds and runs a project that uses the installed package and the example
# toy_density, below /tmp.
string(RANDOM LENGTH 8 name)
set(work "/tmp/cdm-install-${name}")
set(prefix "${work}/prefix")

function(run)
  execute_process(COMMAND ${ARGN} OUTPUT_VARIABLE out ECHO_OUTPUT_VARIABLE COMMAND_ECHO STDOUT
                  COMMAND_ERROR_IS_FATAL ANY)
  string(STRIP "${out}" out)
  set(output "${out}" PARENT_SCOPE)
endfunction()

run("${CMAKE_COMMAND}" --install "${BUILD}" --prefix "${prefix}")
run("${prefix}/bin/cdm-train" --version)
set(version "${output}")

if(NOT LAUNCHER)  # no ccache
  set(LAUNCHER "")
endif()
run("${CMAKE_COMMAND}" -S "${SOURCE}" -B "${work}/build" -DCMAKE_PREFIX_PATH=${prefix}
    -DCMAKE_BUILD_TYPE=Release -DCMAKE_CXX_COMPILER=${CXX} -DCMAKE_CXX_COMPILER_LAUNCHER=${LAUNCHER})
run("${CMAKE_COMMAND}" --build "${work}/build")
run("${work}/build/consumer" "${SOURCE}/config.yaml")
set(expected "55 parameters\n${version}")
if(NOT output STREQUAL expected)
  message(FATAL_ERROR "the consumer printed\n${output}\ninstead of\n${expected}")
endif()
run("${work}/build/examples/toy_density")  # fails where the density or the samples are wrong
file(REMOVE_RECURSE "${work}")
