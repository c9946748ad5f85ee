#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing for building and running: Debian packages (as root, with apt), and
# LibTorch, which is unpacked from PyTorch's wheel into .deps/libtorch. A second call installs
# nothing again.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tools/setup.sh [--cuda] [--data] [--fuzz] [--dev] [--python]
  --cuda    also the CUDA libraries that LibTorch needs on an NVIDIA GPU (2.6 GB)
  --data    also the Fashion-MNIST images (Debian package, 31 MB)
  --fuzz    also clang with libFuzzer, for the preset fuzz
  --dev     also clang-format, clang-tidy and shellcheck
  --python  also .deps/python/bin/python3, a Python that imports the same PyTorch, for tests of
            examples/
If the environment variable CDM_LIBTORCH names a folder with LibTorch, that one is used and none is
downloaded.
TEXT
}

# Each line has a probe and the Debian package that provides it. A probe is a command, a C++ header
# (ends in .h or .hpp), a file (begins with /), a Python module (python3:NAME), or an option with
# which clang++ must be able to link (clang++:OPTION).
packages='
c++                            g++
cmake                          cmake
ninja                          ninja-build
ccache                         ccache
git                            git
python3                        python3
python3:pip                    python3-pip
CLI/CLI.hpp                    libcli11-dev
yaml-cpp/yaml.h                libyaml-cpp-dev
spdlog/spdlog.h                libspdlog-dev
nlohmann/json.hpp              nlohmann-json3-dev
zlib.h                         zlib1g-dev
png.h                          libpng-dev
turbojpeg.h                    libturbojpeg0-dev
webp/demux.h                   libwebp-dev
tiffio.h                       libtiff-dev
gif_lib.h                      libgif-dev
nettle/sha2.h                  nettle-dev
archive.h                      libarchive-dev
gtest/gtest.h                  libgtest-dev
gmock/gmock.h                  libgmock-dev
benchmark/benchmark.h          libbenchmark-dev
gnuplot                        gnuplot-nox
'
dev_packages='
clang-format                   clang-format
clang-tidy                     clang-tidy
shellcheck                     shellcheck
'
fuzz_packages='
clang++                        clang
clang++:-fsanitize=fuzzer,address,undefined   libclang-rt-dev
'
data_packages='
/usr/share/datasets/fashion-mnist/t10k-images-idx3-ubyte.gz   dataset-fashion-mnist
'

# PyTorch's wheel, and two libraries that its CPU part is linked to.
wheels='
torch==2.11.0
nvidia-cuda-runtime==13.0.96
nvidia-cuda-cupti==13.0.85
'
# Libraries that its CUDA part is linked to.
cuda_wheels='
nvidia-cublas==13.1.0.3
nvidia-cuda-nvrtc==13.0.88
nvidia-cufft==12.0.0.61
nvidia-cufile==1.15.1.6
nvidia-curand==10.4.0.35
nvidia-cusolver==12.0.4.66
nvidia-cusparse==12.6.3.3
nvidia-nvjitlink==13.0.88
nvidia-cudnn-cu13==9.19.0.56
nvidia-cusparselt-cu13==0.8.0
nvidia-nccl-cu13==2.28.9
nvidia-nvshmem-cu13==3.4.5
'
# Python packages that PyTorch and the scripts in examples/ and tests/python/ import.
python_wheels='
typing-extensions==4.15.0
numpy==2.4.6
pyyaml==6.0.3
'

say() { echo "setup: $*"; }
fail() {
  echo "setup: $*" >&2
  exit 1
}

has() {
  case $1 in
    /*) [[ -e $1 ]] ;;
    *.h | *.hpp)
      printf '#if !__has_include(<%s>)\n#error\n#endif\n' "$1" | c++ -E -x c++ - >/dev/null 2>&1
      ;;
    clang++:*)
      echo 'extern "C" int LLVMFuzzerTestOneInput(const char*, long) { return 0; }' |
        clang++ "${1#clang++:}" -x c++ - -o /dev/null 2>/dev/null
      ;;
    python3:*) python3 -c "import ${1#python3:}" 2>/dev/null ;;
    *) command -v "$1" >/dev/null ;;
  esac
}

install_packages() {
  local missing=() probe package
  while read -r probe package; do
    if [[ -n $probe ]] && ! has "$probe"; then missing+=("$package"); fi
  done <<<"$1"
  if ((${#missing[@]} == 0)); then return; fi
  if ((EUID != 0)) || ! command -v apt-get >/dev/null; then
    fail "missing: ${missing[*]} (Debian's names). To install them:
  sudo apt-get install --no-install-recommends ${missing[*]}"
  fi
  say "installing ${missing[*]}"
  local started=$SECONDS
  export DEBIAN_FRONTEND=noninteractive
  apt-get -qq -o Acquire::Retries=3 update
  apt-get -qq -o Acquire::Retries=3 install --no-install-recommends "${missing[@]}" >/dev/null </dev/null
  say "packages installed in $((SECONDS - started)) s"
}

# Downloads and unpacks the wheels that are not listed in $libtorch/complete, which names those that
# were unpacked completely.
install_libtorch() {
  local libtorch=.deps/libtorch download=.deps/wheels
  local complete=$libtorch/complete missing=() wheel
  for wheel in $1; do
    if ! grep -qsxF "$wheel" "$complete"; then missing+=("$wheel"); fi
  done
  if ((${#missing[@]} == 0)); then return; fi
  [[ $(uname -sm) == "Linux x86_64" ]] ||
    fail "no LibTorch for $(uname -sm) in PyTorch's wheel: set CDM_LIBTORCH to the folder of yours"
  # PyTorch's own wheel has another version or is incomplete: start over.
  if ! grep -qsxF "${missing[0]}" <<<"$cuda_wheels"; then rm -rf "$libtorch"; fi
  rm -rf "$download"
  mkdir -p "$libtorch" "$download"
  local platforms=(--platform manylinux2014_x86_64) minor
  for minor in {17..28}; do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
  local started=$SECONDS
  for wheel in "${missing[@]}"; do
    say "fetching $wheel"
    # The options name the platform and the Python version of the wheel, so that any python3 can
    # download it.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$download" \
      --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --abi none \
      "${platforms[@]}" "$wheel" </dev/null
    python3 -m zipfile -e "$download"/*.whl "$libtorch"
    rm "$download"/*.whl
    echo "$wheel" >>"$complete"
  done
  rmdir "$download"
  say "LibTorch unpacked in $((SECONDS - started)) s"
}

# Makes a Python environment in .deps/python whose module torch is the wheel unpacked before.
install_python() {
  local torch version python=.deps/python site started=$SECONDS
  torch=$(realpath "${CDM_LIBTORCH:-.deps/libtorch/torch}")
  # A wheel is for one version of Python: _C.cpython-311-x86_64-linux-gnu.so is for Python 3.11.
  version=$(basename "$torch"/_C.cpython-3*.so | sed 's/.*cpython-3\([0-9]*\).*/3.\1/')
  if ! command -v "python$version" >/dev/null; then
    say "no PyTorch in Python: $torch has none, or one for another Python than those installed"
    return
  fi
  site=$python/lib/python$version/site-packages
  if [[ ! -x $python/bin/python3 ]]; then "python$version" -m venv --without-pip "$python"; fi
  # shellcheck disable=SC2086  # the variable holds several arguments
  python3 -m pip --python "$python/bin/python3" install --quiet --disable-pip-version-check \
    --no-deps $python_wheels </dev/null
  # PyTorch's module is linked to 2 GB of CUDA libraries, although their functions are not called on
  # a CPU. Empty libraries take the place of those that are not installed, so that the loader finds
  # all names.
  rm -rf "$site/empty_libraries"
  mkdir "$site/empty_libraries"
  local library
  for library in $(ldd "$torch/lib/libtorch_python.so" | awk '/=> not found/ { print $1 }' | sort -u); do
    c++ -shared -x c++ /dev/null "-Wl,-soname,$library" -o "$site/empty_libraries/$library"
  done
  cat >"$site/load_empty_libraries.py" <<'PYTHON'
# Written by tools/setup.sh --python. Imported when Python starts, before PyTorch.
import ctypes
import os
import sys

folder = os.path.join(os.path.dirname(__file__), "empty_libraries")
for library in os.listdir(folder):
    ctypes.CDLL(os.path.join(folder, library))
sys.setdlopenflags(os.RTLD_LAZY)  # look a function up when it is first called, not when loading
PYTHON
  printf '%s\nimport load_empty_libraries\n' "$(dirname "$torch")" >"$site/torch.pth"
  "$python/bin/python3" -c 'import torch' || fail "$python/bin/python3 cannot import torch"
  say "$python/bin/python3 imports PyTorch ($((SECONDS - started)) s)"
}

cd "$(dirname "$0")/.."
python=
for option in "$@"; do
  case $option in
    --cuda) wheels+=$cuda_wheels ;;
    --data) packages+=$data_packages ;;
    --fuzz) packages+=$fuzz_packages ;;
    --dev) packages+=$dev_packages ;;
    --python) python=1 ;;
    -h | --help)
      usage
      exit 0
      ;;
    *)
      usage >&2
      exit 2
      ;;
  esac
done
install_packages "$packages"
if [[ -z ${CDM_LIBTORCH:-} ]]; then install_libtorch "$wheels"; fi
# Repeated when it is there already, because CUDA libraries may have been installed since.
if [[ -n $python || -e .deps/python ]]; then install_python; fi
say "everything is there (${SECONDS} s)"
