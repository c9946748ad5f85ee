# shellcheck shell=bash
# SPDX-License-Identifier: MIT
# Sourced by tools/setup.sh: a Python that imports the LibTorch that the programs use.

# Python packages that PyTorch and the scripts in examples/ and tests/python/ import.
python_wheels='
typing-extensions==4.15.0
numpy==2.4.6
pyyaml==6.0.3
'

# Makes a Python environment in .deps/python whose module torch is the wheel unpacked before.
install_python() {
  local torch version python=.deps/python site started=$SECONDS
  torch=$(realpath "${CDM_LIBTORCH:-.deps/libtorch/torch}")
  # A wheel is for one version of Python: _C.cpython-311-x86_64-linux-gnu.so is for Python 3.11.
  version=$(basename "$torch"/_C.cpython-3*.so | sed 's/.*cpython-3\([0-9]*\).*/3.\1/')
  if ! command -v "python$version" >/dev/null; then
    say "no PyTorch in Python: $torch has none, or one for another Python than those installed"
    return
  fi
  site=$python/lib/python$version/site-packages
  if [[ ! -x $python/bin/python3 ]]; then "python$version" -m venv --without-pip "$python"; fi
  # shellcheck disable=SC2086  # the variable holds several arguments
  python3 -m pip --python "$python/bin/python3" install --quiet --disable-pip-version-check \
    --no-deps $python_wheels </dev/null
  # PyTorch's module is linked to 2 GB of CUDA libraries, although their functions are not called on
  # a CPU. Empty libraries take the place of those that are not installed, so that the loader finds
  # all names.
  rm -rf "$site/empty_libraries"
  mkdir "$site/empty_libraries"
  local library
  for library in $(ldd "$torch/lib/libtorch_python.so" | awk '/=> not found/ { print $1 }' | sort -u); do
    "${CXX:-c++}" -shared -x c++ /dev/null "-Wl,-soname,$library" -o "$site/empty_libraries/$library"
  done
  cat >"$site/load_empty_libraries.py" <<'PYTHON'
# Written by tools/setup.sh --python. Imported when Python starts, before PyTorch.
import ctypes
import os
import sys

folder = os.path.join(os.path.dirname(__file__), "empty_libraries")
for library in os.listdir(folder):
    ctypes.CDLL(os.path.join(folder, library))
sys.setdlopenflags(os.RTLD_LAZY)  # look a function up when it is first called, not when loading
PYTHON
  printf '%s\nimport load_empty_libraries\n' "$(dirname "$torch")" >"$site/torch.pth"
  "$python/bin/python3" -c 'import torch' || fail "$python/bin/python3 cannot import torch"
  say "$python/bin/python3 imports PyTorch ($((SECONDS - started)) s)"
}
