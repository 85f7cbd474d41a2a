#!/bin/bash
# A host of the lab: its first process, whose end is the end of all of it. tests/support/lab_box.py starts it
# in namespaces of its own (mounts, network, processes, name), and it ends when its standard input does, so
# also when whoever started it is killed.
#
# usage: host.sh NAME FOLDER BYTES COMPOSE
#
# It sees the programs of this machine and keeps what it writes on a disk of its own, in memory, of BYTES. Of
# this machine's own state it has nothing: /run, /tmp, the homes, the engine's and our folder are empty. What
# lies in FOLDER/etc lies in its /etc. COMPOSE is the client that `docker compose` runs. It says "ready".
set -euo pipefail

name=$1 folder=$2 bytes=$3 compose=$4

exec 3<&0 </dev/null
disk=$folder/disk
root=$disk/root
mkdir -p "$disk"
mount -t tmpfs -o "size=$bytes,mode=755" disk "$disk"
mkdir "$disk"/{written,work,root,docker,containerd,home,superuser}
mkdir -m 1777 "$disk/tmp"
mount -t overlay -o "lowerdir=/,upperdir=$disk/written,workdir=$disk/work" overlay "$root"

# Where /usr is a disk of its own, the programs are there.
if mountpoint -q /usr; then mount --rbind /usr "$root/usr"; fi
mount --rbind /dev "$root/dev"
mount --rbind /sys "$root/sys"
mount -t proc proc "$root/proc"
mount -t tmpfs -o mode=755,size=64m run "$root/run"
mkdir "$root/run/sshd" "$root/run/lock"

rm -rf "$root"/var/lib/stagecraft "$root"/etc/{platform,docker,machine-id,resolv.conf} "$root"/etc/ssh/ssh_host_*
mkdir -p "$root"/var/lib/{docker,containerd}
mount --bind "$disk/docker" "$root/var/lib/docker"
mount --bind "$disk/containerd" "$root/var/lib/containerd"
mount --bind "$disk/home" "$root/home"
mount --bind "$disk/superuser" "$root/root"
mount --bind "$disk/tmp" "$root/tmp"
cp -r "$folder/etc/." "$root/etc/"

# The engine's socket is for the group, as on a server; a user without it gets there by sudo, or not at all.
if ! grep -q '^docker:' "$root/etc/group"; then echo 'docker:x:2375:' >>"$root/etc/group"; fi
sed -i -E 's/^(docker:[^:]*:[^:]*):.*/\1:deploy/' "$root/etc/group"
number=2376
for user in deploy operator guest; do
    printf '%s:x:%s:%s::/home/%s:/bin/bash\n' "$user" $number $number "$user" >>"$root/etc/passwd"
    printf '%s:x:%s:\n' "$user" $number >>"$root/etc/group"
    printf '%s:*:19000:0:99999:7:::\n' "$user" >>"$root/etc/shadow"
    mkdir -m 755 "$root/home/$user"
    chown $number:$number "$root/home/$user"
    number=$((number + 1))
done
if [ -d "$root/etc/sudoers.d" ]; then
    (umask 337 && echo 'operator ALL=(ALL) NOPASSWD: ALL' >"$root/etc/sudoers.d/operator")
fi

plugins=$root/usr/libexec/docker/cli-plugins
mkdir -p "$plugins"
: >"$plugins/docker-compose"
mount --bind "$compose" "$plugins/docker-compose"

hostname "$name"
ip link set lo up
mkdir "$root/.machine"
cd "$root"
pivot_root . .machine
umount --lazy /.machine
rmdir /.machine

echo ready
while read -r _ <&3; do :; done
