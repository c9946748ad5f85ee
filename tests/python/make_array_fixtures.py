# SPDX-License-Identifier: MIT
"""Writes the small .npy, .npz and .safetensors files under tests/data with NumPy and the safetensors
package. Run by hand:

    python tests/python/make_array_fixtures.py [FOLDER]

needs `pip install numpy safetensors`. What is in them is checked by tests/files/test_npy.cpp,
tests/files/test_npz.cpp and tests/files/test_safetensors.cpp.
"""
import io
import pathlib
import sys
import zipfile

import numpy as np
import safetensors.numpy


def arrays():
    """One of everything that is read; element i of each is i - 1 where its type allows that."""
    numbers = np.arange(24) - 1
    found = {
        "bool": np.array([True, False, True]),
        "uint8": np.arange(24, dtype=np.uint8).reshape(2, 3, 4),
        "scalar": np.float64(2.5),
        "empty": np.zeros((0, 3), np.float32),
        "fortran": np.asfortranarray(np.arange(6, dtype=np.float32).reshape(2, 3)),
        "fortran3": np.asfortranarray(numbers.astype(np.int32).reshape(2, 3, 4)),
        "sliced": numbers[::5].astype(np.int64),  # written without its gaps
        "big_endian": np.arange(3, dtype=">f4"),
        "uint16": np.array([0, 1, 65535], np.uint16),
    }
    for name in ["int32", "int64", "float16", "float32", "float64"]:
        found[name] = numbers.astype(name).reshape(4, 6)
    return found


def refused():
    return {
        "complex": np.arange(3, dtype=np.complex64),
        "text": np.array(["a", "b"]),
        "structured": np.zeros(2, dtype=[("a", "<f4"), ("b", "<i4")]),
        "object": np.array([None, 1], dtype=object),
    }


def versions(path):
    """Headers of the later format versions, whose length field is longer."""
    with zipfile.ZipFile(path, "w") as archive:
        for version in [1, 2, 3]:
            data = io.BytesIO()
            np.lib.format.write_array(data, np.arange(5, dtype=np.float32), version=(version, 0))
            archive.writestr(f"version{version}.npy", data.getvalue())


def main():
    default = pathlib.Path(__file__).parent.parent / "data"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    np.save(folder / "numpy.npy", np.arange(24, dtype=np.float32).reshape(2, 3, 4))
    np.savez(folder / "numpy_stored.npz", **arrays())
    np.savez_compressed(folder / "numpy_deflated.npz", **arrays())
    np.savez_compressed(folder / "numpy_small.npz", a=np.arange(20), b=np.zeros(3, np.uint8))
    np.savez(folder / "numpy_refused.npz", **refused())
    versions(folder / "numpy_versions.npz")
    tensors = {
        "float64": np.arange(6, dtype=np.float64).reshape(2, 3) - 1,
        "float16": np.array([1.5, -2], np.float16),
        "int16": np.array([7, -7], np.int16),
        "int8": np.array([7, -7], np.int8),
        "uint8": np.array([0, 255], np.uint8),
        "bool": np.array([True, False]),
        "scalar": np.array(3, np.int64),
        "empty": np.zeros((0, 3), np.int32),
        "float32": np.arange(3, dtype=np.float32),
    }
    safetensors.numpy.save_file(tensors, folder / "numpy.safetensors", {"a": "b", "gr\u00fcn": ""})


if __name__ == "__main__":
    main()
