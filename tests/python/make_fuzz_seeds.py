# SPDX-License-Identifier: MIT
"""Writes the seeds of the fuzz targets, tests/data/fuzz/TARGET/seed-*, with the standard library and
out of the files under tests/data. Run by hand:

    python tests/python/make_fuzz_seeds.py

Findings (finding-*) lie beside them, and are left alone.
"""
import gzip
import io
import json
import pathlib
import struct
import zipfile
import zlib

DATA = pathlib.Path(__file__).parent.parent / "data"


def put(target, name, contents):
    folder = DATA / "fuzz" / target
    folder.mkdir(parents=True, exist_ok=True)
    if isinstance(contents, str):
        contents = contents.encode()
    (folder / f"seed-{name}").write_bytes(contents)


def yaml():
    for name in ["golden_cond.yaml", "golden_uncond.yaml"]:
        put("yaml", name, (DATA / name).read_bytes())
    put("yaml", "lists", "model: {channel_mult: [1, 2], attention_resolutions: []}\nseed: 7\n")
    put("yaml", "block", "data:\n  kind: npz\n  path: \"a\\x20b\"\ntrain:\n  warmup: 1\n")
    put("yaml", "anchor", "data: &a {path: &b x, test_path: *b}\nmodel: *a\n")
    put("yaml", "tagged", "%YAML 1.1\n---\nseed: !!int +3\ndiffusion: {beta_end: 1.0e-2}\n...\n")
    put("yaml", "merge", "x-a: &a {warmup: 1_0, ema_warmup: Yes}\n.b: &b {<<: *a, log_every: 0x10}\n"
                         "train:\n  <<: [*b, *a]\n  warmup: 1e1\ndata:\nloss: ~\n")
    put("yaml", "cycle", "train: &t {<<: *t}\nmodel: {attention_resolutions: &a [*a]}\n")
    put("yaml", "two", "seed: 1\n...\n---\nseed: 010\n")
    put("yaml", "path", "data: {path: \"~/${HOME}/$$x/$\"}\ntrain: {max_minutes: 1:30}\n")
    put("yaml", "unknown", "modle: {kind: |\n  text\n  more\n}\n? [a, b]\n: 1\n")


def idx_file(shape, contents, kind=8):
    return bytes([0, 0, kind, len(shape)]) + struct.pack(f">{len(shape)}I", *shape) + contents


def idx():
    images = idx_file([2, 3, 4], bytes(range(24)))
    labels = idx_file([3], bytes([0, 1, 9]))
    put("idx", "images", images)
    put("idx", "labels", labels)
    put("idx", "images.gz", gzip.compress(images, mtime=0))
    put("idx", "labels.gz", gzip.compress(labels, mtime=0))
    put("idx", "large", idx_file([10000, 10000, 10000], bytes(8)))
    put("idx", "large.gz", gzip.compress(idx_file([10000, 10000, 10000], bytes(8)), mtime=0))


def cifar10():
    record = bytes([3]) + bytes(i % 251 for i in range(3072))
    names = "".join(f"class {i}\n" for i in range(10))
    put("cifar10", "one", record)
    put("cifar10", "named", record + names.encode())
    put("cifar10", "wrong-label", b"\x0a" + record[1:])
    put("cifar10", "short", record[:100])


def cifar_python():
    for file in sorted((DATA / "cifar").glob("python*/*/*")):
        put("cifar_python", f"{file.parent.parent.name}-{file.name}", file.read_bytes())


def image_archive():
    for name in ["edm.zip", "edm_deflated.zip", "odd.zip", "all.tar.gz", "shard-01.tar"]:
        put("archive", name, (DATA / "archives" / name).read_bytes())


def npy_file(descr, shape, contents, fortran=False, version=1):
    header = f"{{'descr': '{descr}', 'fortran_order': {fortran}, 'shape': {shape}, }}\n".encode()
    length = struct.pack("<H" if version == 1 else "<I", len(header))
    return b"\x93NUMPY" + bytes([version, 0]) + length + header + contents


def arrays():
    yield "u1", npy_file("|u1", "(1, 2, 2, 1)", bytes(4))
    yield "f4", npy_file("<f4", "(3,)", struct.pack("<3f", 1, 2, 3))
    yield "f8-fortran", npy_file("<f8", "(2, 2)", bytes(32), fortran=True)
    yield "b1", npy_file("|b1", "(2,)", bytes([0, 1]))
    yield "u2-big", npy_file(">u2", "(2,)", bytes([0, 1, 255, 255]))
    yield "u8", npy_file("<u8", "(1,)", bytes([255] * 8))
    yield "scalar", npy_file("<i8", "()", bytes(8), version=2)
    yield "empty", npy_file("<f2", "(0, 3)", b"", version=3)
    yield "large", npy_file("<f4", "(1000000, 1000000)", bytes(4))


def npy():
    for name, contents in arrays():
        put("npy", name, contents)


def archive(members, method=zipfile.ZIP_STORED):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", method) as file:
        for name, contents in members:
            file.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), contents, method)
    return out.getvalue()


def npz():
    found = dict(arrays())
    labelled = [("arr_0.npy", found["u1"]), ("arr_1.npy", npy_file("<i8", "(1,)", bytes(8)))]
    put("npz", "labelled", archive(labelled))
    put("npz", "deflated", archive(labelled, zipfile.ZIP_DEFLATED))
    put("npz", "large", archive([("arr_0.npy", found["large"])]))
    put("npz", "large-deflated", archive([("arr_0.npy", found["large"])], zipfile.ZIP_DEFLATED))
    put("npz", "empty", archive([]))
    put("npz", "numpy", (DATA / "numpy_small.npz").read_bytes())


def picture():
    for file in sorted((DATA / "pictures").iterdir()):
        if file.suffix != ".npz":
            put("picture", file.name, file.read_bytes())
    claim = bytearray((DATA / "pictures" / "rgb.png").read_bytes())
    claim[16:24] = struct.pack(">2I", 10**6, 10**6)
    claim[29:33] = struct.pack(">I", zlib.crc32(claim[12:29]))
    put("picture", "large.png", claim)


def safetensors_file(header, contents):
    text = json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + contents


def safetensors():
    def tensor(dtype, shape, begin, end):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    two = {"a": tensor("F32", [2], 0, 8), "b": tensor("BOOL", [1, 2], 8, 10)}
    put("safetensors", "two", safetensors_file(two, bytes(10)))
    put("safetensors", "metadata", safetensors_file({"__metadata__": {"a": "b"}}, b""))
    put("safetensors", "empty", safetensors_file({"a": tensor("BF16", [0, 3], 0, 0)}, b""))
    put("safetensors", "large",
        safetensors_file({"a": tensor("F64", [10**6, 10**6], 0, 8 * 10**12)}, bytes(8)))
    put("safetensors", "numpy", (DATA / "numpy.safetensors").read_bytes())


def pth():
    for file in sorted(DATA.glob("torch_*.pth")) + [DATA / "official_bare.pth"]:
        name = file.stem.removeprefix("torch_")
        put("pth", name, file.read_bytes())
        if zipfile.is_zipfile(file):
            with zipfile.ZipFile(file) as members:
                pickles = [m for m in members.namelist() if m.endswith("/data.pkl")]
                put("pickle", name, members.read(pickles[0]))
    for python in ["python2", "python3"]:
        put("pickle", f"numpy-{python}",
            (DATA / "cifar" / python / "cifar-10-batches-py" / "test_batch").read_bytes())
    # A storage of 10^12 elements.
    claim = (b"\x80\x02(X\x07\0\0\0storagectorch\nFloatStorage\nX\x01\0\0\x000X\x03\0\0\0cpu"
             b"\x8a\x06\0\x10\xa5\xd4\xe8\0tQ.")
    put("pickle", "large", claim)
    put("pth", "large", archive([("a/data.pkl", claim), ("a/data/0", bytes(4))]))
    with zipfile.ZipFile(DATA / "torch_refused_expanded.pth") as members:
        put("pth", "small", archive([(m, members.read(m)) for m in members.namelist()
                                     if "/data" in m]))


for make in [yaml, idx, cifar10, cifar_python, image_archive, npy, npz, picture, safetensors, pth]:
    make()
