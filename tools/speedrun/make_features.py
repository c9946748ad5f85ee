#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes tools/speedrun/fashion_cnn.pt, the feature network of the speedrun's Frechet distance.

A small convolutional classifier of Fashion-MNIST, trained on its 60,000 training images for two
epochs. The features are the 64 numbers before the classifier. The file in the repository is the
judge: a network that is trained again has other weights, and distances in other features cannot be
compared. So this program is here to show how it was made.

    python3 tools/speedrun/make_features.py /usr/share/datasets/fashion-mnist fashion_cnn.pt

Needs PyTorch (tools/setup.sh --python). Prints the accuracy on the test images.
"""
import gzip
import sys
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional as F


def convolution(inputs, outputs, stride):
    return (nn.Conv2d(inputs, outputs, 3, stride, padding=1), nn.BatchNorm2d(outputs), nn.ReLU())


class FashionCnn(nn.Module):
    """Images uint8 [B, 3, 28, 28] in 0..255, the same in all channels -> features [B, 64], or with
    return_features=False the logits of the ten classes."""

    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            *convolution(1, 16, 2), *convolution(16, 32, 1), *convolution(32, 64, 2),
            *convolution(64, 64, 2))
        self.classifier = nn.Linear(64, 10)

    def forward(self, x: torch.Tensor, return_features: bool = True):
        features = self.body(x[:, :1].float() / 127.5 - 1.0).mean([2, 3])
        return features if return_features else self.classifier(features)


def read_idx(path, header):
    return torch.frombuffer(bytearray(gzip.decompress(path.read_bytes())[header:]),
                            dtype=torch.uint8)


def load(folder, split):
    images = read_idx(folder / f"{split}-images-idx3-ubyte.gz", 16).view(-1, 1, 28, 28)
    return images, read_idx(folder / f"{split}-labels-idx1-ubyte.gz", 8).long()


def main(folder, out):
    torch.manual_seed(0)
    torch.set_num_threads(1)  # sums in a fixed order
    images, labels = load(folder, "train")
    network, epochs, batch = FashionCnn(), 2, 128
    optimizer = torch.optim.Adam(network.parameters(), 2e-3)
    steps = epochs * (len(images) // batch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 4e-3, total_steps=steps)
    for _ in range(epochs):
        order = torch.randperm(len(images))
        for rows in order[:len(images) // batch * batch].view(-1, batch):
            loss = F.cross_entropy(network(images[rows], return_features=False), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
    network.eval()
    images, labels = load(folder, "t10k")
    with torch.no_grad():
        guesses = torch.cat([network(part, return_features=False).argmax(1)
                             for part in images.split(500)])
    print(f"accuracy on {len(labels):,} test images: {(guesses == labels).float().mean():.4f}")
    torch.jit.script(network).save(out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
