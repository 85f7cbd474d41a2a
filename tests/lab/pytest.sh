#!/bin/bash
# Runs pytest under coverage and holds the core rooms to their threshold. The engine is started out here, so
# that it ends also when a process that shares the suite is killed.
#
# usage: tests/lab/pytest.sh BIN PERCENT PATTERNS PYTEST-ARGUMENT...
set -euo pipefail

bin=$1 percent=$2 patterns=$3
shift 3

"$bin/coverage" erase
"$bin/python" -m tests.support.engine "$bin/coverage" run -m pytest "$@"
"$bin/coverage" combine --quiet
"$bin/coverage" report --include="$patterns" --fail-under="$percent"
