# SPDX-License-Identifier: MIT
"""Times plain eager PyTorch (plain_pytorch.py) on what cdm-bench times; prints the same JSON.

  time_pytorch.py CONFIG.yaml --what train --image-size 32 --channels 3 [--batch B] [--repeats R]
"""
import argparse
import json
import resource
import statistics
import time

import torch

import plain_pytorch as plain

ADAM = {"learning_rate": 2e-4, "warmup": 5000, "decay_every": 200000, "decay_factor": 0.1,
        "adam_beta1": 0.9, "adam_beta2": 0.999, "adam_eps": 1e-8, "clip_grad_norm": 0.0,
        "ema_decay": 0.9999, "ema_start": 0, "ema_warmup": True}
WARM_UPS = 2


def peak_memory(device):
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def median_seconds(work, repeats, device):
    times = []
    for i in range(WARM_UPS + repeats):
        begin = time.perf_counter()
        work()
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        times.append(time.perf_counter() - begin)
    return statistics.median(times[WARM_UPS:])


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("config")
    parser.add_argument("--what", choices=["train", "sample", "nll"], default="train")
    parser.add_argument("--image-size", type=int, required=True)
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default=torch.device("cpu"))
    options = parser.parse_args()
    config, device = plain.read_config(options.config), options.device
    torch.manual_seed(0)
    model = plain.make_network(config, options.channels, options.image_size).to(device)
    abar = plain.alpha_bars(config["diffusion"]).to(device)
    shape = options.batch, options.channels, options.image_size, options.image_size
    x = torch.randn(shape, device=device)
    levels = len(abar)
    labels = None
    if config["model"].get("num_classes"):
        labels = torch.zeros(options.batch, dtype=torch.int64, device=device)
    trainer = plain.Trainer(model, abar, {"ce_weight": 0.001, "mse_weight": 1.0}, ADAM)

    def train():
        t = torch.randint(levels, (options.batch,), device=device)
        trainer.step(x, t, torch.randn_like(x), labels)

    t_middle = torch.full((options.batch,), levels // 2, device=device)
    if options.what != "train":
        model.eval()
    work = {"train": train,
            "sample": lambda: plain.noise_and_logits(model, abar, x, t_middle, labels)[0].detach(),
            "nll": lambda: plain.log_prob(model, x, t_middle, labels)}[options.what]
    seconds = median_seconds(work, options.repeats, device)
    print(json.dumps({options.what: {"median_ms": 1000 * seconds,
                                     "images_per_s": options.batch / seconds,
                                     "peak_memory_bytes": peak_memory(device)}}))


if __name__ == "__main__":
    main()
