#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is needed, builds the programs, trains a small model on Fashion-MNIST for a few
# minutes, draws 64 images and scores the test images. A second call does not repeat finished work.
set -euo pipefail

run=runs/quickstart
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

train() { "$bin/cdm-train" configs/quickstart.yaml --run-dir "$run" >/dev/null; }

sample() {
  "$bin/cdm-sample" "$run" -n 64 --seed 0 --grid "$run/samples.png" --out "$run/samples.npz" >/dev/null
}

score() {
  "$bin/cdm-nll" "$run" --split test --gaussian --out "$run/scores.csv" >"$run/scores.txt.part"
  mv "$run/scores.txt.part" "$run/scores.txt"
}

# mean_of NAME: the mean of that name in cdm-nll's summary, and its 95 % interval.
mean_of() {
  awk -v name="$1" '$1 == name { printf "%s (95 %% interval %s to %s)", $2, $6, $7 }' "$run/scores.txt"
}

if (($# > 0)); then
  echo "usage: tools/quickstart.sh" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
stage "setting up: Debian packages, LibTorch, Fashion-MNIST" tools/setup.sh --data
stage "building the programs" build
stage "training for at most 6.5 minutes (an interrupted training is resumed)" train
stage "drawing 64 images" sample
stage "scoring the 10,000 test images" score

cat <<TEXT

64 images drawn from noise:   $run/samples.png
this model, test images:      $(mean_of bits_per_dim) bits/dim
a Gaussian with the data's
covariance, same images:      $(mean_of gaussian_bits_per_dim) bits/dim
(lower is better; minutes in all: $(((SECONDS + 30) / 60)))

What to try next:
  $bin/cdm-train configs/quickstart.yaml --run-dir $run --set train.iterations=10000 --set train.max_minutes=60
  $bin/cdm-sample $run -n 16 --sampler ddpm --steps 200 --grid ddpm.png
  $bin/cdm-nll $run --level 50 --out level50.csv
TEXT
