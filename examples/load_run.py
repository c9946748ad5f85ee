#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Opens a run of cdm-train in Python: a classification diffusion model as a torch.nn.Module.

A classification diffusion model (CDM; Yadin, Elata and Michaeli, NeurIPS 2024, arXiv 2402.10095)
is a classifier of noise levels. An image x_0 with noise of level t is

    x_t = signal_t x_0 + sigma_t eps,    t = 0 (the image) .. R (the reference, pure noise),

and the network guesses t: it maps an image to logits f, one for each level. All levels are equally
frequent in training, so the logits of the ideal classifier are log-densities up to a constant:
f[t] - f[s] = log p_t(x) - log p_s(x). At the reference the density is known, a standard normal, and
that gives the density at every other level, its gradient, and the noise in the image:

    F(x, t)    = f[R] - f[t]
    log p_t(x) = log N(x; 0, I) - F(x, t)              (Theorem 3.2)
    score      = grad log p_t(x) = -grad F(x, t) - x
    eps(x, t)  = sigma_t (grad F(x, t) + x)            (Theorem 3.1), which is -sigma_t score

    model = load_run("runs/first")
    model.log_prob(x, 0)         # x [B, C, H, W] in [-1, 1] -> nats, float64 [B]

Needs PyTorch and PyYAML (pip install torch pyyaml). As a program it prints the mean log p_0.
"""
import argparse
import ast
import json
import math
import sys
import zipfile
from pathlib import Path

import torch
import yaml
from torch import nn
from torch.nn import functional as F


class CDM(nn.Module):
    """Throughout: x is [B, C, H, W] in the type of the weights; t is one level or int64 [B];
    labels are int64 [B] or None, which means the null class for a class-conditional network."""

    def __init__(self, config, weights):
        super().__init__()
        signal, sigma = noise_schedule(config["diffusion"])
        self.register_buffer("signal", signal)  # [K], K levels
        self.register_buffer("sigma", sigma)
        self.reference = len(signal) - 1  # R
        self.num_classes = config["model"]["num_classes"]
        self.predicts_noise = config["model"].get("predicts") == "noise"
        self.config = config
        self.network = layers_of(weights)

    def logits(self, x, labels=None):
        """f(x), [B, K]: the cumulative sum of the network's outputs over the levels."""
        if self.predicts_noise:
            raise TypeError("the run has model.predicts = noise: a network that predicts the noise "
                            "has no logits and no density; they need model.predicts = logits")
        labels, model = self._labels_or_null(x, labels), self.config["model"]
        if model["kind"] == "mlp":
            return mlp(self.network, x, labels, model["fourier_features"]).cumsum(1)
        return unet(self.network, x, labels).cumsum(1)

    def log_prob(self, x, t=0, labels=None):
        """log p_t(x) in nats, float64 [B], differentiable."""
        f = self.logits(x, labels).double()
        log_ratio = f[:, -1] - f.gather(1, self._levels(x, t)[:, None])[:, 0]  # F(x, t)
        log_normal = -0.5 * (x.double().square() + math.log(2 * math.pi)).flatten(1).sum(1)
        return log_normal - log_ratio  # log N(x; 0, I) - F(x, t)

    def score(self, x, t, labels=None):
        """grad log p_t(x), [B, C, H, W], detached."""
        if self.predicts_noise:  # infinite at level 0, where sigma is 0
            return -self.predict_noise(x, t, labels) / self._at(self.sigma, x, t)
        with torch.enable_grad():
            x = x.detach().requires_grad_()
            return torch.autograd.grad(self.log_prob(x, t, labels).sum(), x)[0]

    def predict_noise(self, x, t, labels=None, guidance=0.0):
        """eps(x, t), [B, C, H, W], detached; with classifier-free guidance w (Ho and Salimans,
        2022) it is (1 + w) eps(x, t, labels) - w eps(x, t, null class)."""
        if guidance and self.num_classes and labels is not None:
            conditional = self.predict_noise(x, t, labels)
            return (1 + guidance) * conditional - guidance * self.predict_noise(x, t)
        if self.predicts_noise:
            with torch.no_grad():
                return unet(self.network, x, self._labels_or_null(x, labels), self._levels(x, t))
        return -self._at(self.sigma, x, t) * self.score(x, t, labels)

    def denoise(self, x_t, t, labels=None, guidance=0.0):
        """The prediction of x_0, [B, C, H, W]: x_t = signal_t x_0 + sigma_t eps, solved for x_0. At
        the reference, where signal is 0, the prediction is that of the level before."""
        t = self._levels(x_t, t).clamp(max=self.reference - 1)
        eps = self.predict_noise(x_t, t, labels, guidance)
        return (x_t - self._at(self.sigma, x_t, t) * eps) / self._at(self.signal, x_t, t)

    def _levels(self, x, t):
        return torch.as_tensor(t, device=x.device).expand(len(x))

    def _at(self, table, x, t):  # one value for each image
        return table[self._levels(x, t)].to(x.dtype)[:, None, None, None]

    def _labels_or_null(self, x, labels):
        if self.num_classes == 0:
            return None
        return torch.as_tensor(self.num_classes if labels is None else labels,
                               device=x.device).expand(len(x))


def noise_schedule(config):
    """signal and sigma of each level, float64 [K]; diffusion.steps is T."""
    kind, T = config["schedule"], config["steps"]
    if kind == "flow_matching":  # the straight path of Lipman et al. (2023): levels 0..T
        sigma = torch.arange(T + 1, dtype=torch.float64) / T
        return 1 - sigma, sigma
    if kind == "uniform":  # levels 0..T+1, here and below
        sigma = torch.arange(T + 2, dtype=torch.float64) / (T + 1)
        return (1 - sigma**2).sqrt(), sigma
    if kind == "log_snr":  # log(signal^2 / sigma^2) falls linearly
        snr = torch.linspace(config["log_snr_max"], config["log_snr_min"], T, dtype=torch.float64)
        signal = F.pad(F.pad(snr.sigmoid().sqrt(), (1, 0), value=1.0), (0, 1), value=0.0)
        return signal, F.pad(F.pad((-snr).sigmoid().sqrt(), (1, 0), value=0.0), (0, 1), value=1.0)
    if kind == "linear":  # Ho et al. (2020): abar_t = prod (1 - beta), beta linear in t
        beta = torch.linspace(config["beta_start"], config["beta_end"], T, dtype=torch.float64)
        abar = (1 - beta).cumprod(0)
    elif kind == "cosine":  # Nichol and Dhariwal (2021), with T+1 steps in place of T
        u = torch.arange(T + 1, dtype=torch.float64) / (T + 1)
        g = ((u + 0.008) / 1.008 * math.pi / 2).cos() ** 2
        abar = g[1:] / g[0]
    else:
        raise ValueError(f"diffusion.schedule = {kind}: this file does not know it")
    abar = F.pad(F.pad(abar, (1, 0), value=1.0), (0, 1), value=0.0)
    return abar.sqrt(), (1 - abar).sqrt()


def mlp(net, x, labels, octaves):
    """A fully connected network: [B, C, H, W] -> [B, K], before the cumulative sum."""
    h = x.flatten(1)
    if octaves:  # beside the pixels their sin and cos of pi x, 2 pi x, 4 pi x, ...
        angles = (h[:, :, None] * (math.pi * 2.0 ** torch.arange(octaves).to(h))).flatten(1)
        h = torch.cat([h, angles.sin(), angles.cos()], 1)
    for i, layer in enumerate(in_order(net.hidden)):
        h = layer(h)
        if i == 0 and labels is not None:
            h = h + net.label_emb(labels)
        h = F.silu(h)
    return net.linear_layer(h)


def unet(net, x, labels, t=None):
    """The UNet of Ho et al. (2020). A classifier has no time embedding and averages its features
    over the pixels: -> [B, K], before the cumulative sum. A noise predictor is given t: -> eps."""
    embedding = 0.0 if t is None else time_embedding(t, net.conv_in.out_channels, x)
    if "augment_emb" in net and t is None and labels is None:  # of an image that was not augmented
        embedding = x.new_zeros(len(x), net.conv_in.out_channels)
    if labels is not None:
        embedding = embedding + net.label_emb(labels)
    if "temb" in net:
        for dense in in_order(net.temb.dense):
            embedding = F.silu(dense(embedding))
    h = net.conv_in(x)
    skips = [h]
    for stage in in_order(net.down):
        for i, block in enumerate(in_order(stage.block)):
            h = res_block(block, h, embedding)
            h = attention(stage.attn[str(i)], h) if "attn" in stage else h
            skips.append(h)
        if "downsample" in stage:  # with zeros to the right and below
            h = stage.downsample.conv(F.pad(h, (0, 1, 0, 1)))
            skips.append(h)
    h = res_block(net.mid.block_1, h, embedding)
    h = attention(net.mid.attn_1, h)
    h = res_block(net.mid.block_2, h, embedding)
    for stage in reversed(in_order(net.up)):  # up.0 is the finest resolution
        for i, block in enumerate(in_order(stage.block)):
            h = res_block(block, torch.cat([h, skips.pop()], 1), embedding)
            h = attention(stage.attn[str(i)], h) if "attn" in stage else h
        if "upsample" in stage:
            h = stage.upsample.conv(F.interpolate(h, scale_factor=2.0, mode="nearest"))
    features = F.silu(net.norm_out(h))
    h = net.conv_out(features)
    if "linear_layer" not in net:
        return h
    pooled = h.mean((2, 3))
    if "conv_inner" in net:  # inner products of the image and convolutions of the features
        inner = net.conv_inner(features).reshape(len(x), -1, *x.shape[1:])  # [B, n, C, H, W]
        pooled = torch.cat([pooled, (inner * x[:, None]).mean((2, 3, 4))], 1)
    return net.linear_layer(pooled)


def res_block(layers, x, embedding):
    h = layers.conv1(F.silu(layers.norm1(x)))
    if "temb_proj" in layers:
        h = h + layers.temb_proj(embedding)[:, :, None, None]
    h = layers.conv2(F.silu(layers.norm2(h)))  # in training, dropout comes before conv2
    return h + (layers.nin_shortcut(x) if "nin_shortcut" in layers else x)


def attention(layers, x):
    """Self-attention with one head over the pixels."""
    h = layers.norm(x)
    q, k, v = (layers[name](h).flatten(2).transpose(1, 2) for name in "qkv")  # [B, HW, C]
    weights = (q @ k.transpose(1, 2) / math.sqrt(q.shape[2])).softmax(2)  # [B, HW, HW]
    return x + layers.proj_out((weights @ v).transpose(1, 2).reshape(x.shape))


def time_embedding(t, width, like):
    """t [B] -> [B, width]: sines and cosines of t at width // 2 frequencies, 1 to 1/10000."""
    half = width // 2
    frequencies = (torch.arange(half).to(like) * (-math.log(10000) / max(half - 1, 1))).exp()
    angles = t.to(like)[:, None] * frequencies
    return F.pad(torch.cat([angles.sin(), angles.cos()], 1), (0, width % 2))


def in_order(modules):
    return [modules[str(i)] for i in range(len(modules))]


def layers_of(weights):
    """The layers that the weights belong to, as a tree: the weight down.0.block.1.conv1.weight is
    that of tree.down["0"].block["1"].conv1."""
    tree = nn.ModuleDict()
    for name, value in weights.items():
        *folders, leaf, kind = name.split(".")
        place = tree
        for folder in folders:
            if folder not in place:
                place[folder] = nn.ModuleDict()
            place = place[folder]
        if kind == "weight":
            place[leaf] = layer_of(name, value.shape)
    tree.load_state_dict(weights)
    return tree


def layer_of(name, shape):
    if len(shape) == 4:
        stride, padding = (2, 0) if "downsample" in name else (1, shape[2] // 2)
        return nn.Conv2d(shape[1], shape[0], shape[2], stride, padding)
    if name == "label_emb.weight":
        return nn.Embedding(*shape)
    if len(shape) == 2:
        return nn.Linear(shape[1], shape[0], bias=name != "augment_emb.weight")
    (channels,) = shape  # 32 groups, or where 32 does not divide them, fewer, of about 4 or more
    groups = 32 if channels % 32 == 0 else math.gcd(32, channels, max(channels // 4, 1))
    return nn.GroupNorm(groups, channels, eps=1e-6)


def read_safetensors(path):
    """float32 tensors by name: 8 bytes with the header's length, the header (JSON), the values."""
    data = bytearray(Path(path).read_bytes())
    start = 8 + int.from_bytes(data[:8], "little")
    tensors = {}
    for name, entry in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            values = torch.frombuffer(data[start + begin:start + end], dtype=torch.float32)
            tensors[name] = values.reshape(entry["shape"])
    return tensors


def load_run(run, step=None, weights="ema"):
    """The model of a run directory, in float32 on the CPU; .double() and .to(device) work as for
    any module. step: of the checkpoint, the newest by default. weights: "ema", the moving average
    that cdm-sample and cdm-nll take, or "model", the last weights."""
    run = Path(run)
    config = yaml.safe_load((run / "config.yaml").read_text())
    found = {int(folder.name[5:]): folder for folder in (run / "checkpoints").glob("step-*")
             if folder.name[5:].isdigit()}
    if not found:
        raise FileNotFoundError(f"{run}: this run has no checkpoint yet")
    if config["model"].get("anchor", "none") != "none":
        raise NotImplementedError(f"{run}: model.anchor = {config['model']['anchor']} is not read here")
    folder = found[max(found) if step is None else step]
    model = CDM(config, read_safetensors(folder / f"{weights}.safetensors"))
    return model.eval().requires_grad_(False)


def read_npz(path):
    """The integer arrays of an .npz by name (numpy.load would do, but PyTorch does without it)."""
    arrays, kinds = {}, {"|u1": torch.uint8, "<i4": torch.int32, "<i8": torch.int64}
    with zipfile.ZipFile(path) as archive:
        for name in archive.namelist():
            data = bytearray(archive.read(name))
            begin = data.index(b"{")  # a line of text with the type and the shape, then the values
            end = data.index(b"\n", begin) + 1
            header = ast.literal_eval(data[begin:end].decode())
            values = torch.frombuffer(data, dtype=kinds[header["descr"]], offset=end)
            arrays[name.removesuffix(".npy")] = values.reshape(header["shape"])
    return arrays


def or_one_line(read, path):
    """read(path), or the end of the program with one line where there is no such thing."""
    try:
        return read(path)
    except Exception as error:  # of files: whatever is wrong with them
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        sys.exit(f"error: {path}: {reason}")


def main():
    parser = argparse.ArgumentParser(description="Prints the mean log p_0 of images, as cdm-nll.")
    parser.add_argument("run", help="run directory")
    parser.add_argument("--data", required=True, help="FILE.npz: arr_0 uint8 [N, H, W, C], labels")
    options = parser.parse_args()
    model = or_one_line(load_run, options.run)
    arrays = or_one_line(read_npz, options.data)
    if arrays.get("arr_0") is None or arrays["arr_0"].dim() != 4:
        sys.exit(f"error: {options.data}: has no images arr_0 [N, H, W, C]")
    pixels, labels = arrays["arr_0"].permute(0, 3, 1, 2), arrays.get("arr_1")
    if model.predicts_noise:
        sys.exit(f"error: {options.run}: model.predicts = noise: the run has no density")
    # One 8-bit step is 1 / 127.5 of a unit of x; 1 / 128 where noise of one step is added, and the
    # mean then differs a little from call to call.
    noisy = model.config["data"].get("dequantize") == "uniform"
    nats = []
    for first in range(0, len(pixels), 64):
        u = pixels[first:first + 64].float()
        x = (u + torch.rand_like(u)) / 128 - 1 if noisy else u / 127.5 - 1
        with torch.no_grad():
            classes = None if labels is None else labels[first:first + 64].long()
            nats.append(model.log_prob(x, 0, classes))
    nats = torch.cat(nats)
    bits = -nats / (pixels[0].numel() * math.log(2)) + math.log2(128 if noisy else 127.5)
    print(f"images {len(nats)}\nlog_prob_nats {nats.mean():.3f}\nbits_per_dim {bits.mean():.4f}")


if __name__ == "__main__":
    main()
