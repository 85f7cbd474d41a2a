#!/bin/bash
# Makes a folder in memory for the files of a test run and prints its path; `memory.sh --gone FOLDER` takes it
# away again. Exit code 1, and no folder, where there is too little memory or nobody may mount one. /dev/shm
# would be at hand, but the product takes nothing below /dev for a file of somebody's.
set -euo pipefail

export PATH="$PATH:/usr/sbin:/sbin"
enough=$((6 * 1024 * 1024)) # KiB: what a run writes, several times over, beside what its processes take

if [ "${1:-}" = --gone ]; then
    umount --lazy "$2"
    rmdir "$2"
    exit
fi

[ "$(id -u)" -eq 0 ] || exit 1
[ "$(awk '$1 == "MemAvailable:" { print $2 }' /proc/meminfo)" -ge "$enough" ] || exit 1
folder=$(mktemp --directory /tmp/XXXX)
# Open to all, as /tmp is: hosts of the lab have other users.
if ! mount -t tmpfs -o mode=1777 tmpfs "$folder" 2>/dev/null; then
    rmdir "$folder"
    exit 1
fi
printf '%s\n' "$folder"
