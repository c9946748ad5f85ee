# SPDX-License-Identifier: MIT
"""Writes the small .pth files under tests/data with PyTorch itself. Run by hand:

    python tests/python/make_torch_fixtures.py [FOLDER]

needs `pip install torch==2.11.0 numpy`. What is in them is checked by tests/files/test_torch_file.cpp and
tests/files/test_official_checkpoint.cpp.
"""
import collections
import os
import pathlib
import sys

import torch


def kinds():
    """One of everything that is read."""
    base = torch.arange(12, dtype=torch.float32)
    shared = torch.arange(6, dtype=torch.float64).reshape(2, 3)
    words = ["a", "b"]
    module = torch.nn.Sequential(torch.nn.Linear(2, 1))
    state = module.state_dict()  # an OrderedDict with a _metadata attribute
    state["0.weight"] = torch.tensor([[0.25, -0.5]])
    state["0.bias"] = torch.tensor([1.5])
    return {
        "none": None,
        "true": True,
        "false": False,
        "integers": [0, 255, 256, 65535, 65536, -1, 2**31 - 1, -(2**31), 2**40, -(2**40), 2**63 - 1],
        "smallest": -(2**63),
        "float": 0.1,
        "infinity": float("-inf"),
        "text": "gr\u00fcn",
        "empty": [[], (), {}, "", torch.zeros(0, 3)],
        "tuples": ((1,), (1, 2), (1, 2, 3), (1, 2, 3, 4)),
        "size": torch.Size([2, 3]),
        "same": [words, words],
        "numbered": {0: "zero", 7: "seven"},
        "state": state,
        "float64": shared,
        "float32": base,
        "float16": torch.tensor([1.5, -2.0], dtype=torch.float16),
        "bfloat16": torch.tensor([1.5, -2.0], dtype=torch.bfloat16),
        "int64": torch.tensor([2**40, -1]),
        "int32": torch.tensor([7, -7], dtype=torch.int32),
        "int16": torch.tensor([7, -7], dtype=torch.int16),
        "int8": torch.tensor([7, -7], dtype=torch.int8),
        "uint8": torch.tensor([0, 255], dtype=torch.uint8),
        "bool": torch.tensor([True, False, True]),
        "scalar": torch.tensor(3.0),
        "transposed": shared.t(),
        "strided": base[1::3],
        "channels_last": torch.arange(16, dtype=torch.float32)
        .reshape(1, 2, 2, 4)
        .contiguous(memory_format=torch.channels_last),
        "parameter": torch.nn.Parameter(torch.tensor([2.0, 3.0])),
    }


def official():
    """The authors' layout, after two steps of Adam on a network of two layers."""
    torch.manual_seed(1)
    model = torch.nn.Sequential(
        collections.OrderedDict(conv_in=torch.nn.Conv2d(1, 2, 3), linear_layer=torch.nn.Linear(2, 4))
    )
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-4)
    average = {name: value.detach().clone() for name, value in model.named_parameters()}
    for _ in range(2):
        optimizer.zero_grad()
        sum((p**2).sum() for p in model.parameters()).backward()
        optimizer.step()
    return {
        "epoch": 5,
        "model_state_dict": model.state_dict(),
        "ema_model_state_dict": average,
        "optimizer_state_dict": optimizer.state_dict(),
        "loss": 0.75,
    }


def variants(saved):
    """What other ways of training leave behind: the same weights in other clothes."""
    prefixed = collections.OrderedDict(
        ("module." + name, value) for name, value in saved["model_state_dict"].items()
    )
    averaged = {"n_averaged": torch.tensor(2)}
    averaged.update(("module.module." + k, v) for k, v in saved["ema_model_state_dict"].items())
    return {
        "official_prefixed.pth": {
            "epoch": 5,
            "model_state_dict": prefixed,
            "ema_model_state_dict": averaged,
            "loss": torch.tensor(0.75),
        },
        "official_bare.pth": {"epoch": 1, "model_state_dict": saved["model_state_dict"]},
    }


class Harmful:
    def __reduce__(self):
        return os.system, ("true",)


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1] / "data")
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(kinds(), folder / "torch_kinds.pth")
    saved = official()
    torch.save(saved, folder / "official.pth")
    for name, value in variants(saved).items():
        torch.save(value, folder / name)
    loop = []
    loop.append(loop)
    for name, value in {
        "function": {"a": 1, "b": Harmful()},
        "module": torch.nn.Linear(1, 1),
        "loop": loop,
        "expanded": torch.zeros(1).expand(1000000),
        "complex": torch.zeros(2, dtype=torch.complex64),
        "long": 2**64,
    }.items():
        torch.save(value, folder / f"torch_refused_{name}.pth")
    torch.save(saved["model_state_dict"], folder / "torch_refused_legacy.pth",
               _use_new_zipfile_serialization=False)


if __name__ == "__main__":
    main()
