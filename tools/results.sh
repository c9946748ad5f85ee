#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Trains the models that the paper compares, at the small scale of configs/small/, and makes the
# tables and pictures of docs/results.md. When it is stopped and called again, finished trainings
# are not repeated, and unfinished ones are resumed.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tools/results.sh [-j N] OUT [PICTURES]
  -j N      number of trainings that run at the same time, each on one thread (default: the number
            of processors)
  OUT       folder in which runs/ and eval/ are made
  PICTURES  folder with train/CLASS/*.jpg and test/CLASS/*.jpg, such as CIFAR-10 as JPEG files, for
            the colour runs; without it there are none
The programs must be in build/release/bin (see README.md). On two CPU cores it takes 70 minutes or
more, and not much less without PICTURES.
TEXT
}

side_by_side=$(nproc)
if [[ ${1-} == -j && ${2-} == [1-9]* ]]; then
  side_by_side=$2
  shift 2
fi
if (($# < 1 || $# > 2)) || [[ $1 == -* ]]; then
  usage >&2
  exit 2
fi
here=$(cd "$(dirname "$0")/.." && pwd)
bin=$here/build/release/bin
mkdir -p "$1"
out=$(cd "$1" && pwd)
pictures=${2:+$(cd "$2" && pwd)}
runs=$out/runs eval=$out/eval
fashion=/usr/share/datasets/fashion-mnist  # where tools/setup.sh --data puts it

# train NAME CONFIG [section.key=value...]: adds the training of runs/NAME to the queue.
queue=()
train() {
  local name=$1 config=$2 settings=()
  shift 2
  for setting in "$@"; do settings+=(--set "$setting"); done
  queue+=("$(printf '%q ' "$bin/cdm-train" "$here/configs/$config.yaml" --run-dir "$runs/$name" \
    "${settings[@]}") >/dev/null")
}

# systems PREFIX CONFIG [section.key=value...]: adds the trainings of Table 1 to the queue.
systems() {
  local prefix=$1 config=$2
  shift 2
  train "$prefix-cdm" "$config" "$@"
  train "$prefix-ce" "$config" loss.mse_weight=0 "$@"
  train "$prefix-mse" "$config" loss.ce_weight=0 "$@"
  train "$prefix-ddm" "$config" model.predicts=noise loss.kind=denoising "$@"
  train "$prefix-unif" "$config" diffusion.schedule=uniform "$@"
  train "$prefix-ot" "$config" diffusion.schedule=flow_matching "$@"
}

# tables PREFIX: makes Table 1 with the likelihoods, and figures 3, 4, 5 and 9.
tables() {
  local of=$runs/$1
  "$bin/cdm-eval" levels "$of"-{cdm,ce,mse,ddm,unif,ot} --limit 2000 --out "$eval/$1"
  "$bin/cdm-eval" denoise "$of-cdm" "$of-ddm" --out "$eval/$1"
  "$bin/cdm-eval" curves "$of-cdm" --out "$eval/$1"
  "$bin/cdm-sample" "$of-cdm" -n 64 --grid "$eval/$1/samples.png"
}

# Trained for longer than the others: after a short training, guidance has no visible effect.
train fashion-cond small/fashion model.num_classes=10 train.iterations=6000 train.decay_every=5000
systems fashion small/fashion
if [[ -n $pictures ]]; then systems cifar small/cifar10_jpeg "data.path=$pictures"; fi
# Models of known densities (figure 7).
toys=()
for width in 0.25 0.5 1 2 3; do
  train "toy-$width" small/toy "data.toy_width=$width"
  toys+=("$runs/toy-$width")
done
train toy-gauss-fashion small/toy_gaussian "data.path=$fashion"
toys+=("$runs/toy-gauss-fashion")
if [[ -n $pictures ]]; then
  train toy-gauss-cifar small/toy_gaussian "data.path=$pictures"
  toys+=("$runs/toy-gauss-cifar")
fi
for system in peaks peaks_nce peaks_tre; do train "$system" "$system"; done

printf '%s\0' "${queue[@]}" | OMP_NUM_THREADS=1 xargs -0 -n 1 -P "$side_by_side" bash -c

tables fashion
if [[ -n $pictures ]]; then tables cifar; fi
"$bin/cdm-eval" toy "${toys[@]}" --images 10000 --out "$eval/toy"
"$bin/cdm-eval" toy "$runs"/peaks{,_nce,_tre} --out "$eval/peaks"
# How often images drawn for a class look like it, for several strengths of guidance.
samples=()
for guidance in 0 1 3; do
  file=$eval/fashion/guidance-$guidance.npz
  "$bin/cdm-sample" "$runs/fashion-cond" -n 800 --class 0,1,2,3,4,5,6,7,8,9 --guidance "$guidance" \
    --sampler ddim --steps 25 --out "$file"
  samples+=("$file")
done
"$bin/cdm-eval" agreement "${samples[@]}" --data "$fashion" --out "$eval/fashion"
echo "results in $eval"
