# SPDX-License-Identifier: MIT
"""Writes small PNG and JPEG files of every kind under tests/data/pictures with Pillow, and what Pillow
reads from them, as RGB over white and as grey, in expected.npz. Run by hand:

    python tests/python/make_picture_fixtures.py [FOLDER]

needs `pip install numpy pillow`. tests/files/test_image.cpp compares.
"""
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image, PngImagePlugin

HEIGHT, WIDTH = 11, 14


def pictures():
    """name -> (picture, options of save)."""
    y, x = np.mgrid[0:HEIGHT, 0:WIDTH]
    rgb = np.stack([x * 18, y * 23, (x * y * 7 + 40) % 256], -1).astype(np.uint8)
    alpha = ((x * 37 + y * 11) % 256).astype(np.uint8)
    colour = Image.fromarray(rgb)
    grey = Image.fromarray(rgb[..., 0])
    palette = colour.quantize(13)
    smooth = Image.fromarray(np.stack([x * 18, y * 23, 255 - x * 9 - y * 11], -1).astype(np.uint8))
    gamma = PngImagePlugin.PngInfo()
    gamma.add(b"gAMA", (100000).to_bytes(4, "big"))
    gamma.add_text("remark", "long " * 40, zip=True)
    return {
        "rgb.png": (colour, {}),
        "gamma.png": (colour, {"pnginfo": gamma}),
        "grey.png": (grey, {}),
        "bits.png": (grey.point(lambda v: 255 * (v > 100)).convert("1"), {}),
        "grey16.png": (Image.fromarray((x * 4000 + y * 900).astype(np.uint16)), {}),
        "palette.png": (palette, {}),
        "clear_palette.png": (palette, {"transparency": 3}),
        "rgba.png": (Image.fromarray(np.dstack([rgb, alpha])), {}),
        "grey_alpha.png": (Image.fromarray(np.dstack([rgb[..., 0], alpha]), "LA"), {}),
        "rgb.jpg": (smooth, {"quality": 92, "subsampling": 0}),
        "grey.jpg": (smooth.convert("L"), {"quality": 92}),
        "progressive.jpg": (smooth, {"quality": 92, "subsampling": 0, "progressive": True}),
        "cmyk.jpg": (smooth.convert("CMYK"), {}),
    }


def interlaced(rgb):
    """A PNG in the seven passes of Adam7, which Pillow does not write."""
    data = b""
    passes = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2)]
    for top, left, down, right in passes + [(1, 0, 2, 1)]:
        for row in rgb[top::down, left::right]:
            data += b"\0" + row.tobytes() if row.size else b""
    header = struct.pack(">IIBBBBB", rgb.shape[1], rgb.shape[0], 8, 2, 0, 0, 1)
    out = b"\x89PNG\r\n\x1a\n"
    for name, body in [(b"IHDR", header), (b"IDAT", zlib.compress(data)), (b"IEND", b"")]:
        out += struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))
    return out


def over_white(path):
    picture = Image.open(path)
    if picture.mode.startswith("I"):  # 16 bits: Pillow would cut off at 255
        grey = np.round(np.asarray(picture).astype(np.float64) / 257).astype(np.uint8)
        return np.stack([grey] * 3, -1)
    rgba = np.asarray(picture.convert("RGBA")).astype(np.float64)
    share = rgba[..., 3:] / 255
    return np.round(rgba[..., :3] * share + 255 * (1 - share)).astype(np.uint8)


def centre(path, size):
    """The shorter side, which is the height, resized; then the middle."""
    width = WIDTH * size // HEIGHT
    resized = Image.open(path).resize((width, size), Image.Resampling.BILINEAR)
    left = (width - size) // 2
    return np.asarray(resized)[:, left : left + size].transpose(2, 0, 1)


def main():
    default = pathlib.Path(__file__).parent.parent / "data" / "pictures"
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else default
    folder.mkdir(exist_ok=True)
    expected = {}
    for name, (picture, options) in pictures().items():
        picture.save(folder / name, **options)
        if name == "cmyk.jpg":
            continue  # to be refused
        rgb = over_white(folder / name)
        expected[name] = rgb.transpose(2, 0, 1)
        expected["grey of " + name] = np.asarray(Image.fromarray(rgb).convert("L"))[None]
    rgb = np.asarray(Image.open(folder / "rgb.png"))
    (folder / "interlaced.png").write_bytes(interlaced(rgb))
    expected["interlaced.png"] = over_white(folder / "interlaced.png").transpose(2, 0, 1)
    expected["grey of interlaced.png"] = expected["grey of rgb.png"]
    for size in [5, 16]:
        expected[f"{size} of rgb.png"] = centre(folder / "rgb.png", size)
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()
