# SPDX-License-Identifier: MIT
"""Trains tiny runs with cdm-train and compares examples/load_run.py with the programs, in float64.

    python tests/python/check_load_run.py build/release/bin

log_prob is compared with cdm-nll, denoise (and with it predict_noise and score) with one step of
cdm-sample, and score with finite differences of log_prob. Needs PyTorch, NumPy and PyYAML.
"""
import csv
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import yaml

PROJECT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(PROJECT / "examples"))
from load_run import load_run, read_npz  # noqa: E402

TOLERANCE = 1e-9  # relative, of values that C++ and Python compute in the same float64 steps
IMAGES, SIZE, CLASSES, T = 12, 8, 3, 20

UNET = {"kind": "unet", "channels": 8, "channel_mult": [1, 2], "res_blocks": 1,
        "attention_resolutions": [4], "dropout": 0.1}
# Each case: channels of the images, then sections of the configuration.
CASES = {
    "unet": (1, {"model": UNET, "diffusion": {"schedule": "linear"}}),
    # 64 channels have 32 groups; 96, where two are concatenated, too.
    "unet, classes": (3, {"model": {**UNET, "channels": 32, "res_blocks": 2, "num_classes": CLASSES,
                                    "head_channels": 24},
                          "diffusion": {"schedule": "cosine"}}),
    "unet, inner products": (3, {"model": {**UNET, "head": "pooled_inner", "inner_features": 5},
                                 "diffusion": {"schedule": "log_snr", "log_snr_max": 9}}),
    "mlp": (1, {"model": {"kind": "mlp", "channels": 16, "res_blocks": 2},
                "diffusion": {"schedule": "flow_matching"}}),
    "mlp, classes": (3, {"model": {"kind": "mlp", "channels": 16, "res_blocks": 3,
                                   "num_classes": CLASSES, "fourier_features": 3},
                         "diffusion": {"schedule": "uniform"}}),
    "denoiser": (1, {"model": {**UNET, "predicts": "noise"}, "loss": {"kind": "denoising"},
                     "diffusion": {"schedule": "linear", "beta_end": 0.3}}),
    # An odd width: the time embedding ends in a zero.
    "denoiser, classes": (3, {"model": {**UNET, "predicts": "noise", "channels": 9,
                                        "num_classes": CLASSES},
                              "loss": {"kind": "denoising"}, "diffusion": {"schedule": "cosine"}}),
}


class Case:
    def __init__(self, name, bin_folder, folder):
        channels, sections = CASES[name]
        self.name, self.bin, self.folder = name, bin_folder, folder
        self.is_conditional = "num_classes" in sections["model"]
        self.failures = 0
        rng = np.random.default_rng(len(name))
        pixels = rng.integers(0, 256, (IMAGES, SIZE, SIZE, channels), dtype=np.uint8)
        labels = {"arr_1": np.arange(IMAGES) % CLASSES} if self.is_conditional else {}
        np.savez(folder / "images.npz", arr_0=pixels, **labels)
        config = {
            "device": "cpu",
            "data": {"kind": "npz", "path": "images.npz", "test_path": "images.npz"},
            "train": {"iterations": 30, "batch_size": 6, "learning_rate": 1e-2, "warmup": 0,
                      "ema_start": 0, "sample_every": 0},
            **sections,
        }
        config["diffusion"]["steps"] = T
        (folder / "config.yaml").write_text(yaml.safe_dump(config))
        self.call("cdm-train", "config.yaml", "--run-dir", "run")
        self.model = load_run(folder / "run").double()
        self.x = torch.from_numpy(pixels).permute(0, 3, 1, 2).double() / 127.5 - 1
        self.labels = torch.arange(IMAGES) % CLASSES if self.is_conditional else None

    def call(self, program, *words):
        words = [str(word) for word in words]
        done = subprocess.run([self.bin / program, *words], cwd=self.folder, capture_output=True,
                              text=True, check=False)
        if done.returncode != 0:
            sys.exit(f"{self.name}: {program} {' '.join(words)}: {done.stderr}")
        return done.stdout

    def compare(self, what, actual, expected, tolerance=TOLERANCE):
        expected = torch.as_tensor(expected)
        error = (actual - expected).abs().max().item() / expected.abs().max().item()
        print(f"{self.name}: {what}: relative error {error:.1e}")
        if not error <= tolerance:
            print(f"{self.name}: {what}: FAILED, the tolerance is {tolerance:.0e}")
            self.failures += 1

    def check_log_prob(self):
        for level in (0, T // 2, self.model.reference):
            self.call("cdm-nll", "run", "--data", "images.npz", "--precision", "fp64", "--level",
                      level, "--out", "scores.csv")
            with open(self.folder / "scores.csv", encoding="ascii") as file:
                rows = list(csv.DictReader(file))
            expected = torch.tensor([float(row["log_prob_nats"]) for row in rows],
                                    dtype=torch.float64)
            self.compare(f"log_prob at level {level}",
                         self.model.log_prob(self.x, level, self.labels), expected)

    def check_command_line(self):
        """The numbers that load_run.py prints are those of cdm-nll, in float32 both."""
        def value_of(word, text):
            return float(text.split(word)[1].split()[0])

        expected = self.call("cdm-nll", "run", "--data", "images.npz")
        actual = subprocess.run([sys.executable, PROJECT / "examples" / "load_run.py", "run",
                                 "--data", "images.npz"], cwd=self.folder, capture_output=True,
                                text=True, check=True).stdout
        for word in ("log_prob_nats", "bits_per_dim"):
            self.compare(f"printed {word}", torch.tensor(value_of(word, actual)),
                         value_of(word, expected), 1e-4)

    def check_wrong_calls(self):
        """What is not there, or is something else, ends in one line that names it."""
        (self.folder / "junk.npz").write_text("junk", encoding="ascii")
        (self.folder / "empty").mkdir()
        for run, data, named in (("nowhere", "images.npz", "nowhere"),
                                 ("empty", "images.npz", "empty"),
                                 ("config.yaml", "images.npz", "config.yaml"),
                                 ("run", "none.npz", "none.npz"), ("run", "junk.npz", "junk.npz"),
                                 ("run", "run", "run")):
            done = subprocess.run([sys.executable, PROJECT / "examples" / "load_run.py", run,
                                   "--data", data], cwd=self.folder, capture_output=True,
                                  text=True, check=False)
            lines = done.stderr.splitlines()
            if done.returncode != 1 or len(lines) != 1 or f"error: {named}: " not in lines[0]:
                print(f"{self.name}: load_run.py {run} --data {data}: FAILED: {done.stderr}")
                self.failures += 1

    def check_score(self):
        """grad log p_t along a random direction, each image at a level of its own."""
        generator = torch.Generator().manual_seed(1)
        direction = torch.randn(self.x.shape, generator=generator, dtype=torch.float64)
        t = torch.arange(IMAGES) % (self.model.reference + 1)
        step = 1e-5

        def log_prob(factor):
            return self.model.log_prob(self.x + factor * step * direction, t, self.labels)

        slope = (log_prob(1) - log_prob(-1)) / (2 * step)
        score = self.model.score(self.x, t, self.labels)
        self.compare("score", (score * direction).flatten(1).sum(1), slope, 1e-6)

    def check_denoise(self):
        """One step of DDIM to level 0 is the prediction of x_0."""
        noise = np.random.default_rng(7).standard_normal(tuple(self.x.shape))
        np.save(self.folder / "noise.npy", noise)
        x_t = torch.from_numpy(noise)
        guided = ["--class", ",".join(str(k) for k in range(CLASSES)), "--guidance", 1.5]
        for spacing, t in (("leading", 1), ("trailing", T)):
            for words, options in ([], {}), (guided, {"labels": self.labels, "guidance": 1.5}):
                if words and not self.is_conditional:
                    continue
                self.call("cdm-sample", "run", "-n", IMAGES, "--precision", "fp64", "--sampler",
                          "ddim", "--steps", 1, "--spacing", spacing, "--init-noise", "noise.npy",
                          "--raw", "x_0.npy", *words)
                expected = torch.from_numpy(np.load(self.folder / "x_0.npy"))
                self.compare(f"denoise at level {t}, {options.keys() or 'unguided'}",
                             self.model.denoise(x_t, t, **options), expected)

    def check_refusal(self):
        """A network that predicts the noise has no density, and says so."""
        try:
            self.model.log_prob(self.x, 0)
        except TypeError as error:
            if "model.predicts = noise" in str(error):
                return
        print(f"{self.name}: FAILED, log_prob of a noise predictor did not raise its error")
        self.failures += 1

    def check(self):
        arrays = read_npz(self.folder / "images.npz")
        stored = np.load(self.folder / "images.npz")
        for name in stored:
            self.compare(f"read_npz {name}", arrays[name], stored[name], 0.0)
        if self.model.predicts_noise:
            self.check_refusal()
        else:
            self.check_log_prob()
            self.check_score()
        self.check_denoise()
        if self.name == "unet, classes":
            self.check_command_line()
            self.check_wrong_calls()
        return self.failures


def main():
    os.environ["OMP_NUM_THREADS"] = "1"
    torch.set_num_threads(1)
    failures = 0
    for name in CASES:
        with tempfile.TemporaryDirectory() as folder:
            failures += Case(name, Path(sys.argv[1]).resolve(), Path(folder)).check()
    sys.exit(1 if failures else 0)


if __name__ == "__main__":
    main()
