"""What the services of a rendered document ask of their host beyond an ordinary container.

Read from what Compose made of all files, not from the files: whatever spelling, overlay or variable it came
through, it stands here in one form. Paths are compared by their parts after `..` is worked out. A path that
the host's own links lead elsewhere is the operator's doing and is not looked at.

A capability that the engine gives every container is no need, because dropping all and adding a few of
those is what a careful service does. Shared GPUs and namespaced kernel settings are none either.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from events.hostenv import host_env_files
from events.manifest import FILES_PREFIX, RELOAD_PREFIX, ROUTES_PLACE, STATE_PREFIX
from events.references import names_of
from gitops.permissions import Need, Permission

_OURS = (FILES_PREFIX, RELOAD_PREFIX, ROUTES_PLACE, STATE_PREFIX)
_USUAL_CAPABILITIES = frozenset(
    {
        *("AUDIT_WRITE", "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "MKNOD", "NET_BIND_SERVICE"),
        *("NET_RAW", "SETFCAP", "SETGID", "SETPCAP", "SETUID", "SYS_CHROOT"),
    }
)
_HOST_NAMESPACES = {
    "network_mode": Permission.HOST_NETWORK,
    "pid": Permission.HOST_PID,
    "ipc": Permission.HOST_IPC,
    "uts": Permission.HOST_UTS,
    "userns_mode": Permission.HOST_USERNS,
    "cgroup": Permission.HOST_CGROUP,
}
_LIFTED = re.compile(r"[a-z]+[=:]\s*(?:unconfined|disable)|label[=:](?:user|role|type):")
_SOCKETS = ("docker.sock", "containerd.sock", "podman.sock", "crio.sock", "buildkitd.sock")
_SOCKET_FOLDERS = ("/run", "/var/run")
_SYSTEM = (
    *("/bin", "/boot", "/dev", "/etc", "/lib", "/lib32", "/lib64", "/libx32", "/proc", "/root", "/sbin"),
    *("/sys", "/usr", "/var/lib/containerd", "/var/lib/docker", "/var/lib/stagecraft", "/var/log"),
    "/var/spool/cron",
)
_ABOVE_SYSTEM = ("/home", "/var", "/var/lib", "/var/spool")
_SHARED_READ_ONLY = (
    *("/etc/ca-certificates", "/etc/localtime", "/etc/pki/ca-trust", "/etc/ssl/certs", "/etc/timezone"),
    *("/usr/share/ca-certificates", "/usr/share/zoneinfo"),
)
_HARMLESS_DEVICES = ("/dev/null", "/dev/zero", "/dev/full", "/dev/random", "/dev/urandom")
_HOME_DEPTH = 3  # "", "home" and the user's name
_NETWORK_FILE_SYSTEMS = ("nfs", "nfs4", "cifs", "smb3", "tmpfs")


def needs_of(
    document: Mapping[str, Any], *, own: Collection[str] = (), env_file: str | None = None
) -> tuple[Need, ...]:
    """All needs of a document for one host, sorted.

    `own` are folders of Stagecraft beside the usual ones; `env_file` has the variables it refers to.
    """
    found: set[Need] = set()
    for name, service in _section(document, "services").items():
        for permission, value, key, message in _needs_of_service(service, document, own, env_file):
            found.add(
                Need(
                    permission=permission,
                    value=value,
                    service=name,
                    key=f"services.{name}.{key}",
                    message=f"{name} {message}",
                )
            )
    return tuple(sorted(found))


def _section(document: Mapping[str, Any], name: str) -> Mapping[str, Mapping[str, Any]]:
    found: Mapping[str, Mapping[str, Any]] | None = document.get(name)
    return found or {}


_Found = Iterator[tuple[Permission, str, str, str]]  # permission, value, key, message


def _needs_of_service(
    service: Mapping[str, Any], document: Mapping[str, Any], own: Collection[str], env_file: str | None
) -> _Found:
    if service.get("privileged") is True:
        yield Permission.PRIVILEGED, "", "privileged", "runs with every right of the host"
    for hook in ("post_start", "pre_stop"):
        if any(one.get("privileged") for one in service.get(hook) or ()):
            yield Permission.PRIVILEGED, "", hook, "has a hook with every right of the host"
    yield from _namespaces(service, document)
    yield from _others(service)
    yield from _rights(service)
    yield from _devices(service)
    for mount in service.get("volumes") or ():
        yield from _mount(mount, document, own)
    taken = [file.path for file in host_env_files(service)]
    if env_file is not None and names_of(service):
        taken.append(env_file)
    for path in map(_normal, taken):
        if _is_system(path, own) and not _inside(path, "/etc"):
            yield Permission.SYSTEM_PATH, path, "env_file", f"reads {path} of the host"


def _namespaces(service: Mapping[str, Any], document: Mapping[str, Any]) -> _Found:
    for key, permission in _HOST_NAMESPACES.items():
        if service.get(key) == "host":
            yield permission, "", key, f"shares the host's {key.removesuffix('_mode')}"
    if service.get("cgroup_parent"):
        yield Permission.HOST_CGROUP, "", "cgroup_parent", "chooses its own control group"
    for network in service.get("networks") or ():
        definition = _section(document, "networks").get(network) or {}
        if "host" in (definition.get("name"), definition.get("driver")):
            yield Permission.HOST_NETWORK, "", f"networks.{network}", "joins the host's network"


def _others(service: Mapping[str, Any]) -> _Found:
    """Containers that are named directly: whose they are is not known, so they count as somebody else's."""
    named = [(key, str(service.get(key) or "")) for key in ("network_mode", "pid", "ipc")]
    named += [("volumes_from", str(source)) for source in service.get("volumes_from") or ()]
    for key, text in named:
        if text.startswith("container:"):
            other = text.removeprefix("container:").partition(":")[0]
            yield Permission.FOREIGN_CONTAINERS, other, key, f"shares with the container {other}"
    for link in service.get("external_links") or ():
        other = str(link).partition(":")[0]
        yield Permission.FOREIGN_CONTAINERS, other, "external_links", f"links to the container {other}"


def _rights(service: Mapping[str, Any]) -> _Found:
    for text in service.get("cap_add") or ():
        capability = str(text).upper().removeprefix("CAP_")
        if capability not in _USUAL_CAPABILITIES:
            yield Permission.CAPABILITIES, capability, "cap_add", f"gets the capability {capability}"
    for option in service.get("security_opt") or ():
        if _LIFTED.match(str(option).lower()):
            yield Permission.UNCONFINED, str(option), "security_opt", f"lifts a protection: {option}"


def _devices(service: Mapping[str, Any]) -> _Found:
    for device in service.get("devices") or ():
        source = _normal(str(device["source"]))
        yield Permission.DEVICES, source, "devices", f"gets the device {source}"
    for rule in service.get("device_cgroup_rules") or ():
        yield Permission.DEVICES, str(rule), "device_cgroup_rules", f"may use devices by the rule {rule}"


def _mount(mount: Mapping[str, Any], document: Mapping[str, Any], own: Collection[str]) -> _Found:
    source, target = str(mount.get("source") or ""), mount.get("target")
    if mount.get("type") == "bind":
        read_only = mount.get("read_only") is True
        yield from _path(source, f"volumes.{target}", own, read_only=read_only)
    elif mount.get("type") == "volume" and source:
        yield from _volume(source, _section(document, "volumes").get(source) or {}, own)


def _volume(name: str, definition: Mapping[str, Any], own: Collection[str]) -> _Found:
    """A named volume that the engine's own driver would mount from the host."""
    options: Mapping[str, Any] = definition.get("driver_opts") or {}
    kind, device = str(options.get("type") or ""), str(options.get("device") or "")
    flags = {flag.strip() for flag in str(options.get("o") or "").split(",")}
    key = f"volumes.{name}"
    if flags & {"bind", "rbind"} or kind in {"none", "bind"}:
        yield from _path(device, key, own, read_only="ro" in flags)
    elif options and kind not in _NETWORK_FILE_SYSTEMS and (kind or device):
        message = f"mounts {device or 'something'} of the host as {kind or 'a file system'}"
        yield Permission.HOST_ROOT, "", key, message


def _path(text: str, key: str, own: Collection[str], *, read_only: bool) -> _Found:
    """A path of the host that is mounted."""
    if not text.startswith("/") or text.startswith(_OURS):
        return
    path = _normal(text)
    if path == "/":
        yield Permission.HOST_ROOT, "", key, "gets the whole file system of the host"
    elif path.rpartition("/")[2] in _SOCKETS or _holds_socket(path):
        yield Permission.ENGINE_SOCKET, "", key, f"gets the engine through {path}"
    elif _is_system(path, own) and not _is_shared(path, read_only=read_only):
        yield Permission.SYSTEM_PATH, path, key, f"gets {path} of the host"


def _normal(path: str) -> str:
    """Without `..`, `.` and double slashes; `$$`, as a document writes a dollar sign, undone."""
    return posixpath.normpath(path.replace("$$", "$")).replace("//", "/", 1)


def _holds_socket(path: str) -> bool:
    return any(_inside(path, folder) for folder in _SOCKET_FOLDERS)


def _is_system(path: str, own: Collection[str]) -> bool:
    if path in _ABOVE_SYSTEM or any(_inside(path, folder) for folder in _SYSTEM):
        return True
    if any(_inside(path, folder) or _inside(folder, path) for folder in own):
        return True
    parts = path.split("/")
    at_home = parts[1] == "home" and len(parts) >= _HOME_DEPTH
    return at_home and (len(parts) == _HOME_DEPTH or parts[_HOME_DEPTH].startswith("."))


def _is_shared(path: str, *, read_only: bool) -> bool:
    """Whether it is something of the system that every container may well see."""
    if path in _HARMLESS_DEVICES:
        return True
    return read_only and any(_inside(path, folder) for folder in _SHARED_READ_ONLY)


def _inside(path: str, folder: str) -> bool:
    return path == folder or path.startswith(f"{folder}/")
