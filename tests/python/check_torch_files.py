# SPDX-License-Identifier: MIT
"""Opens a file that this project wrote as its users would, and compares it with another. By hand:

    python tests/python/check_torch_files.py WRITTEN EXPECTED [--part model_state_dict]

WRITTEN and EXPECTED are .pth files, opened with weights_only=True, or .safetensors files, opened with
the safetensors package. --part takes one member of whichever of them is a .pth of the authors' layout.
Every name, type, shape and value has to agree. Needs `pip install torch==2.11.0 numpy safetensors`.
"""
import argparse
import collections
import math

import safetensors.torch
import torch


def load(path, part):
    if path.endswith(".safetensors"):
        return safetensors.torch.load_file(path)
    value = torch.load(path, weights_only=True)
    return value[part] if part else value


def compare(a, b, where, counts):
    """Raises where a and b differ; an OrderedDict may stand for a dict, a torch.Size for
    a tuple, a Parameter for a tensor."""
    if isinstance(a, dict) and isinstance(b, dict):
        assert a.keys() == b.keys(), f"{where}: keys {a.keys() ^ b.keys()} are in one of them only"
        for key in a:
            compare(a[key], b[key], f"{where}[{key!r}]", counts)
        return
    if isinstance(a, torch.Tensor) and isinstance(b, torch.Tensor):
        assert a.dtype == b.dtype and a.shape == b.shape, f"{where}: {a.dtype} {a.shape}, {b.dtype} {b.shape}"
        assert torch.equal(a, b), f"{where}: values differ"
    elif any(isinstance(a, kind) and isinstance(b, kind) for kind in (list, tuple)):
        assert len(a) == len(b), f"{where}: lengths {len(a)} and {len(b)}"
        for i, (x, y) in enumerate(zip(a, b)):
            compare(x, y, f"{where}[{i}]", counts)
        return
    else:
        assert type(a) is type(b), f"{where}: {type(a)} and {type(b)}"
        both_nan = isinstance(a, float) and math.isnan(a) and math.isnan(b)
        assert a == b or both_nan, f"{where}: {a!r} and {b!r}"
    counts[type(a).__name__] += 1


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("written")
    parser.add_argument("expected")
    parser.add_argument("--part")
    arguments = parser.parse_args()
    counts = collections.Counter()
    compare(load(arguments.written, arguments.part), load(arguments.expected, arguments.part), "file", counts)
    print("the same:", ", ".join(f"{n} {kind}" for kind, n in counts.most_common()))


if __name__ == "__main__":
    main()
