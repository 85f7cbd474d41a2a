#!/bin/bash
# Runs a command in namespaces of its own: its processes, mounts, network and /run are nobody else's, so that
# it has an engine, addresses and ports to itself, and all that it leaves behind is gone when it ends.
#
# usage: tests/lab/apart.sh COMMAND [ARGUMENT...]
#        tests/lab/apart.sh --works      whether this machine allows it, by exit code
#
# The shell stays as the first process in there: it reaps what others leave, which a command would not.
set -euo pipefail

export PATH="$PATH:/usr/sbin:/sbin"

if [ "${1:-}" = --works ]; then
    [ "$(id -u)" -eq 0 ] && "$0" true >/dev/null 2>&1
    exit
fi

# shellcheck disable=SC2016  # the inner shell expands its own arguments
exec unshare --mount --net --pid --fork --kill-child --mount-proc -- bash -c '
    set -e
    mount -t tmpfs -o mode=755 tmpfs /run
    ip link set lo up
    "$@"
    exit' apart "$@"
