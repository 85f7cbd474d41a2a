#!/bin/bash
# Fails when the generated reference pages are not what the code says now.
#
# usage: tests/lab/docs-in-step.sh PYTHON FOLDER
set -euo pipefail

python=$1
folder=$2
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT

"$python" -P -m cli.docs "$fresh"
if ! diff --recursive --unified "$folder" "$fresh"; then
    printf '%s\n' "$folder is out of step with the code: run make docs and commit what it changes" >&2
    exit 1
fi
