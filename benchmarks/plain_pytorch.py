# SPDX-License-Identifier: MIT
"""Classification diffusion models in plain eager PyTorch, written from the paper's formulas.

Two uses: an independent second opinion on the numbers of the C++ programs (tests/python), and the
speed that one gets without doing anything special (time_pytorch.py). Parameter names are those of
the C++ network, so weights travel.
"""
import json
import math
import re
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


def swish(x):
    return x * torch.sigmoid(x)


def norm(channels):
    """32 groups; where 32 does not divide the width, groups of about four channels."""
    groups = 32 if channels % 32 == 0 else math.gcd(32, channels, max(channels // 4, 1))
    return nn.GroupNorm(groups, channels, eps=1e-6)


class ResBlock(nn.Module):
    def __init__(self, width_in, width, embedding, dropout):
        super().__init__()
        self.norm1 = norm(width_in)
        self.conv1 = nn.Conv2d(width_in, width, 3, padding=1)
        if embedding:
            self.temb_proj = nn.Linear(embedding, width)
        self.norm2 = norm(width)
        self.dropout = nn.Dropout(dropout)
        self.conv2 = nn.Conv2d(width, width, 3, padding=1)
        if width_in != width:
            self.nin_shortcut = nn.Conv2d(width_in, width, 1)

    def forward(self, x, embedding):
        h = self.conv1(swish(self.norm1(x)))
        if embedding is not None:
            h = h + self.temb_proj(swish(embedding))[:, :, None, None]
        h = self.conv2(self.dropout(swish(self.norm2(h))))
        return h + (self.nin_shortcut(x) if hasattr(self, "nin_shortcut") else x)


class Attention(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.norm = norm(width)
        self.q, self.k, self.v, self.proj_out = (nn.Conv2d(width, width, 1) for _ in range(4))

    def forward(self, x):
        h = self.norm(x)
        q, k, v = (layer(h).flatten(2) for layer in (self.q, self.k, self.v))  # [B, C, HW]
        weights = torch.softmax(q.transpose(1, 2) @ k / math.sqrt(q.shape[1]), dim=2)
        return x + self.proj_out((v @ weights.transpose(1, 2)).view_as(x))


class UNet(nn.Module):
    """Images [B, C, H, W] -> logits [B, levels]; `model` holds the keys of the config's section."""

    def __init__(self, model, image_channels, image_size, levels):
        super().__init__()
        base, blocks, dropout = model["channels"], model["res_blocks"], model["dropout"]
        widths = [base * m for m in model["channel_mult"]]
        self.num_classes = model.get("num_classes", 0)
        embedding = 4 * base if self.num_classes else 0
        sizes = [image_size >> level for level in range(len(widths))]
        attends = [size in model["attention_resolutions"] for size in sizes]
        if embedding:
            self.temb = nn.Module()
            self.temb.dense = nn.ModuleList([nn.Linear(base, embedding),
                                             nn.Linear(embedding, embedding)])
            self.label_emb = nn.Embedding(self.num_classes + 1, base)
        self.conv_in = nn.Conv2d(image_channels, base, 3, padding=1)

        width, skips = base, [base]
        self.down = nn.ModuleList()
        for level, out in enumerate(widths):
            stage = nn.Module()
            stage.block, stage.attn = nn.ModuleList(), nn.ModuleList()
            for _ in range(blocks):
                stage.block.append(ResBlock(width, out, embedding, dropout))
                if attends[level]:
                    stage.attn.append(Attention(out))
                width = out
                skips.append(width)
            if level + 1 < len(widths):
                stage.downsample = nn.Module()
                stage.downsample.conv = nn.Conv2d(width, width, 3, stride=2)
                skips.append(width)
            self.down.append(stage)

        self.mid = nn.Module()
        self.mid.block_1 = ResBlock(width, width, embedding, dropout)
        self.mid.attn_1 = Attention(width)
        self.mid.block_2 = ResBlock(width, width, embedding, dropout)

        self.up = nn.ModuleList()
        for level in reversed(range(len(widths))):
            stage = nn.Module()
            stage.block, stage.attn = nn.ModuleList(), nn.ModuleList()
            for _ in range(blocks + 1):
                stage.block.append(ResBlock(width + skips.pop(), widths[level], embedding, dropout))
                width = widths[level]
                if attends[level]:
                    stage.attn.append(Attention(width))
            if level > 0:
                stage.upsample = nn.Module()
                stage.upsample.conv = nn.Conv2d(width, width, 3, padding=1)
            self.up.insert(0, stage)

        self.norm_out = norm(width)
        features = model.get("head_channels") or 2 * width
        self.conv_out = nn.Conv2d(width, features, 3, padding=1)
        self.linear_layer = nn.Linear(features, levels)

    def head(self, x, labels=None):
        e = None
        if self.num_classes:
            e = self.temb.dense[1](swish(self.temb.dense[0](self.label_emb(labels))))
        h = self.conv_in(x)
        skips = [h]
        for stage in self.down:
            for i, block in enumerate(stage.block):
                h = block(h, e)
                if len(stage.attn):
                    h = stage.attn[i](h)
                skips.append(h)
            if hasattr(stage, "downsample"):
                h = stage.downsample.conv(F.pad(h, (0, 1, 0, 1)))
                skips.append(h)
        h = self.mid.block_2(self.mid.attn_1(self.mid.block_1(h, e)), e)
        for stage in reversed(self.up):
            for i, block in enumerate(stage.block):
                h = block(torch.cat([h, skips.pop()], dim=1), e)
                if len(stage.attn):
                    h = stage.attn[i](h)
            if hasattr(stage, "upsample"):
                h = stage.upsample.conv(F.interpolate(h, scale_factor=2.0, mode="nearest"))
        return self.linear_layer(self.conv_out(swish(self.norm_out(h))).mean(dim=(2, 3)))

    def forward(self, x, labels=None):
        return torch.cumsum(self.head(x, labels), dim=1)


def alpha_bars(diffusion):
    """abar of levels 0..T+1, float64: 1 at the data, 0 at the standard normal."""
    beta = torch.linspace(diffusion["beta_start"], diffusion["beta_end"], diffusion["steps"],
                          dtype=torch.float64)
    one = torch.ones(1, dtype=torch.float64)
    return torch.cat([one, torch.cumprod(1 - beta, 0), 0 * one])


def per_image(values, t, like):
    return values.to(like.dtype)[t][:, None, None, None]


def log_ratio(logits, t):
    """F(x, t) = f[T+1] - f[t]"""
    return logits[:, -1] - logits.gather(1, t[:, None])[:, 0]


def noise_and_logits(model, abar, x, t, labels=None, create_graph=False):
    """eps(x, t) = sqrt(1 - abar_t) (grad_x F(x, t) + x), and the logits on the way."""
    x = x.detach().requires_grad_(True)
    logits = model(x, labels)
    grad_F, = torch.autograd.grad(log_ratio(logits, t).sum(), x, create_graph=create_graph)
    return per_image((1 - abar).sqrt(), t, x) * (grad_F + x), logits


def add_noise(abar, x0, t, noise):
    return per_image(abar.sqrt(), t, x0) * x0 + per_image((1 - abar).sqrt(), t, x0) * noise


def loss_terms(model, abar, weights, x0, t, noise, labels=None):
    eps, logits = noise_and_logits(model, abar, add_noise(abar, x0, t, noise), t, labels, True)
    ce, mse = F.cross_entropy(logits, t), F.mse_loss(eps, noise)
    return weights["ce_weight"] * ce + weights["mse_weight"] * mse, ce, mse


def log_prob(model, x, t, labels=None):
    """log p_t(x) = log N(x; 0, I) - F(x, t), in nats."""
    with torch.no_grad():
        flat = x.flatten(1)
        log_normal = -0.5 * (flat.square().sum(1) + flat.shape[1] * math.log(2 * math.pi))
        return log_normal - log_ratio(model(x, labels), t)


def ddim_step(x, eps, abar_t, abar_s):
    x0 = (x - (1 - abar_t).sqrt() * eps) / abar_t.sqrt()
    return abar_s.sqrt() * x0 + (1 - abar_s).sqrt() * eps


def ddpm_step(x, eps, abar_t, abar_s, noise):
    x0 = (x - (1 - abar_t).sqrt() * eps) / abar_t.sqrt()
    alpha = abar_t / abar_s
    mean = (abar_s.sqrt() * (1 - alpha) * x0 + alpha.sqrt() * (1 - abar_s) * x) / (1 - abar_t)
    return mean + ((1 - abar_s) / (1 - abar_t) * (1 - alpha)).sqrt() * noise


class Trainer:
    """Adam with warm-up and step decay, gradient clipping and a moving average of the weights."""

    def __init__(self, model, abar, loss, train):
        self.model, self.abar, self.loss, self.train, self.k = model, abar, loss, train, 0
        self.adam = torch.optim.Adam(model.parameters(), betas=(train["adam_beta1"],
                                     train["adam_beta2"]), eps=train["adam_eps"])
        self.ema = {name: p.detach().clone() for name, p in model.named_parameters()}

    def learning_rate(self):
        t, k = self.train, self.k
        warmup = min((k + 1) / t["warmup"], 1.0) if t["warmup"] else 1.0
        decays = k // t["decay_every"] if t["decay_every"] else 0
        return t["learning_rate"] * warmup * t["decay_factor"] ** decays

    def ema_decay(self):
        n = self.k - self.train["ema_start"]
        if n < 0:
            return 0.0
        decay = self.train["ema_decay"]
        return min(decay, (1 + n) / (10 + n)) if self.train["ema_warmup"] else decay

    def step(self, x0, t, noise, labels=None):
        total, ce, mse = loss_terms(self.model, self.abar, self.loss, x0, t, noise, labels)
        self.adam.zero_grad()
        total.backward()
        return [total.item(), ce.item(), mse.item(), *self.update()]

    def update(self):
        limit = self.train["clip_grad_norm"] or math.inf
        gradient_norm = nn.utils.clip_grad_norm_(self.model.parameters(), limit).item()
        rate, decay = self.learning_rate(), self.ema_decay()
        self.adam.param_groups[0]["lr"] = rate
        self.adam.step()
        with torch.no_grad():
            for name, p in self.model.named_parameters():
                self.ema[name].mul_(decay).add_(p, alpha=1 - decay)
        self.k += 1
        return gradient_norm, rate


# What configurations leave out, as far as the network and the schedule need it.
DEFAULTS = {
    "diffusion": {"steps": 1000, "beta_start": 1e-4, "beta_end": 0.02},
    "model": {"channels": 128, "channel_mult": [1, 2, 2, 2], "res_blocks": 2,
              "attention_resolutions": [16], "dropout": 0.1, "num_classes": 0},
}


def read_config(path):
    """The configs' YAML, as far as they use it: {section: {key: value}}, sections in braces."""
    def value(text):
        try:
            return json.loads(text)
        except ValueError:
            return text
    sections = re.findall(r"^(\w+): *\{(.*?)\}", Path(path).read_text(), re.M | re.S)
    given = {name: {key: value(text)
                    for key, text in re.findall(r"(\w+): *(\[.*?\]|[^,\s]+)", body)}
             for name, body in sections}
    return {name: {**DEFAULTS.get(name, {}), **given.get(name, {})}
            for name in DEFAULTS.keys() | given.keys()}


def make_network(config, image_channels, image_size):
    return UNet(config["model"], image_channels, image_size, config["diffusion"]["steps"] + 2)
