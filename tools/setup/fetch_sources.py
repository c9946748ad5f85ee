#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""fetch_sources.py LIST FOLDER [GIVEN]: puts the archives of LIST (cmake/libraries/sources.txt) into
FOLDER: those that the folder GIVEN has, and the others from their addresses. Every one must have the
SHA-256 that LIST says. An error is one line."""
import hashlib
import os
import shutil
import sys
import urllib.request


def has_checksum(path, wanted):
    with open(path, "rb") as file:
        return hashlib.sha256(file.read()).hexdigest() == wanted


def fetch(name, wanted, url, folder, given):
    path, part = os.path.join(folder, name), os.path.join(folder, name + ".part")
    if os.path.exists(path):
        return
    source = os.path.join(given, name) if given else ""
    if given and os.path.exists(source):
        shutil.copyfile(source, part)
    else:
        source = url
        print(f"setup: fetching {url}", flush=True)
        with urllib.request.urlopen(url, timeout=60) as answer, open(part, "wb") as file:
            shutil.copyfileobj(answer, file)
    if not has_checksum(part, wanted):
        os.remove(part)
        raise ValueError(f"{source}: has another SHA-256 than {wanted}")
    os.rename(part, path)


def main(sources, folder, given=""):
    os.makedirs(folder, exist_ok=True)
    with open(sources, encoding="utf-8") as lines:
        for line in lines:
            if line.startswith("#"):
                continue
            name, wanted, url = line.split()
            try:
                fetch(name, wanted, url, folder, given)
            except ValueError as error:
                sys.exit(f"setup: {error}")
            except OSError as error:
                sys.exit(f"setup: {url}: {error}; where it cannot be fetched, put {name} into a folder and name "
                         "that by CDM_SOURCES")


main(*sys.argv[1:])
