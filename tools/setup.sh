#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing for building and running: Debian packages (as root, with apt), and
# LibTorch, which is unpacked from PyTorch's wheel into .deps/libtorch. Without root it installs nothing
# on the system: CMake, Ninja and the C++ libraries go into .deps, too. A second call installs nothing
# again.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tools/setup.sh [--cuda | --cpu] [--data] [--fuzz] [--dev] [--python]
  --cuda    also what an NVIDIA GPU needs: the CUDA libraries of LibTorch (2.6 GB) and, where it is
            missing, nvcc (0.3 GB). This is the default where a GPU is found
  --cpu     for the CPU alone, whatever is found
  --data    also the Fashion-MNIST images (31 MB)
  --fuzz    also clang with libFuzzer, for the preset fuzz
  --dev     also clang-format, clang-tidy and shellcheck
  --python  also .deps/python/bin/python3, a Python that imports the same PyTorch, for tests of
            examples/
Environment:
  CDM_LIBTORCH  a folder with LibTorch that is used; none is downloaded
  CDM_SOURCES   a folder with archives of C++ libraries, for machines without root and
                internet: cmake/libraries/sources.txt says which
TEXT
}

say() { echo "setup: $*"; }
fail() {
  echo "setup: $*" >&2
  exit 1
}

cd "$(dirname "$0")/.."
export PATH=$PWD/.deps/bin:$PATH  # where CMake and Ninja are put without root
source tools/setup/gpu.sh
source tools/setup/packages.sh
source tools/setup/wheels.sh
source tools/setup/python.sh

processor=auto
python=
for option in "$@"; do
  case $option in
    --cuda | --cpu)
      if [[ $processor != auto && $processor != "${option#--}" ]]; then
        usage >&2
        exit 2
      fi
      processor=${option#--}
      ;;
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
if [[ $processor == auto ]]; then
  look_for_gpu
  if [[ $gpu ]]; then
    processor=cuda
    say "$gpu_text: LibTorch's CUDA part as well (--cpu leaves it out)"
  else
    say "$gpu_text"
  fi
fi
if [[ $processor == cuda ]]; then wheels+=$cuda_wheels; fi
if [[ -z ${CDM_LIBTORCH:-} ]]; then install_libtorch "$wheels"; fi
if [[ $processor == cuda ]]; then install_nvcc; fi
# Repeated when it is there already, because CUDA libraries may have been installed since.
if [[ -n $python || -e .deps/python ]]; then install_python; fi
say "everything is there (${SECONDS} s)"
