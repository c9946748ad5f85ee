#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Reads the results of one speedrun, writes them to FOLDER/speedrun.json and as a row of the table in
docs/speedrun.md to FOLDER/row.md, and prints the row. tools/speedrun.sh calls it."""
import argparse
import csv
import json
import re
import subprocess
from pathlib import Path

COLUMNS = ["config", "seed", "minutes", "hardware", "commit", "steps", "images/s", "score",
           "one forward pass", "denoiser bound", "gap", "CE, nats", "FD", "broken of 64", "agreement"]


def read_json(path):
    return json.loads(path.read_text())


def hardware(track):
    if track == "gpu":
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        return subprocess.run(query, capture_output=True, text=True, check=True).stdout.split("\n")[0]
    models = re.findall(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return f"2 cores, {models[0]}" if models else "2 cores"


def results_of(out, args):
    """Everything that the row says, and more of it. Scores are in bits per dimension."""
    scores = read_json(out / "scores.csv.json")
    means = scores["means"]
    one_forward, bound = means["bits_per_dim"], means["denoiser_bound_bits_per_dim"]
    levels = read_json(out / "eval/levels.json")[0]
    distances = {row["measure"]: row for row in read_json(out / "eval/fid.json")}
    first = next(iter(distances.values()))  # the Frechet distance
    with open(out / "eval/fid-images.csv") as lines:
        broken = [int(row["broken"]) for row in csv.DictReader(lines)]
    config = (out / "run/config.yaml").read_text()
    checkpoint = Path(scores["checkpoint"]).name  # step-00001200
    steps = int(checkpoint.removeprefix("step-"))
    batch = int(re.search(r"^  batch_size: (\d+)$", config, re.MULTILINE).group(1))
    process = float((out / "process_seconds").read_text())
    trained = read_json(out / "run/checkpoints" / checkpoint / "state.json")["seconds"]
    # The clock of the rules: the whole process on a CPU; on a GPU the training alone, which ends
    # with the first step after the limit.
    seconds_over = (process if args.track == "cpu" else trained - 1) - 60 * args.minutes
    resumed = (out / "resumed").exists()
    agreement = out / "eval/agreement.json"
    return {
        "track": args.track, "minutes": args.minutes, "config": args.config, "seed": args.seed,
        "commit": args.commit, "hardware": hardware(args.track), "images_scored": scores["images"],
        "process_seconds": process, "trainer_seconds": trained, "resumed": resumed,
        "within_the_rules": not resumed and seconds_over <= 0,
        "scoring_seconds": sum(int(done.read_text()) for done in (out / "done").iterdir()
                               if done.name not in ("check", "train")),
        "steps": steps, "batch_size": batch, "images_per_second": steps * batch / trained,
        "score": max(one_forward["mean"], bound["mean"]), "one_forward": one_forward,
        "denoiser_bound": bound, "gap": means["gap_bits_per_dim"],
        "ce_nats": levels["ce_nats"], "accuracy": levels["accuracy"], "mse": levels["mse"],
        "frechet": {"name": first["measure"], "value": first["value"], "images": first["images"],
                    "network_sha256": first["network_sha256"]},
        "broken_of_64": sum(broken[:64]), "broken_share": distances["broken"]["value"],
        "usual_total_variation": [distances["broken"]["range_low"],
                                  distances["broken"]["range_high"]],
        "agreement": read_json(agreement)[0]["share_agreeing"] if agreement.exists() else None,
    }


def with_interval(mean):
    low, high = mean["interval_95"]
    return f"{mean['mean']:.4f} ({low:.4f} to {high:.4f})"


def row_of(r):
    cells = [r["config"], r["seed"], f"{r['minutes']:g}", r["hardware"], r["commit"], f"{r['steps']:,}",
             f"{r['images_per_second']:,.0f}", f"**{r['score']:.3f}**",
             with_interval(r["one_forward"]), with_interval(r["denoiser_bound"]),
             f"{r['gap']['mean']:+.4f}", f"{r['ce_nats']:.3f}", f"{r['frechet']['value']:.2f}",
             r["broken_of_64"], "-" if r["agreement"] is None else f"{100 * r['agreement']:.0f} %"]
    return "| " + " | ".join(str(cell) for cell in cells) + " |"


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--track", required=True)
    parser.add_argument("--minutes", type=float, required=True)
    parser.add_argument("--config", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--commit", required=True)
    args = parser.parse_args()
    results = results_of(args.folder, args)
    (args.folder / "speedrun.json").write_text(json.dumps(results, indent=2) + "\n")
    lines = ["| " + " | ".join(COLUMNS) + " |", "|" + "---|" * len(COLUMNS), row_of(results)]
    (args.folder / "row.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    print(f"\nclock: {results['trainer_seconds']:.0f} s of training, {results['process_seconds']:.0f} s "
          f"with start and end; scored in {results['scoring_seconds']} s")
    if results["resumed"]:
        print("This training was interrupted and resumed: it is no record.")
    elif not results["within_the_rules"]:
        print("This training took longer than its limit: it is no record.")


if __name__ == "__main__":
    main()
