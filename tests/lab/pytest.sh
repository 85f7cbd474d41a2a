#!/bin/bash
# Runs pytest under coverage and holds the core rooms to their threshold. Two processes share the suite: the
# first uses the engine of the machine, the second has one of its own where the machine allows that (see
# apart.sh); where it does not, the first has all tests that need an engine. The engine of the machine is
# started out here, so that it ends also when a process that shares the suite is killed.
#
# usage: tests/lab/pytest.sh BIN PERCENT PATTERNS PYTEST-ARGUMENT...
set -euo pipefail

bin=$1 percent=$2 patterns=$3
shift 3

here=$(dirname "$0")
processes=(--dist loadscope --tx popen --tx popen)
if "$here/apart.sh" --works; then
    export ENGINE_FOR_EACH=1 # read by tests/conftest.py
    processes=(--dist loadscope --tx popen --tx "popen//python=$here/apart.sh $bin/python")
fi

# The stories start the command a thousand times: where the interpreter may not keep what it compiled, each
# start would compile all of it again.
"$bin/python" -m compileall -q events gitops projections controller cli

"$bin/coverage" erase
"$bin/python" -m tests.support.engine "$bin/coverage" run -m pytest "${processes[@]}" "$@"
"$bin/coverage" combine --quiet
"$bin/coverage" report --include="$patterns" --fail-under="$percent"
