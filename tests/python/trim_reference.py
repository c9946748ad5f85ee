# SPDX-License-Identifier: MIT
"""Makes the small copy of a case of reference numbers that is kept here. By hand:

    python tests/python/trim_reference.py CASE tests/reference/uncond

Left out: the optimizer's state; of the gradient of a weight with more than 4096 values, all but the
first quarter of its rows; of the DDPM samples, all but the first image. Nothing is changed in type
or value. Needs `pip install torch==2.11.0 numpy safetensors`.
"""
import argparse
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

LARGE = 4096
COPIED = ["config.yaml", "images.npz", "nll.safetensors", "sample_ddim_init.npy",
          "sample_ddim_result.npy"]


def first_rows(name, tensor):
    if name.startswith("grad.") and tensor.numel() > LARGE:
        return tensor[: max(1, len(tensor) // 4)].contiguous()
    return tensor


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("case", type=Path)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    case, out = arguments.case, arguments.out
    out.mkdir(parents=True, exist_ok=True)
    for name in COPIED:
        shutil.copyfile(case / name, out / name)
    loss = load_file(case / "loss.safetensors")
    save_file({name: first_rows(name, tensor) for name, tensor in loss.items()},
              out / "loss.safetensors")
    checkpoint = torch.load(case / "checkpoint.pth", weights_only=True)
    del checkpoint["optimizer_state_dict"]
    torch.save(checkpoint, out / "checkpoint.pth")
    for name in ("init", "result"):
        np.save(out / f"sample_ddpm_{name}.npy", np.load(case / f"sample_ddpm_{name}.npy")[:1])
    np.save(out / "sample_ddpm_noise.npy", np.load(case / "sample_ddpm_noise.npy")[:, :1])


if __name__ == "__main__":
    main()
