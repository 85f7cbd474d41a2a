#!/bin/bash
# Runs `stagecraft demo`, with a Docker engine for its time alone when none answers.
#
# usage: tests/lab/demo.sh BIN ARGUMENT...
#
# It stands here and not in the product, because it installs packages and starts an engine as a test run does,
# with the same programs; `stagecraft demo` itself takes the engine that there is.
set -euo pipefail

bin=$1
shift
here=$(dirname "$0")

"$here/packages.sh" git
if [ -n "${DOCKER_HOST:-}" ] || "$bin/python" -m tests.support.engine --answers; then
    exec "$bin/stagecraft" demo "$@"
fi
"$here/packages.sh" docker.io iptables iproute2
exec "$bin/python" -m tests.support.engine "$bin/stagecraft" demo "$@"
