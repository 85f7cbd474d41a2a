#!/bin/bash
# Makes sure that PYTHON can make a virtual environment, and says what is missing when it cannot.
#
# usage: tests/lab/python.sh PYTHON
set -euo pipefail

python=$1
here=$(dirname "$0")

if ! command -v "$python" >/dev/null; then
    printf '%s\n' "missing: $python. Install Python 3.11 or newer (Debian: apt-get install python3 python3-venv)." >&2
    exit 1
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
    printf '%s\n' "$("$python" --version) is too old: Python 3.11 or newer is needed (make setup PYTHON=python3.12)." >&2
    exit 1
fi
"$python" -c 'import ensurepip, venv' 2>/dev/null && exit 0

"$here/packages.sh" python3-venv
if ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    printf '%s\n' "$(command -v "$python") has no venv module, and Debian's python3-venv does not give it one." >&2
    exit 1
fi
