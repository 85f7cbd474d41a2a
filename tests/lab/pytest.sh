#!/bin/bash
# Runs pytest under coverage and holds the core rooms to their threshold.
#
# usage: tests/lab/pytest.sh BIN PERCENT PATTERNS PYTEST-ARGUMENT...
set -euo pipefail

bin=$1 percent=$2 patterns=$3
shift 3

"$bin/coverage" erase
"$bin/coverage" run -m pytest "$@"
"$bin/coverage" combine --quiet
"$bin/coverage" report --include="$patterns" --fail-under="$percent"
