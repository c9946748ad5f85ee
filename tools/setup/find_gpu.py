#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Prints the first NVIDIA GPU: the CUDA version that its driver supports, its compute capability and
its name, for example "13.0 9.0 NVIDIA H200". Prints "13.0 - -" where the driver finds no GPU, and
nothing where there is no driver. Asks the driver's library, and nvidia-smi where that does not load."""
import ctypes
import re
import subprocess

# Where the driver's library lies when the loader does not know it.
FOLDERS = ["", "/usr/lib/x86_64-linux-gnu/", "/usr/lib64/", "/usr/local/nvidia/lib64/", "/usr/lib/wsl/lib/",
           "/run/opengl-driver/lib/"]


def ask_library():
    """(CUDA version, capability or "-", name or "-"), or None."""
    for folder in FOLDERS:
        try:
            cuda = ctypes.CDLL(folder + "libcuda.so.1")
        except OSError:
            continue
        break
    else:
        return None
    version, count, device = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if cuda.cuDriverGetVersion(ctypes.byref(version)) != 0:
        return None
    supported = f"{version.value // 1000}.{version.value % 1000 // 10}"
    none = (supported, "-", "-")
    if cuda.cuInit(0) != 0 or cuda.cuDeviceGetCount(ctypes.byref(count)) != 0 or count.value == 0:
        return none
    major, minor, name = ctypes.c_int(), ctypes.c_int(), ctypes.create_string_buffer(256)
    asked = [cuda.cuDeviceGet(ctypes.byref(device), 0),
             cuda.cuDeviceGetAttribute(ctypes.byref(major), 75, device),  # COMPUTE_CAPABILITY_MAJOR
             cuda.cuDeviceGetAttribute(ctypes.byref(minor), 76, device),
             cuda.cuDeviceGetName(name, len(name), device)]
    if any(asked):
        return none
    return supported, f"{major.value}.{minor.value}", name.value.decode(errors="replace")


def nvidia_smi(*options):
    done = subprocess.run(["nvidia-smi", *options], capture_output=True, text=True, timeout=60, check=True)
    return done.stdout


def ask_nvidia_smi():
    try:
        version = re.search(r"CUDA (?:UMD )?Version: *(\d+\.\d+)", nvidia_smi())
        gpus = nvidia_smi("--query-gpu=compute_cap,name", "--format=csv,noheader").splitlines()
    except (OSError, subprocess.SubprocessError):
        return None
    gpu = re.match(r"(\d+\.\d+), *(.+)", gpus[0]) if gpus else None
    if not version:
        return None
    return (version[1], gpu[1], gpu[2].strip()) if gpu else (version[1], "-", "-")


found = ask_library() or ask_nvidia_smi()
if found:
    print(*found)
