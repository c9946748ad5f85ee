#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# usage: with_torch.sh SCRIPT.py [ARGUMENT...]
# Runs a script by a Python that has PyTorch: the one that CDM_PYTHON names, or that of
# tools/setup.sh --python. Exits with 77, which ctest takes for skipped, where there is none.
set -euo pipefail
project=$(cd "$(dirname "$0")/../.." && pwd)
python=${CDM_PYTHON:-$project/.deps/python/bin/python3}
if [[ -z ${CDM_PYTHON:-} && ! -x $python ]]; then
  echo "skipped: there is no Python with PyTorch; run tools/setup.sh --python, or set CDM_PYTHON"
  exit 77
fi
exec "$python" "$@"
