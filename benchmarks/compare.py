# SPDX-License-Identifier: MIT
"""cdm-bench beside plain eager PyTorch: the same network, batch and work, turn by turn.

  compare.py [CASE...] [--what train,sample,nll] [--rounds 3] [--repeats 3] [--device cpu]

A CASE is a configuration's name and a batch size, as in cifar10:8. Needs a Python with torch 2.11
and numpy, and the programs in build/release/bin. Every kind of work runs in a process of its own,
ours and PyTorch's taking turns; the table has the medians over the rounds. "of GEMM" is the
share of the speed of a large matrix product, measured in the same processes. On a GPU ours computes
in bf16 unless --set precision=fp32 or tf32 says otherwise.
"""
import argparse
import json
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SIZES = {"quickstart_paper": (28, 1), "cifar10": (32, 3), "celeba64": (64, 3)}
CASES = ["quickstart_paper:32", "cifar10:8"]


def run(command):
    result = subprocess.run([str(part) for part in command], check=True, capture_output=True)
    return json.loads(result.stdout)


def measure(case, what, options):
    name, batch = case.split(":")
    size, channels = SIZES[name]
    common = [ROOT / "configs" / f"{name}.yaml", "--what", what, "--batch", batch, "--image-size",
              size, "--channels", channels, "--repeats", options.repeats, "--device",
              options.device]
    ours, plain = [], []
    for _ in range(options.rounds):
        ours.append(run([options.bin / "cdm-bench", *common, "--json",
                         *(f"--set={pair}" for pair in options.set)])[what])
        plain.append(run([sys.executable, ROOT / "benchmarks" / "time_pytorch.py", *common])[what])
    median = lambda rows, key: statistics.median(row[key] for row in rows)  # noqa: E731
    return ours, plain, median


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("cases", nargs="*", default=CASES)
    parser.add_argument("--what", default="train,sample,nll")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--set", action="append", default=[], help="for cdm-bench: section.key=value")
    parser.add_argument("--bin", type=Path, default=ROOT / "build" / "release" / "bin")
    options = parser.parse_args()
    print("| case | work | ours, ms | PyTorch, ms | times faster | images/s | GFLOP/s | of GEMM "
          "| memory, MiB | PyTorch's | share |")
    print("|---|---|---|---|---|---|---|---|---|---|---|")
    for case in options.cases:
        for what in options.what.split(","):
            ours, plain, median = measure(case, what, options)
            ms, plain_ms = median(ours, "median_ms"), median(plain, "median_ms")
            memory = max(row["peak_memory_bytes"] for row in ours) / 2**20
            plain_memory = max(row["peak_memory_bytes"] for row in plain) / 2**20
            print(f"| {case} | {what} | {ms:.0f} | {plain_ms:.0f} | {plain_ms / ms:.2f} "
                  f"| {median(ours, 'images_per_s'):.1f} | {median(ours, 'flop_per_s') / 1e9:.0f} "
                  f"| {median(ours, 'share_of_matrix_product'):.0%} | {memory:.0f} "
                  f"| {plain_memory:.0f} | {memory / plain_memory:.2f} |", flush=True)


if __name__ == "__main__":
    main()
