# SPDX-License-Identifier: MIT
"""Writes tests/data/frechet.npz: sets of features, and how far apart they are, by NumPy and SciPy
straight from the formulas. Run by hand:

    python tests/python/make_frechet_fixtures.py [FILE]

needs `pip install numpy scipy`. tests/eval/test_frechet.cpp compares with it.
"""
import pathlib
import sys

import numpy as np
import scipy.linalg


def frechet_distance(x, y):
    """Dowson & Landau (1982), with the square root of the product itself."""
    root = scipy.linalg.sqrtm(np.cov(x, rowvar=False) @ np.cov(y, rowvar=False))
    assert abs(root.imag).max() < 1e-9
    return (
        np.sum((x.mean(0) - y.mean(0)) ** 2)
        + np.trace(np.cov(x, rowvar=False))
        + np.trace(np.cov(y, rowvar=False))
        - 2 * np.trace(root.real)
    )


def frechet_distance_of_few(x, y):
    """The same for fewer images than features, where sqrtm is not exact: with centred images X, Y
    as rows, tr (X'X Y'Y)^(1/2) is the sum of the singular values of X Y'."""
    X, Y = x - x.mean(0), y - y.mean(0)
    n, m = len(x) - 1, len(y) - 1
    roots = np.linalg.svd(X @ Y.T, compute_uv=False).sum() / np.sqrt(n * m)
    return (
        np.sum((x.mean(0) - y.mean(0)) ** 2)
        + (X**2).sum() / n
        + (Y**2).sum() / m
        - 2 * roots
    )


def kernel(a, b):
    return (np.dot(a, b) / len(a) + 1) ** 3


def squared_mmd(x, y):
    """Binkowski et al. (2018), equation 4, term by term."""
    n, m = len(x), len(y)
    within_x = sum(kernel(x[i], x[j]) for i in range(n) for j in range(n) if i != j)
    within_y = sum(kernel(y[i], y[j]) for i in range(m) for j in range(m) if i != j)
    across = sum(kernel(a, b) for a in x for b in y)
    return within_x / (n * (n - 1)) + within_y / (m * (m - 1)) - 2 * across / (n * m)


def share_within(points, centres, k):
    """Kynkaanniemi et al. (2019), equations 1 and 2."""
    radii = []
    for i in range(len(centres)):
        others = np.delete(centres, i, axis=0)
        radii.append(np.sort(np.linalg.norm(others - centres[i], axis=1))[k - 1])
    inside = [np.any(np.linalg.norm(centres - point, axis=1) <= radii) for point in points]
    return np.mean(inside)


def main():
    data = pathlib.Path(__file__).resolve().parent.parent / "data"
    target = sys.argv[1] if len(sys.argv) > 1 else data / "frechet.npz"
    random = np.random.default_rng(20240601)
    D = 24
    mix = random.normal(size=(D, D)) / np.sqrt(D)
    # float32, as networks give them; both sides far from 0, as features after a ReLU are.
    x = np.abs(random.normal(size=(160, D)) @ mix + 0.5).astype(np.float32)
    y = np.abs(random.normal(size=(130, D)) @ mix * 0.8 + 0.7).astype(np.float32)
    a, b = x.astype(np.float64), y.astype(np.float64)
    np.savez(
        target,
        x=x,
        y=y,
        x_mean=a.mean(0),
        x_covariance=np.cov(a, rowvar=False),
        frechet=frechet_distance(a, b),
        frechet_of_few=frechet_distance_of_few(a[:10], b[:15]),
        kid=squared_mmd(a[:130], b),
        precision_3=share_within(b, a, 3),
        recall_3=share_within(a, b, 3),
        precision_1=share_within(b, a, 1),
        recall_1=share_within(a, b, 1),
    )


main()
