#!/bin/bash
# Runs pytest under coverage and holds the core rooms to their threshold. Several processes share the suite: the
# first uses the engine of the machine, each other one has one of its own where the machine allows that (see
# apart.sh). Most of a test with an engine is waiting, so there are two processes for each processor. Where
# engines cannot be kept apart there are two in all, and the first has all tests that need an engine. The engine
# of the machine is started out here, so that it ends also when a process that shares the suite is killed.
#
# What tests write goes into memory where there is enough of it (see memory.sh): a log waits for the disk with
# each append and an engine with each container, and no test is about that.
#
# usage: tests/lab/pytest.sh BIN PERCENT PATTERNS PYTEST-ARGUMENT...
set -euo pipefail

bin=$1 percent=$2 patterns=$3
shift 3

here=$(dirname "$0")
# Modules are begun in the order of tests/conftest.py, the long ones first.
processes=(--dist loadscope --no-loadscope-reorder --tx popen)
if "$here/apart.sh" --works; then
    export ENGINE_FOR_EACH=1 # read by tests/conftest.py
    others=$(($(nproc) * 2 - 1))
    processes+=(--tx "$((others < 7 ? others : 7))*popen//python=$here/apart.sh $bin/python")
else
    processes+=(--tx popen)
fi

if scratch=$("$here/memory.sh"); then
    trap '"$here/memory.sh" --gone "$scratch"' EXIT
    trap 'exit 130' INT TERM # not before what runs from it has ended
    export TMPDIR=$scratch
    processes+=(--basetemp "$scratch/t") # short: a socket's path has few letters
fi

# The stories start the command a thousand times: where the interpreter may not keep what it compiled, each
# start would compile all of it again.
"$bin/python" -m compileall -q events gitops projections controller cli

"$bin/coverage" erase
"$bin/python" -m tests.support.engine "$bin/coverage" run -m pytest "${processes[@]}" "$@"
"$bin/coverage" combine --quiet
"$bin/coverage" report --include="$patterns" --fail-under="$percent"
