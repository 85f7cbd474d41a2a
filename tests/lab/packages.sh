#!/bin/bash
# Installs the Debian packages that are named as arguments and missing here.
#
# usage: tests/lab/packages.sh PACKAGE...
#
# A package counts as present when what we need from it is there, whoever installed it: a Docker engine from
# another source is as good as Debian's. Without the right to install, the missing ones are named together
# with the command that installs them, and the exit code is 1.
#
# Nothing that is installed here starts a service: the tests start what they need and stop it again.
set -euo pipefail

export PATH="$PATH:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive

have() { command -v "$1" >/dev/null 2>&1; }

# Debian's dynamic busybox has the same path and does not run in an empty image.
static_busybox() { [ -x /bin/busybox ] && ! ldd /bin/busybox >/dev/null 2>&1; }

present() {
    case "$1" in
        busybox-static) static_busybox ;;
        docker.io) have dockerd ;;
        git) have git ;;
        gnupg) have gpg && have gpg-agent && have gpgconf ;;
        docker-registry) have docker-registry ;;
        iproute2) have ip ;;
        iptables) have iptables ;;
        openssh-client) have ssh-keygen ;;
        openssh-server) have sshd ;;
        sudo) have sudo ;;
        python3-venv) python3 -c 'import ensurepip, venv' >/dev/null 2>&1 ;;
        *) dpkg-query -W -f '${Status}' "$1" 2>/dev/null | grep -q 'install ok installed' ;;
    esac
}

missing() {
    local name
    for name in "$@"; do
        present "$name" || printf '%s\n' "$name"
    done
}

refuse() {
    printf 'missing: %s\n%s\n    sudo apt-get update && sudo apt-get install --no-install-recommends %s\n' \
        "$*" "$reason Install them with" "$*" >&2
    exit 1
}

# A package list may be absent or older than the archive: a failed install is tried again after an update.
install() {
    apt-get install --yes --quiet=2 --no-install-recommends "$@" >/dev/null 2>&1 && return
    apt-get update --quiet=2 >&2
    apt-get install --yes --quiet=2 --no-install-recommends "$@" >&2
}

# Debian's maintainer scripts ask this file before they start a service; 101 means "do not".
without_services() {
    local policy=/usr/sbin/policy-rc.d
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod 755 "$policy"
        # shellcheck disable=SC2064  # the path is wanted as it is now
        trap "rm -f '$policy'" EXIT
    fi
    "$@"
}

[ $# -gt 0 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0" >&2; exit 2; }

mapfile -t wanted < <(missing "$@")
[ ${#wanted[@]} -gt 0 ] || exit 0

reason="This is no Debian machine (there is no apt-get)."
have apt-get || refuse "${wanted[@]}"
reason="Only root may install packages."
[ "$(id -u)" -eq 0 ] || refuse "${wanted[@]}"

printf 'installing %s\n' "${wanted[*]}"
without_services install "${wanted[@]}" </dev/null

mapfile -t wanted < <(missing "$@")
reason="They were installed and are still not to be found on PATH."
[ ${#wanted[@]} -eq 0 ] || refuse "${wanted[@]}"
