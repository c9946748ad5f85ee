# SPDX-License-Identifier: MIT
"""Writes tests/data/archives: small archives of pictures as EDM's dataset_tool.py and WebDataset make
them, with Python's own zipfile and tarfile. Run by hand, with the standard library alone:

    python tests/python/make_archive_fixtures.py

What is in them is checked by tests/files/test_image_archive.cpp. Picture i is 4 x 4, of the colour
(10 i, 20, 30), and has the label 7 - i.
"""
import gzip
import io
import json
import pathlib
import struct
import tarfile
import zipfile
import zlib

FOLDER = pathlib.Path(__file__).parent.parent / "data" / "archives"
PICTURES = 5


def png(red):
    def chunk(name, contents):
        return (struct.pack(">I", len(contents)) + name + contents +
                struct.pack(">I", zlib.crc32(name + contents)))

    rows = (b"\0" + bytes([red, 20, 30]) * 4) * 4
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">2I5B", 4, 4, 8, 2, 0, 0, 0)) +
            chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


def make_zip(name, members, method=zipfile.ZIP_STORED):
    with zipfile.ZipFile(FOLDER / name, "w", method) as archive:
        for member, contents in members:
            archive.writestr(zipfile.ZipInfo(member, (1980, 1, 1, 0, 0, 0)), contents, method)


def make_tar(name, members, form=tarfile.PAX_FORMAT):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=form) as archive:
        for member, contents in members:
            info = tarfile.TarInfo(member)
            info.size = len(contents)
            archive.addfile(info, io.BytesIO(contents))
    contents = out.getvalue()
    (FOLDER / name).write_bytes(gzip.compress(contents, mtime=0) if name.endswith("gz") else contents)


def edm(labels):
    for i in reversed(range(PICTURES)):  # not in the order of names
        yield f"00000/img{i:08d}.png", png(10 * i)
    yield "dataset.json", json.dumps({"labels": labels}).encode()


def webdataset(numbers):
    for i in numbers:
        yield f"{i:06d}.png", png(10 * i)
        yield f"{i:06d}.cls", str(7 - i).encode()
        yield f"{i:06d}.json", b"{}"
        yield f"{i:06d}.txt", b"a picture"


def main():
    FOLDER.mkdir(exist_ok=True)
    labels = [[f"00000/img{i:08d}.png", 7 - i] for i in range(PICTURES)]
    make_zip("edm.zip", edm(labels))
    make_zip("edm_deflated.zip", edm(labels), zipfile.ZIP_DEFLATED)
    make_zip("edm_unlabelled.zip", edm(None))
    make_tar("shard-00.tar", webdataset(range(3)))
    make_tar("shard-01.tar", webdataset(range(3, PICTURES)), tarfile.GNU_FORMAT)
    make_tar("all.tar.gz", webdataset(range(PICTURES)), tarfile.USTAR_FORMAT)
    # A name that is neither ASCII nor short, and names that point elsewhere.
    odd = [("\u00fcber/" + 120 * "x" + ".png", png(0)), ("../../outside.png", png(10)),
           ("/absolute.png", png(20)), (".hidden.png", b"no picture"),
           ("__MACOSX/a.png", b"no picture")]
    make_zip("odd.zip", odd)
    make_tar("odd.tar", odd)


main()
