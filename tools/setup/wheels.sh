# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by tools/setup.sh: what comes from PyPI, unpacked and not installed.

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
# nvcc, which compiles this project's CUDA kernels (cmake/Cuda.cmake finds it beside LibTorch).
nvcc_wheels='
nvidia-cuda-nvcc==13.0.88
nvidia-cuda-crt==13.0.88
nvidia-nvvm==13.0.88
nvidia-cuda-cccl==13.0.85
'
# Build tools, for systems without them.
tool_wheels='
cmake==3.31.10
ninja==1.13.0
'

# unpack_wheels FOLDER WHEELS: downloads and unpacks the wheels that are not listed in
# FOLDER/complete, which names those that were unpacked completely.
unpack_wheels() {
  local folder=$1 download=.deps/wheels wheel started=$SECONDS
  local complete=$folder/complete missing=()
  for wheel in $2; do
    if ! grep -qsxF "$wheel" "$complete"; then missing+=("$wheel"); fi
  done
  if ((${#missing[@]} == 0)); then return; fi
  # Another version of PyTorch is there, or a part of this one: start over.
  if [[ " ${missing[*]} " == *" torch=="* ]]; then rm -rf "$folder"; fi
  rm -rf "$download"
  mkdir -p "$folder" "$download"
  local platforms=(--platform manylinux2014_x86_64) minor
  for minor in {12..28}; do platforms+=(--platform "manylinux_2_${minor}_x86_64"); done
  for wheel in "${missing[@]}"; do
    say "fetching $wheel"
    # The options name the platform and the Python version of the wheel, so that any python3 can
    # download it.
    python3 -m pip download --quiet --disable-pip-version-check --no-deps --dest "$download" \
      --only-binary=:all: --implementation cp --python-version 3.11 --abi cp311 --abi none \
      "${platforms[@]}" "$wheel" </dev/null
    python3 -m zipfile -e "$download"/*.whl "$folder"
    rm "$download"/*.whl
    echo "$wheel" >>"$complete"
  done
  rmdir "$download"
  say "unpacked into $folder in $((SECONDS - started)) s"
}

# install_libtorch WHEELS
install_libtorch() {
  [[ $(uname -sm) == "Linux x86_64" ]] ||
    fail "no LibTorch for $(uname -sm) in PyTorch's wheel: set CDM_LIBTORCH to the folder of yours"
  unpack_wheels .deps/libtorch "$1"
}

# Whether there is an nvcc of the CUDA version that LibTorch uses.
has_nvcc() { command -v nvcc >/dev/null && [[ $(nvcc --version) == *"release ${cuda_needed%.*}."* ]]; }

# nvcc, where there is none.
install_nvcc() {
  local cuda=.deps/libtorch/nvidia/cu13
  if has_nvcc; then return; fi
  if [[ -n ${CDM_LIBTORCH:-} ]]; then
    say "no nvcc of CUDA 13: programs are built without this project's CUDA kernels and graphs, and a training step takes more than four times as long; install the CUDA toolkit 13.0, or nvidia-cuda-nvcc 13.0 with pip beside your LibTorch"
    return
  fi
  say "no nvcc of CUDA 13 was found: taking NVIDIA's wheels (0.1 GB to download, 0.3 GB on disk)"
  unpack_wheels .deps/libtorch "$nvcc_wheels"
  chmod +x "$cuda"/bin/* "$cuda"/nvvm/bin/*  # unpacking a wheel forgets this
}

# CMake and Ninja in .deps/bin.
install_tools() {
  unpack_wheels .deps/tools "$tool_wheels"
  mkdir -p .deps/bin
  local program
  for program in .deps/tools/cmake/data/bin/* .deps/tools/ninja-*.data/scripts/ninja; do
    chmod +x "$program"
    ln -sf "../../$program" .deps/bin/
  done
  say "CMake and Ninja are in .deps/bin; to call them by hand: export PATH=$PWD/.deps/bin:\$PATH"
}
