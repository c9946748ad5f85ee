#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Installs what is missing, builds, and runs all tests with ctest: the release build, the build with
# address and undefined-behaviour sanitizers, and a short run of each fuzz target. At the end it
# prints how many tests ran, and how many were skipped and why.
set -euo pipefail

usage() {
  cat <<'TEXT'
usage: tools/test.sh [PRESET...]
  PRESET  what to build and test: release, debug, asan, fuzz, cuda (default: release asan fuzz)
TEXT
}

say() { echo "test: $*"; }

cd "$(dirname "$0")/.."
export PATH=$PWD/.deps/bin:$PATH  # where tools/setup.sh puts CMake and Ninja without root
presets=()
for argument in "$@"; do
  case $argument in
    release | debug | asan | fuzz | cuda) presets+=("$argument") ;;
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
if ((${#presets[@]} == 0)); then presets=(release asan fuzz); fi

setup=(--data --python)
if [[ " ${presets[*]} " == *" fuzz "* ]]; then setup+=(--fuzz); fi
tools/setup.sh "${setup[@]}"
results=()
failed=0
for preset in "${presets[@]}"; do
  started=$SECONDS
  say "building $preset"
  cmake --preset "$preset" >/dev/null
  cmake --build --preset "$preset" -- --quiet
  built=$SECONDS
  say "$preset built in $((built - started)) s; running its tests"
  rm -rf "build/$preset/reports"
  if ctest --preset "$preset" --parallel "$(nproc)"; then verdict=passed; else
    verdict=FAILED
    failed=1
  fi
  results+=("$preset: $verdict; built in $((built - started)) s, tested in $((SECONDS - built)) s")
  results+=("$(tools/test_summary.py "build/$preset")")
done
printf '%s\n' "${results[@]}" | while IFS= read -r line; do say "$line"; done
exit "$failed"
