#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# One entry of the speedrun (docs/speedrun.md): trains a configuration on Fashion-MNIST within a fixed
# time, scores it by the same commands as all others, and prints its row of the table. When it is
# stopped and called again, finished stages are not repeated.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tools/speedrun.sh cpu|gpu [--minutes M] [--config FILE] [--seed S] [--out FOLDER]
  cpu|gpu      the track: two CPU cores, or one GPU
  --minutes M  time limit of the training; default: 7 for cpu, 3 for gpu (the other track is 10)
  --config F   what is trained; default: configs/quickstart.yaml for cpu, configs/quickstart_gpu.yaml
               for gpu
  --seed S     seed of the training; default: 0
  --out F      folder of the results; default: runs/speedrun/TRACK-M-CONFIG-S
The programs must be in build/release/bin (see README.md), and Fashion-MNIST where
tools/setup.sh --data puts it. Scoring takes about as long again on two cores, and does not count.
TEXT
}

say() { echo "speedrun: $*" >&2; }
fail() {
  say "$@"
  exit 1
}
wrong() {
  say "$@"
  usage >&2
  exit 2
}

# The first two of the processors that this process may use, as taskset takes them.
two_cores() {
  awk '$1 == "Cpus_allowed_list:" {
    parts = split($2, ranges, ",")
    for (i = 1; i <= parts; ++i) {
      ends = split(ranges[i], range, "-")
      for (cpu = range[1]; cpu <= range[ends]; ++cpu) {
        list = list (found ? "," : "") cpu
        if (++found == 2) { print list; exit }
      }
    }
    print list
  }' /proc/self/status
}

# once NAME TITLE COMMAND...: runs a command, unless it has ended well before. Notes its seconds in
# done/NAME.
once() {
  local name=$1 title=$2 started=$SECONDS
  shift 2
  if [[ -e $out/done/$name ]]; then return; fi
  say "$title"
  "$@" || fail "failed: $title (the reason stands above); the same command goes on from there"
  echo $((SECONDS - started)) >"$out/done/$name.part"
  mv "$out/done/$name.part" "$out/done/$name"
}

# Trains. The clock of a cpu run is that of the whole process, start-up and the last checkpoint
# included, so a tenth of a minute is kept for them; that of a gpu run is the trainer's own.
train() {
  local started
  if [[ -e $out/begun ]]; then touch "$out/resumed"; fi
  touch "$out/begun"
  started=$(date +%s.%N)
  "${cores[@]}" "$bin/cdm-train" "$config" "${settings[@]}" --run-dir "$run" >/dev/null || return
  if ! tail -n 1 "$run/log.txt" | grep -Eq '(done|train.max_minutes reached): '; then
    say "the training was stopped before its end"
    return 1
  fi
  awk -v begin="$started" -v end="$(date +%s.%N)" 'BEGIN { printf "%.1f\n", end - begin }' \
    >"$out/process_seconds"
}

score() {
  "$bin/cdm-nll" "$run" --split test --check 4 --seed 0 --out "$out/scores.csv" >"$out/scores.txt"
}
levels() { "$bin/cdm-eval" levels "$run" --split test --out "$out/eval" >/dev/null; }
draw() {
  "$bin/cdm-sample" "$run" -n 64 --seed 0 "${classes[@]}" --grid "$out/samples.png" >/dev/null &&
    "$bin/cdm-sample" "$run" -n "$images" --seed 0 "${classes[@]}" --out "$out/samples.npz" >/dev/null
}
distance() {
  "$bin/cdm-eval" fid --samples "$out/samples.npz" --reference "$data" --split train \
    --features "$here/tools/speedrun/fashion_cnn.pt" --out "$out/eval" >/dev/null
}
agree() { "$bin/cdm-eval" agreement "$out/samples.npz" --data "$data" --out "$out/eval" >/dev/null; }
picture() { "$bin/cdm-eval" training "$run" --out "$out/eval" >/dev/null; }

track=${1-}
case $track in
  -h | --help)
    usage
    exit 0
    ;;
  cpu) minutes=7 config=configs/quickstart.yaml images=500 ;;
  gpu) minutes=3 config=configs/quickstart_gpu.yaml images=10000 ;;
  *) wrong "the track must be cpu or gpu, not '$track'" ;;
esac
shift
here=$(cd "$(dirname "$0")/.." && pwd)
config=$here/$config seed=0 out=
while (($# > 0)); do
  if [[ $1 != --minutes && $1 != --config && $1 != --seed && $1 != --out ]]; then
    wrong "there is no option '$1'"
  fi
  if [[ -z ${2-} ]]; then wrong "$1 needs a value"; fi
  declare "${1#--}=$2"
  shift 2
done
[[ $minutes =~ ^[0-9]+(\.[0-9]+)?$ && ! $minutes =~ ^0+(\.0+)?$ ]] ||
  wrong "--minutes $minutes: must be a number above 0"
if [[ $track == cpu ]] && awk -v m="$minutes" 'BEGIN { exit m >= 0.5 }'; then
  wrong "--minutes $minutes: must be at least 0.5 for cpu, of which 0.1 are for start and end"
fi
[[ $seed =~ ^[0-9]+$ ]] || wrong "--seed $seed: must be a whole number"
[[ -f $config ]] || fail "--config $config: there is no such file"

bin=$here/build/release/bin
for program in cdm-train cdm-nll cdm-sample cdm-eval; do
  [[ -x $bin/$program ]] || fail "$bin/$program is missing: build the programs first (see README.md)"
done
data=/usr/share/datasets/fashion-mnist  # where tools/setup.sh --data puts it; without root:
if [[ ! -d $data ]]; then data=$here/data/fashion_mnist; fi
[[ -d $data ]] || fail "Fashion-MNIST is missing: tools/setup.sh --data fetches it"

name=$(basename "$config" .yaml)
out=${out:-$here/runs/speedrun/$track-$minutes-$name-$seed}
mkdir -p "$out/done"
out=$(cd "$out" && pwd)
run=$out/run
asked="track $track minutes $minutes seed $seed config $(md5sum <"$config" | cut -d ' ' -f 1)"
if [[ ! -e $out/asked ]]; then echo "$asked" >"$out/asked"; fi
[[ $(<"$out/asked") == "$asked" ]] ||
  fail "$out holds another entry ($(<"$out/asked"), not $asked); give another folder by --out"

settings=(--set data.kind=fashion_mnist --set "data.path=$data" --set data.dequantize=uniform
  --set "seed=$seed")
cores=()
if [[ $track == cpu ]]; then
  settings+=(--set device=cpu --set "train.max_minutes=$(awk -v m="$minutes" 'BEGIN { print m - 0.1 }')")
  cores=(taskset -c "$(two_cores)")
else
  settings+=(--set device=cuda --set "train.max_minutes=$minutes")
fi
once check "checking $config" "$bin/cdm-train" "$config" "${settings[@]}" --dry-run >/dev/null
once train "training $name for at most $minutes minutes" train
classes=() ten=0,1,2,3,4,5,6,7,8,9
if ! grep -q '^  num_classes: 0$' "$run/config.yaml"; then classes=(--class "$ten"); fi
once score "scoring the 10,000 test images" score
once levels "cross entropy of the noise levels" levels
once draw "drawing 64 images for the picture and $images to measure" draw
once distance "Frechet distance and broken images" distance
if ((${#classes[@]} > 0)); then once agree "classes of the images" agree; fi
if grep -q test_gap "$run/metrics.jsonl"; then once picture "picture of the training" picture; fi
revision=$("$bin/cdm-train" --version | awk '$1 == "revision" { print $2 }')
python3 "$here/tools/speedrun/row.py" "$out" --track "$track" --minutes "$minutes" --config "$name" \
  --seed "$seed" --commit "$revision" || fail "the results in $out cannot be read"
say "pictures: $out/samples.png, and those in $out/eval"
