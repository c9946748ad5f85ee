# SPDX-License-Identifier: MIT
"""Compares benchmarks/plain_pytorch.py with folders of reference numbers, in float64.

  check_plain_pytorch.py FOLDER...

A folder holds config.yaml, checkpoint.pth, loss.safetensors, nll.safetensors and sample_*.npy.
"""
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "benchmarks"))
import plain_pytorch as plain  # noqa: E402

TOLERANCE = 1e-9


class Comparison:
    def __init__(self):
        self.worst, self.failed = 0.0, 0

    def __call__(self, name, actual, expected):
        # Some gradients are zero but for rounding: of k's bias (the softmax ignores it), and of a
        # bias before groups of one channel (the normalisation removes it).
        scale = expected.abs().max().item()
        scale = scale if scale > 1e-12 else 1.0
        error = (actual - expected).abs().max().item() / scale
        self.worst = max(self.worst, error)
        if not error <= TOLERANCE:
            self.failed += 1
            print(f"  {name}: relative error {error:.1e}")


def compare_loss(compare, model, abar, weights, ref):
    x0, t, noise, labels = ref["x0"], ref["t"], ref["noise"], ref.get("labels")
    x_t = plain.add_noise(abar, x0, t, noise)
    compare("x_t", x_t, ref["x_t"])
    compare("head", model.head(x_t, labels), ref["head"])
    eps, logits = plain.noise_and_logits(model, abar, x_t, t, labels)
    compare("logits", logits, ref["logits"])
    compare("F", plain.log_ratio(logits, t), ref["F"])
    compare("eps_theta", eps, ref["eps_theta"])
    total, ce, mse = plain.loss_terms(model, abar, weights, x0, t, noise, labels)
    for name, value in (("loss", total), ("ce", ce), ("mse", mse)):
        compare(name, value, ref[name])
    total.backward()
    for name, parameter in model.named_parameters():
        compare("grad." + name, parameter.grad, ref["grad." + name])


def compare_samples(compare, model, abar, folder, sampler, labels):
    x = torch.from_numpy(np.load(folder / f"sample_{sampler}_init.npy")).double()
    result = torch.from_numpy(np.load(folder / f"sample_{sampler}_result.npy"))
    steps, noise = 10, None
    if sampler == "ddpm":
        noise = torch.from_numpy(np.load(folder / "sample_ddpm_noise.npy")).double()
        steps = len(noise)
    stride = (len(abar) - 2) // steps
    levels = [1 + i * stride for i in reversed(range(steps))]
    for i, (t, s) in enumerate(zip(levels, levels[1:] + [0])):
        at_t = torch.full((len(x),), t)
        eps = plain.noise_and_logits(model, abar, x, at_t, labels)[0].detach()
        if noise is None:
            x = plain.ddim_step(x, eps, abar[t], abar[s])
        else:
            x = plain.ddpm_step(x, eps, abar[t], abar[s], noise[i])
    compare(f"sample_{sampler}", x, result)


def check(folder):
    config = plain.read_config(folder / "config.yaml")
    ref = load_file(folder / "loss.safetensors")
    checkpoint = torch.load(folder / "checkpoint.pth", weights_only=True)
    model = plain.make_network(config, ref["x0"].shape[1], ref["x0"].shape[2]).double().eval()
    model.load_state_dict({k: v.double() for k, v in checkpoint["ema_model_state_dict"].items()})
    abar = plain.alpha_bars(config["diffusion"])

    compare = Comparison()
    compare_loss(compare, model, abar, config["loss"], ref)
    nll = load_file(folder / "nll.safetensors")
    at_data = torch.zeros(len(nll["images"]), dtype=torch.int64)
    log_prob = plain.log_prob(model, nll["images"], at_data, nll.get("labels"))
    compare("log_prob", log_prob, nll["log_prob"])
    for sampler in ("ddim", "ddpm"):
        compare_samples(compare, model, abar, folder, sampler, ref.get("labels"))
    print(f"{folder}: worst relative error {compare.worst:.1e}, {compare.failed} above {TOLERANCE}")
    return compare.failed


if __name__ == "__main__":
    sys.exit(1 if sum(check(Path(folder)) for folder in sys.argv[1:]) else 0)
