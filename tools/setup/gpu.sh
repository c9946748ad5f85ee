# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by tools/setup.sh and tools/quickstart.sh: is there a GPU that this project can use?

cuda_needed=13.0       # what LibTorch's wheel was built with: driver 580 or newer
capability_needed=8.0  # the oldest architecture that CUDA kernels are built for (cmake/Cuda.cmake)

# at_least A B: whether version A is B or newer.
at_least() { [[ $(printf '%s\n%s\n' "$1" "$2" | sort -V | head -n 1) == "$2" ]]; }

# Sets `gpu` to "yes" where there is a GPU that this project can use and to "" elsewhere, and
# `gpu_text` to a line that says what there is, and what would help.
look_for_gpu() {
  local found cuda capability name
  found=$(python3 tools/setup/find_gpu.py) || found=
  read -r cuda capability name <<<"$found"
  gpu=
  if [[ -z $found ]]; then
    gpu_text="no NVIDIA driver was found: using the CPU"
  elif ! at_least "$cuda" "$cuda_needed"; then
    gpu_text="the NVIDIA driver supports CUDA $cuda, and LibTorch needs $cuda_needed: using the CPU; a driver 580 or newer helps (on a data-centre GPU the package cuda-compat-13-0, too)"
  elif [[ $capability == - ]]; then
    gpu_text="there is an NVIDIA driver, but no GPU that it can use: using the CPU; if the programs will run elsewhere (this is a login node, or CUDA_VISIBLE_DEVICES is empty), call tools/setup.sh --cuda"
  elif ! at_least "$capability" "$capability_needed"; then
    gpu_text="$name has compute capability $capability, and $capability_needed is needed: using the CPU; an Ampere GPU (A100, RTX 30) or a newer one helps"
  else
    gpu=yes
    # shellcheck disable=SC2034  # read by the scripts that source this file
    gpu_text="found $name (compute capability $capability, driver for CUDA $cuda)"
  fi
}
