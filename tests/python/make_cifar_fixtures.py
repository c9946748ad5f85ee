# SPDX-License-Identifier: MIT
"""Writes tests/data/cifar/pythonN: small files of the Python versions of CIFAR-10 and CIFAR-100, as
the Python that runs this pickles them. The official files were written by Python 2. Run by hand, by
Python 2.7 and by Python 3, each with NumPy:

    python tests/python/make_cifar_fixtures.py

What is in them is checked by tests/files/test_cifar.cpp.
"""
import os
import pickle
import sys

import numpy as np

try:
    import cPickle as pickle  # Python 2, as the official files
except ImportError:
    pass

IMAGES = 2
CIFAR10 = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def put(folder, name, contents):
    if not os.path.isdir(folder):
        os.makedirs(folder)
    if sys.version_info[0] == 3:  # bytes, as Python 3 reads the official files with encoding="bytes"
        contents = {key.encode(): value for key, value in contents.items()}
    with open(os.path.join(folder, name), "wb") as file:
        pickle.dump(contents, file, 2)


def main():
    here = os.path.dirname(os.path.abspath(__file__))
    root = os.path.join(here, "..", "data", "cifar", "python%d" % sys.version_info[0])
    numbers = np.arange(IMAGES * 3072).reshape(IMAGES, 3072)
    data = (numbers * 7 % 256).astype(np.uint8)
    files = ["%d.png" % i for i in range(IMAGES)]
    ten = os.path.join(root, "cifar-10-batches-py")
    put(ten, "test_batch", {"batch_label": "testing batch 1 of 1", "labels": [3, 8], "data": data,
                            "filenames": files})
    put(ten, "batches.meta", {"num_cases_per_batch": 2, "label_names": CIFAR10, "num_vis": 3072})
    hundred = os.path.join(root, "cifar-100-python")
    put(hundred, "test", {"filenames": files, "batch_label": "testing batch 1 of 1",
                          "fine_labels": [49, 99], "coarse_labels": [10, 1], "data": data})
    put(hundred, "meta", {"fine_label_names": ["fine %d" % i for i in range(100)],
                          "coarse_label_names": ["coarse %d" % i for i in range(20)]})


main()
