# SPDX-License-Identifier: MIT
"""Makes tests/data/golden_losses.safetensors: ten training steps in plain PyTorch, in float64, of
the networks in tests/data/golden_*.yaml. tests/train/test_golden_losses.cpp repeats them in C++.

The file holds, per case, what goes in (x0, t, noise, labels of each step) and what came out: the
loss terms, gradient norm and learning rate of each step, and some weights and averages after the
last. The initial weights are a formula, written here and in the C++ test.
"""
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "benchmarks"))
import plain_pytorch as plain  # noqa: E402

STEPS, BATCH, CHANNELS, SIZE = 10, 4, 3, 8
MASK = 0xFFFFFFFF
# What is kept of the weights: each kind of layer, few numbers. None whose true gradient is zero
# (such as that of the first logit's bias), because Adam makes steps of full size out of rounding.
KEPT = ("conv_in.weight", "down.0.downsample.conv.bias", "mid.attn_1.norm.weight",
        "up.0.block.1.norm2.bias", "norm_out.weight", "conv_out.bias", "label_emb.weight",
        "down.0.block.0.temb_proj.bias")


def hash32(value):
    """A bijection of 32-bit integers that looks random."""
    value = (value ^ (value >> 16)) * 0x7FEB352D & MASK
    value = (value ^ (value >> 15)) * 0x846CA68B & MASK
    return value ^ (value >> 16)


def formula(name, shape):
    """Numbers between -1 and 1 that depend on the name and the position only."""
    start = 2166136261  # FNV-1a
    for byte in name.encode():
        start = (start ^ byte) * 16777619 & MASK
    count = torch.Size(shape).numel()
    numbers = [(hash32((start + i) & MASK) >> 8) / 8388608.0 - 1.0 for i in range(count)]
    return torch.tensor(numbers, dtype=torch.float64).view(shape)


def initial_value(name, shape):
    numbers = formula(name, shape)
    if len(shape) > 1:  # variance 1 / fan-in, and of about 1 for embeddings
        fan_in = 1 if name == "label_emb.weight" else torch.Size(shape[1:]).numel()
        return numbers * (3.0 / fan_in) ** 0.5
    return numbers * 0.25 + (1.0 if name.endswith("weight") else 0.0)


def inputs(config):
    """Float32 numbers, so that both precisions start from the same; t visits every kind of level."""
    generator = torch.Generator().manual_seed(1)
    T, classes = config["diffusion"]["steps"], config["model"]["num_classes"]
    shape = (STEPS, BATCH, CHANNELS, SIZE, SIZE)
    made = {"x0": torch.rand(shape, generator=generator) * 2 - 1,
            "noise": torch.randn(shape, generator=generator),
            "t": torch.randint(0, T + 2, (STEPS, BATCH), generator=generator)}
    made["t"][0] = torch.tensor([0, 1, T, T + 1])
    if classes:
        made["labels"] = torch.randint(0, classes + 1, (STEPS, BATCH), generator=generator)
        made["labels"][0] = torch.arange(BATCH) % (classes + 1)  # the last is the null class
    return made


def ten_steps(config, made):
    model = plain.make_network(config, CHANNELS, SIZE).double()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(initial_value(name, parameter.shape))
    abar = plain.alpha_bars(config["diffusion"])
    trainer = plain.Trainer(model, abar, config["loss"], config["train"])
    rows = []
    for k in range(STEPS):
        labels = made["labels"][k] if "labels" in made else None
        rows.append(trainer.step(made["x0"][k].double(), made["t"][k], made["noise"][k].double(),
                                 labels))
        print("  step {:2d}  loss {:.6f}  ce {:.4f}  mse {:.4f}  |g| {:.4f}  lr {:.2g}".format(
            k, *rows[-1]))
    columns = torch.tensor(rows, dtype=torch.float64).T.contiguous()
    names = ("total", "ce", "mse", "gradient_norm", "learning_rate")
    result = dict(zip(names, (column.clone() for column in columns)))
    for name, parameter in model.named_parameters():
        if name in KEPT:
            result["weights." + name] = parameter.detach()
            result["ema." + name] = trainer.ema[name]
    return result


def main():
    torch.set_num_threads(1)
    tensors = {}
    for case in ("uncond", "cond"):
        print(case)
        config = plain.read_config(ROOT / f"tests/data/golden_{case}.yaml")
        made = inputs(config)
        for name, tensor in (made | ten_steps(config, made)).items():
            tensors[f"{case}.{name}"] = tensor
    path = ROOT / "tests/data/golden_losses.safetensors"
    save_file(tensors, path, metadata={"torch": torch.__version__})
    print(f"{path.name}: {path.stat().st_size} bytes")


if __name__ == "__main__":
    main()
