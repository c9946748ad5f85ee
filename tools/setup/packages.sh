# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by tools/setup.sh: what the system must have, and where it comes from.

# Each line has a probe, the Debian package that provides it, and what is done without root: `needed`
# stops the script, `wheel` takes a wheel from PyPI, `built` builds all libraries from source, `data`
# downloads, and `optional` does without. A probe is a command, a command with the oldest version that
# will do (cmake>=3.25), a C++ header (ends in .h or .hpp), a header with a condition of the
# preprocessor (tiffio.h:TIFFLIB_VERSION>=N), a file (begins with /), a Python module (python3:NAME), or
# an option with which clang++ must be able to link (clang++:OPTION).
packages='
c++>=12                              g++                needed
git                                  git                needed
python3                              python3            needed
python3:pip                          python3-pip        needed
cmake>=3.25                          cmake              wheel
ninja                                ninja-build        wheel
CLI/CLI.hpp                          libcli11-dev       built
yaml-cpp/yaml.h                      libyaml-cpp-dev    built
spdlog/spdlog.h                      libspdlog-dev      built
nlohmann/json.hpp                    nlohmann-json3-dev built
zlib.h                               zlib1g-dev         built
png.h                                libpng-dev         built
turbojpeg.h                          libturbojpeg0-dev  built
webp/demux.h                         libwebp-dev        built
tiffio.h:TIFFLIB_VERSION>=20221213   libtiff-dev        built
gif_lib.h                            libgif-dev         built
nettle/sha2.h                        nettle-dev         built
archive.h                            libarchive-dev     built
gtest/gtest.h                        libgtest-dev       built
gmock/gmock.h                        libgmock-dev       built
benchmark/benchmark.h                libbenchmark-dev   built
ccache                               ccache             optional
gnuplot                              gnuplot-nox        optional
'
dev_packages='
clang-format                         clang-format       needed
clang-tidy                           clang-tidy         needed
shellcheck                           shellcheck         needed
'
fuzz_packages='
clang++                              clang              needed
clang++:-fsanitize=fuzzer,address,undefined   libclang-rt-dev   needed
'
data_packages='
/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz   dataset-fashion-mnist   data
'

libraries=.deps/libraries  # where libraries are built without root; cmake/Dependencies.cmake looks there

# The version of a command. Compilers print nothing else; others have it in their first line.
version_of() {
  case $1 in
    c++) "${CXX:-c++}" -dumpversion ;;
    *) "$1" --version | sed -n '1s/[^0-9]*\([0-9.]*\).*/\1/p' ;;
  esac
}

has() {
  case $1 in
    /*) [[ -e $1 ]] ;;
    *.h | *.hpp | *.h:*)
      printf '#include <%s>\n#if !(%s)\n#error\n#endif\n' "${1%%:*}" "$([[ $1 == *:* ]] && echo "${1#*:}" || echo 1)" |
        "${CXX:-c++}" -E -x c++ - >/dev/null 2>&1
      ;;
    *'>='*)
      local command=${1%>=*}
      { [[ $command == c++ ]] || command -v "$command" >/dev/null; } &&
        at_least "$(version_of "$command" 2>/dev/null)" "${1#*>=}"
      ;;
    clang++:*)
      echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }' |
        clang++ "${1#clang++:}" -x c++ - -o /dev/null 2>/dev/null
      ;;
    python3:*) python3 -c "import ${1#python3:}" 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

# Sets `missing`: a line PROBE PACKAGE OTHERWISE for everything in the list $1 that is not there.
look_for_missing() {
  missing=
  local probe package otherwise
  while read -r probe package otherwise; do
    if [[ -n $probe ]] && ! has "$probe"; then missing+="$probe $package $otherwise"$'\n'; fi
  done <<<"$1"
}

# The words in column $1 of those missing lines whose last word is in the list $2.
missing_words() {
  awk -v column="$1" -v kinds=" $2 " 'index(kinds, " " $3 " ") { printf "%s%s", sep, $column; sep = " " }' <<<"$missing"
}

# Installs all of the list $1 that is missing, as Debian packages where this user may do that.
install_packages() {
  look_for_missing "$1"
  if [[ -z $missing ]]; then return; fi
  local wanted started=$SECONDS
  if ((EUID == 0)) && command -v apt-get >/dev/null; then
    wanted=$(missing_words 2 "needed wheel built data optional")
    say "installing $wanted"
    export DEBIAN_FRONTEND=noninteractive
    apt-get -qq -o Acquire::Retries=3 update
    # shellcheck disable=SC2086  # the variable holds several arguments
    apt-get -qq -o Acquire::Retries=3 install --no-install-recommends $wanted >/dev/null </dev/null
    say "packages installed in $((SECONDS - started)) s"
    look_for_missing "$1"
  fi
  if [[ $missing ]]; then install_without_root; fi
}

# What is missing is put into .deps, where that can be done.
install_without_root() {
  local needed optional
  needed=$(missing_words 1 needed)
  optional=$(missing_words 1 optional)
  if [[ $needed ]]; then
    fail "missing: $needed. Load a module that has it, ask for it to be installed, or name another compiler by CXX and CC (Debian's packages: $(missing_words 2 needed))"
  fi
  if [[ $(missing_words 1 wheel) ]]; then install_tools; fi
  if [[ $(missing_words 1 built) ]]; then build_libraries; fi
  if [[ $(missing_words 1 data) ]]; then fetch_fashion_mnist; fi
  if [[ $optional == *ccache* ]]; then say "no ccache: what was compiled once is compiled again in another folder"; fi
  if [[ $optional == *gnuplot* ]]; then say "no gnuplot: cdm-eval and cdm-nll write their tables without pictures"; fi
}

# Builds the C++ libraries from the releases that cmake/libraries/sources.txt names.
build_libraries() {
  local complete=$libraries/complete sum started=$SECONDS
  sum=$(cat cmake/libraries/* | sha256sum)
  if [[ $(cat "$complete" 2>/dev/null) == "$sum" ]]; then return; fi
  say "building the C++ libraries from source, which takes minutes; as root these would be installed instead: $(missing_words 2 built)"
  python3 tools/setup/fetch_sources.py cmake/libraries/sources.txt .deps/archives "${CDM_SOURCES:-}"
  rm -rf "$libraries" .deps/build-libraries
  cmake -S cmake/libraries -B .deps/build-libraries -G Ninja "-DCMAKE_INSTALL_PREFIX=$PWD/$libraries" \
    "-DCDM_SOURCES=$PWD/.deps/archives" >/dev/null
  cmake --build .deps/build-libraries -- --quiet >&2 || fail "a library was not built: the reason is above"
  rm -rf .deps/build-libraries .deps/archives
  echo "$sum" >"$complete"
  say "libraries built in $((SECONDS - started)) s"
}

# Puts Fashion-MNIST into data/fashion_mnist.
fetch_fashion_mnist() {
  if [[ ! -e data/fashion_mnist/t10k-images-idx3-ubyte.gz ]]; then
    tools/get_data.sh fashion_mnist >/dev/null
  fi
  say "Fashion-MNIST is in data/fashion_mnist: train with --set data.path=data/fashion_mnist"
}
