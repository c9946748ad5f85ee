# SPDX-License-Identifier: MIT
"""Takes a checkpoint of the authors' layout through cdm-convert and back, and opens what it wrote
as a user of PyTorch would. By hand:

    python tests/python/check_convert.py build/release/bin CASE

CASE is a folder with checkpoint.pth and config.yaml. The .pth that comes back is loaded with
weights_only=True, must hold the very tensors, and its optimizer must load into torch.optim.Adam;
the .safetensors are loaded with the safetensors package. Needs
`pip install torch==2.11.0 numpy safetensors`.
"""
import argparse
import collections
import subprocess
import tempfile
from pathlib import Path

import safetensors.torch
import torch

from check_torch_files import compare


def adam_with(weights, state):
    """PyTorch's optimizer of these weights, in this state."""
    adam = torch.optim.Adam([torch.nn.Parameter(value) for value in weights.values()], lr=1.0)
    adam.load_state_dict(state)
    return adam


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("bin", type=Path)
    parser.add_argument("case", type=Path)
    arguments = parser.parse_args()
    program = (arguments.bin / "cdm-convert").resolve()
    original = torch.load(arguments.case / "checkpoint.pth", weights_only=True)
    weights = original["model_state_dict"]
    counts = collections.Counter()

    with tempfile.TemporaryDirectory() as folder:
        def convert(*words):
            subprocess.run([program, *words], check=True, cwd=folder)

        convert((arguments.case / "checkpoint.pth").resolve(), "--out", "run",
                "--config", (arguments.case / "config.yaml").resolve())
        convert("run", "--out", "back.pth")
        back = torch.load(Path(folder) / "back.pth", weights_only=True)
        for part in ("model_state_dict", "ema_model_state_dict"):
            compare(back[part], original[part], part, counts)
        assert list(back["model_state_dict"]) == list(weights), "the order of the parameters differs"
        if "optimizer_state_dict" in original:
            ours = adam_with(weights, back["optimizer_state_dict"])
            theirs = adam_with(weights, original["optimizer_state_dict"])
            compare(ours.state_dict()["state"], theirs.state_dict()["state"], "optimizer", counts)

        for kind, part in (("ema", "ema_model_state_dict"), ("model", "model_state_dict")):
            convert("run", "--out", "weights.safetensors", "--weights", kind)
            file = safetensors.torch.load_file(Path(folder) / "weights.safetensors")
            compare(file, dict(original[part]), kind, counts)
    print("the same:", ", ".join(f"{n} {kind}" for kind, n in counts.most_common()))


if __name__ == "__main__":
    main()
