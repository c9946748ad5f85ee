#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is needed, builds the programs, trains a small model on Fashion-MNIST for a few
# minutes, draws 64 images and scores the test images. A second call does not repeat finished work.
set -euo pipefail

bin=build/release/bin

say() { echo "quickstart: $*"; }

# stage TITLE COMMAND...: runs a command, and says before what it does and after how long it took.
stage() {
  local title=$1 started=$SECONDS
  shift
  say "$title"
  "$@"
  say "done in $((SECONDS - started)) s"
}

build() {
  cmake --preset release >/dev/null
  cmake --build --preset release --target cdm-train cdm-sample cdm-nll -- --quiet
}

# Chooses what to train: the bigger network where a GPU is found and the programs can use it. $cpu is
# "--cpu" where the user does not want a GPU.
choose() {
  name=quickstart
  minutes=6.5
  more="--set train.iterations=100000"  # to go on with
  options=()
  # Without root, tools/setup.sh --data downloads the images.
  if [[ ! -d /usr/share/datasets/fashion-mnist ]]; then options=(--set data.path=data/fashion_mnist); fi
  if [[ $cpu ]]; then
    options+=(--set device=cpu)
    return
  fi
  look_for_gpu
  if [[ ! $gpu ]]; then return; fi
  local problem
  if problem=$("$bin/cdm-train" configs/quickstart_gpu.yaml --set device=cuda "${options[@]}" --dry-run 2>&1 >/dev/null); then
    name=quickstart_gpu
    minutes=3
  else
    say "$gpu_text, but the programs cannot use it, so the CPU is used: $(tail -n 1 <<<"$problem")"
  fi
}

train() { "$bin/cdm-train" "configs/$name.yaml" "${options[@]}" --run-dir "$run" >/dev/null; }

sample() {
  "$bin/cdm-sample" "$run" -n 64 --seed 0 --grid "$run/samples.png" --out "$run/samples.npz" >/dev/null
}

score() {
  "$bin/cdm-nll" "$run" --split test --check 2 --gaussian --out "$run/scores.csv" >"$run/scores.txt.part"
  mv "$run/scores.txt.part" "$run/scores.txt"
}

# mean_of NAME: the mean of that name in cdm-nll's summary, and its 95 % interval.
mean_of() {
  awk -v name="$1" '$1 == name { printf "%s (95 %% interval %s to %s)", $2, $6, $7 }' "$run/scores.txt"
}

cpu=
if [[ $# == 1 && $1 == --cpu ]]; then
  cpu=--cpu
elif (($# > 0)); then
  echo "usage: tools/quickstart.sh [--cpu]" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
export PATH=$PWD/.deps/bin:$PATH  # where tools/setup.sh puts CMake and Ninja without root
source tools/setup/gpu.sh
stage "setting up: packages, LibTorch, Fashion-MNIST" tools/setup.sh --data $cpu
stage "building the programs" build
choose
run=runs/$name
stage "training configs/$name.yaml for at most $minutes minutes (an interrupted training is resumed)" train
stage "drawing 64 images" sample
stage "scoring the 10,000 test images" score

cat <<TEXT

64 images drawn from noise:   $run/samples.png
this model, test images:      $(mean_of bits_per_dim) bits/dim
what its denoiser proves:     $(mean_of denoiser_bound_bits_per_dim) bits/dim
a Gaussian with the data's
covariance, same images:      $(mean_of gaussian_bits_per_dim) bits/dim
(lower is better; minutes in all: $(((SECONDS + 30) / 60)))

What to try next:
  $bin/cdm-train configs/$name.yaml --run-dir $run${options[*]:+ ${options[*]}} $more --set train.max_minutes=60
  $bin/cdm-sample $run -n 16 --sampler ddpm --steps 200 --grid ddpm.png
  $bin/cdm-nll $run --level 50 --out level50.csv
TEXT
