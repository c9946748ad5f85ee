#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Trains configs/fashion_gpu.yaml, scores all test images, draws 64 images and the level curves, and
# prints a table for docs/benchmarks.md. When it is stopped and called again, it goes on.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tools/results_gpu.sh OUT [OPTION of cdm-train ...]
  OUT     folder in which run/ (the training) and the results are made
  OPTION  given to cdm-train after the configuration, such as --set train.iterations=2000
The programs must be in build/release/bin (see README.md), and Fashion-MNIST where
tools/setup.sh --data puts it. On one NVIDIA H200 it takes about five minutes.
TEXT
}

if [[ ${1-} == -h || ${1-} == --help ]]; then
  usage
  exit 0
fi
if (($# < 1)) || [[ -z $1 || $1 == -* ]]; then
  usage >&2
  exit 2
fi
here=$(cd "$(dirname "$0")/.." && pwd)
bin=$here/build/release/bin
mkdir -p "$1"
out=$(cd "$1" && pwd)
run=$out/run
shift

started=$SECONDS
"$bin/cdm-train" "$here/configs/fashion_gpu.yaml" --run-dir "$run" "$@" >/dev/null
trained=$((SECONDS - started))

started=$SECONDS
"$bin/cdm-nll" "$run" --split test --dequantize uniform --draws 4 --check 4 --gaussian --out "$out/scores.csv" >"$out/scores.txt"
scored=$((SECONDS - started))

started=$SECONDS
"$bin/cdm-sample" "$run" -n 64 --seed 0 --grid "$out/samples.png" --out "$out/samples.npz" >/dev/null
drawn=$((SECONDS - started))
"$bin/cdm-eval" curves "$run" --out "$out" >/dev/null

# mean_of NAME: the mean of that name in cdm-nll's summary, and its 95 % interval.
mean_of() {
  awk -v name="$1" '$1 == name { printf "%s (95 %% interval %s to %s)", $2, $6, $7 }' "$out/scores.txt"
}
card=CPU
if ! grep -qx 'device: cpu' "$run/config.yaml" && command -v nvidia-smi >/dev/null; then
  card=$(nvidia-smi --query-gpu=name,driver_version --format=csv,noheader | head -n 1) || card=CPU
fi

tee "$out/table.md" <<TEXT
| | |
|---|---|
| hardware | $card |
| commit | $("$bin/cdm-train" --version | awk '$1 == "revision" { print $2 }') |
| training | $trained s |
| bits/dim by one forward pass, mean of 4 dequantisations | $(mean_of bits_per_dim) |
| the same, importance-weighted over the 4 | $(mean_of importance_weighted_bits_per_dim) |
| bits/dim that the denoiser proves (cdm-nll --check 4) | $(mean_of denoiser_bound_bits_per_dim) |
| gap of the first to the proven one | $(mean_of gap_bits_per_dim) |
| a Gaussian with the data's covariance | $(mean_of gaussian_bits_per_dim) |
| scoring and checking 10,000 images | $scored s |
| drawing 64 images | $drawn s |
| published, Glow, 69.4 M parameters, by one pass | 3.141 |
TEXT
echo "pictures: $out/samples.png and the level curves in $out"
