# SPDX-License-Identifier: MIT
"""Writes small pictures of every kind that is read under tests/data/pictures with Pillow, and what Pillow
reads from them, as RGB over white and as grey, in expected.npz. Run by hand:

    python tests/python/make_picture_fixtures.py [FOLDER]

needs `pip install numpy pillow`. tests/files/test_image.cpp and test_orientation.cpp compare.
"""
import io
import pathlib
import struct
import sys
import zlib

import numpy as np
from PIL import Image, ImageOps, PngImagePlugin

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
        "lossless.webp": (colour, {"lossless": True}),
        "lossy.webp": (smooth, {"quality": 90}),
        "rgba.webp": (Image.fromarray(np.dstack([rgb, alpha])), {"lossless": True, "exact": True}),
        "animated.webp": (colour, {"lossless": True, "save_all": True, "append_images": [smooth]}),
        "palette.gif": (palette, {"interlace": 0}),
        "interlaced.gif": (palette, {"interlace": 1}),
        "clear.gif": (palette, {"transparency": 3}),
        "animated.gif": (palette, {"save_all": True, "append_images": [smooth.quantize(9)]}),
        "rgb.bmp": (colour, {}),
        "grey.bmp": (grey, {}),
        "bits.bmp": (grey.point(lambda v: 255 * (v > 100)).convert("1"), {}),
        "palette.bmp": (palette, {}),
        "rgb.tif": (colour, {}),
        "lzw.tif": (colour, {"compression": "tiff_lzw"}),
        "fax.tif": (grey.point(lambda v: 255 * (v > 100)).convert("1"), {"compression": "group4"}),
        "grey16.tif": (Image.fromarray((x * 4000 + y * 900).astype(np.uint16)), {}),
        "palette.tif": (palette, {}),
        "rgba.tif": (Image.fromarray(np.dstack([rgb, alpha])), {}),
        "cmyk.tif": (smooth.convert("CMYK"), {}),
        "float.tif": (Image.fromarray(x.astype(np.float32)), {}),
    }


REFUSED = ["float.tif"]


def without_segment(jpeg, kind):
    """A JPEG without its segments of that kind (the second byte of their marker)."""
    at = jpeg.index(bytes([0xFF, kind]))
    (length,) = struct.unpack(">H", jpeg[at + 2 : at + 4])
    return jpeg[:at] + jpeg[at + 2 + length :]


def jpeg_of_inks(inks):
    out = io.BytesIO()
    Image.fromarray(inks, "CMYK").save(out, "JPEG", quality=95, subsampling=0)
    return bytearray(out.getvalue())


def ycck(cmyk):
    """A JPEG of luma, two chromas and black, which Pillow does not write."""
    stored = 255 - np.asarray(cmyk)  # as Adobe does
    rgb = Image.fromarray(255 - stored[..., :3])
    chroma = np.dstack([np.asarray(rgb.convert("YCbCr")), stored[..., 3]])
    jpeg = jpeg_of_inks(255 - chroma)
    jpeg[jpeg.index(b"Adobe") + 11] = 2  # the transform: 2 = YCCK
    return jpeg


def bmp(bits, rows, compression=0, after_header=b"", height=HEIGHT):
    """A BMP of rows, bottom first; each a bytes object."""
    pixels = b"".join(row + bytes(-len(row) % 4) for row in rows)
    start = 54 + len(after_header)
    header = struct.pack("<IiiHHIIiiII", 40, WIDTH, height, 1, bits, compression, len(pixels), 0, 0, 0, 0)
    return b"BM" + struct.pack("<IHHI", start + len(pixels), 0, 0, start) + header + after_header + pixels


def bmps(rgb):
    """Kinds that Pillow reads and does not write."""
    r, g, b = (rgb[..., i].astype(np.uint32) for i in range(3))
    packed = (r >> 3 << 11 | g >> 2 << 5 | b >> 3).astype("<u2")
    masks = struct.pack("<3I", 0xF800, 0x7E0, 0x1F)
    yield "rgb565.bmp", bmp(16, [row.tobytes() for row in packed[::-1]], 3, masks)
    packed = (r >> 3 << 10 | g >> 3 << 5 | b >> 3).astype("<u2")
    yield "rgb555.bmp", bmp(16, [row.tobytes() for row in packed[::-1]])
    # The fourth byte means nothing here.
    packed = np.dstack([rgb[..., ::-1], rgb[..., 0]])
    yield "top_down.bmp", bmp(32, [row.tobytes() for row in packed], height=-HEIGHT)
    numbers = (rgb[..., 0] // 18 + rgb[..., 1] // 23) % 16
    rows = [(row[0::2] << 4 | row[1::2]).tobytes() for row in numbers[::-1].astype(np.uint8)]
    palette = b"".join(bytes([i * 16, 255 - i * 9, i * i, 0]) for i in range(16))
    yield "four_bits.bmp", bmp(4, rows, after_header=palette)


def with_bad_text(png):
    """The PNG with a text chunk whose checksum is wrong."""
    text = b"tEXtComment\0damaged"
    return png[:33] + struct.pack(">I", len(text) - 4) + text + bytes(4) + png[33:]


def put_turned(folder, expected):
    """turned.*, of orientation 1, for a test to change; and what Pillow makes of each orientation."""
    rgb = pictures()["rgb.png"][0]
    smooth = Image.open(folder / "rgb.jpg")
    exif = Image.Exif()
    for orientation in range(1, 9):
        exif[0x112] = orientation
        for picture, name, options in [
            (rgb, "turned.png", {}),
            (smooth, "turned.jpg", {"quality": 92, "subsampling": 0}),
            (rgb, "turned.webp", {"lossless": True}),
            (rgb, "turned.tif", {}),
        ]:
            out = io.BytesIO()
            kind = Image.registered_extensions()[pathlib.Path(name).suffix]
            picture.save(out, kind, exif=exif, **options)
            if orientation == 1:
                (folder / name).write_bytes(out.getvalue())
            if name in ["turned.png", "turned.jpg"]:
                turned = ImageOps.exif_transpose(Image.open(out))
                expected[f"{orientation} of {name}"] = np.asarray(turned).transpose(2, 0, 1)


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


def over_white(picture):
    if picture.mode.startswith("I"):  # 16 bits: Pillow would cut off at 255
        grey = np.round(np.asarray(picture).astype(np.float64) / 257).astype(np.uint8)
        return np.stack([grey] * 3, -1)
    if picture.mode == "CMYK":
        picture = picture.convert("RGB")
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
    rgb = np.asarray(Image.open(folder / "rgb.png"))
    (folder / "interlaced.png").write_bytes(interlaced(rgb))
    (folder / "bad_text.png").write_bytes(with_bad_text((folder / "rgb.png").read_bytes()))
    cmyk = pictures()["cmyk.jpg"][0]
    (folder / "ycck.jpg").write_bytes(ycck(cmyk))
    # Without Adobe's segment, inks are not inverted.
    plain = without_segment(bytes(jpeg_of_inks(255 - np.asarray(cmyk))), 0xEE)
    (folder / "plain_cmyk.jpg").write_bytes(plain)
    for name, contents in bmps(rgb):
        (folder / name).write_bytes(contents)
    for file in sorted(folder.iterdir()):
        name = file.name
        if name in REFUSED or name == "expected.npz" or name.startswith("turned"):
            continue
        if name == "bad_text.png":  # Pillow stops at the checksum
            picture = Image.open(folder / "rgb.png")
        elif name == "plain_cmyk.jpg":  # Pillow takes all inks for inverted ones
            inverted = np.asarray(Image.open(folder / name))
            picture = Image.fromarray(255 - inverted, "CMYK")
        else:
            picture = Image.open(folder / name)
        over = over_white(picture)
        expected[name] = over.transpose(2, 0, 1)
        expected["grey of " + name] = np.asarray(Image.fromarray(over).convert("L"))[None]
    put_turned(folder, expected)
    for size in [5, 16]:
        expected[f"{size} of rgb.png"] = centre(folder / "rgb.png", size)
    np.savez_compressed(folder / "expected.npz", **expected)


if __name__ == "__main__":
    main()
