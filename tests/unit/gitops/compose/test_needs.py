"""What a rendered document asks of its host, and what an ordinary one does not."""

from __future__ import annotations

from typing import Any

import pytest

from gitops.compose.needs import needs_of


def needed(service: dict[str, Any], *, own: tuple[str, ...] = (), **sections: Any) -> list[str]:  # noqa: ANN401  # parts of a document
    document = {"services": {"web": {"image": "x", **service}}, **sections}
    return [need.narrow for need in needs_of(document, own=own)]


def bind(source: str, *, read_only: bool = False) -> dict[str, Any]:
    return {"volumes": [{"type": "bind", "source": source, "target": "/x", "read_only": read_only}]}


@pytest.mark.parametrize(
    ("service", "narrow"),
    [
        ({"privileged": True}, "privileged"),
        ({"post_start": [{"command": ["x"], "privileged": True}]}, "privileged"),
        ({"pre_stop": [{"command": ["x"], "privileged": True}]}, "privileged"),
        ({"network_mode": "host"}, "host-network"),
        ({"pid": "host"}, "host-pid"),
        ({"ipc": "host"}, "host-ipc"),
        ({"uts": "host"}, "host-uts"),
        ({"userns_mode": "host"}, "host-userns"),
        ({"cgroup": "host"}, "host-cgroup"),
        ({"cgroup_parent": "m"}, "host-cgroup"),
        ({"network_mode": "container:db"}, "foreign-containers:db"),
        ({"pid": "container:db"}, "foreign-containers:db"),
        ({"volumes_from": ["container:db:ro"]}, "foreign-containers:db"),
        ({"external_links": ["db:database"]}, "foreign-containers:db"),
        ({"cap_add": ["ALL"]}, "capabilities:ALL"),
        ({"cap_add": ["cap_sys_admin"]}, "capabilities:SYS_ADMIN"),
        ({"devices": [{"source": "/dev/sda", "target": "/dev/sda"}]}, "devices:/dev/sda"),
        ({"device_cgroup_rules": ["a *:* rwm"]}, "devices:a *:* rwm"),
        ({"security_opt": ["seccomp:unconfined"]}, "unconfined:seccomp:unconfined"),
        ({"security_opt": ["apparmor=unconfined"]}, "unconfined:apparmor=unconfined"),
        ({"security_opt": ["systempaths=unconfined"]}, "unconfined:systempaths=unconfined"),
        ({"security_opt": ["label:disable"]}, "unconfined:label:disable"),
        ({"security_opt": ["label=type:spc_t"]}, "unconfined:label=type:spc_t"),
        (bind("/"), "host-root"),
        (bind("/srv/.."), "host-root"),
        (bind("//"), "host-root"),
        (bind("/var/run/docker.sock"), "engine-socket"),
        (bind("/run/docker.sock", read_only=True), "engine-socket"),
        (bind("/srv/elsewhere/docker.sock"), "engine-socket"),
        (bind("/run"), "engine-socket"),
        (bind("/etc"), "system-path:/etc"),
        (bind("/srv/../etc/shadow", read_only=True), "system-path:/etc/shadow"),
        (bind("/etc/localtime"), "system-path:/etc/localtime"),
        (bind("/proc/self/root"), "system-path:/proc/self/root"),
        (bind("/var"), "system-path:/var"),
        (bind("/var/lib/docker/volumes"), "system-path:/var/lib/docker/volumes"),
        (bind("/home"), "system-path:/home"),
        (bind("/home/ann"), "system-path:/home/ann"),
        (bind("/home/ann/.ssh"), "system-path:/home/ann/.ssh"),
    ],
)
def test_more_than_a_container_gets_needs_a_permission(service: dict[str, Any], narrow: str) -> None:
    assert needed(service) == [narrow]


@pytest.mark.parametrize(
    "service",
    [
        {"privileged": False, "network_mode": "bridge", "pid": "", "ipc": "shareable"},
        {"network_mode": "service:db", "volumes_from": ["db"]},
        {"cap_drop": ["ALL"], "cap_add": ["NET_BIND_SERVICE", "CAP_CHOWN"]},
        {"security_opt": ["no-new-privileges:true", "seccomp=builtin", "apparmor=docker-default"]},
        bind("/srv/data"),
        bind("/home/ann/app/data"),
        bind("/etcetera"),
        bind("/etc/localtime", read_only=True),
        bind("/etc/ssl/certs/ca.pem", read_only=True),
        bind("/dev/null"),
        bind("/.stagecraft/files/0/x"),
        bind("/.stagecraft/state/etc"),
        {
            "volumes": [
                {"type": "volume", "source": "data", "target": "/etc"},
                {"type": "tmpfs", "target": "/"},
            ]
        },
    ],
)
def test_an_ordinary_service_needs_none(service: dict[str, Any]) -> None:
    assert needed(service, volumes={"data": {"name": "x_data"}}) == []


@pytest.mark.parametrize(
    ("options", "narrow"),
    [
        ({"type": "none", "o": "bind", "device": "/"}, ["host-root"]),
        ({"type": "none", "o": "rw,rbind", "device": "/etc"}, ["system-path:/etc"]),
        ({"o": "bind", "device": "/run/docker.sock"}, ["engine-socket"]),
        ({"type": "overlay", "o": "lowerdir=/,upperdir=/u,workdir=/w", "device": "overlay"}, ["host-root"]),
        ({"type": "ext4", "device": "/dev/sda1"}, ["host-root"]),
        ({"type": "none", "o": "bind", "device": "/srv/data"}, []),
        ({"type": "nfs", "o": "addr=10.0.0.1", "device": ":/x"}, []),
        ({"type": "tmpfs", "device": "tmpfs"}, []),
        ({}, []),
    ],
)
def test_a_named_volume_is_looked_through(options: dict[str, str], narrow: list[str]) -> None:
    mount = {"volumes": [{"type": "volume", "source": "data", "target": "/x"}]}
    assert needed(mount, volumes={"data": {"driver_opts": options}}) == narrow


@pytest.mark.parametrize("network", [{"external": True, "name": "host"}, {"driver": "host"}])
def test_the_hosts_network_by_another_name_is_the_hosts_network(network: dict[str, Any]) -> None:
    assert needed({"networks": {"n": None}}, networks={"n": network}) == ["host-network"]


@pytest.mark.parametrize("path", ["/data/home", "/data/home/events.db", "/data"])
def test_stagecrafts_own_folders_need_a_permission_wherever_they_are(path: str) -> None:
    assert needed(bind(path), own=("/data/home",)) == [f"system-path:{path}"]
    assert needed(bind("/data/homework"), own=("/data/home",)) == []


def test_a_dollar_sign_is_read_as_the_engine_will_see_it() -> None:
    assert needed(bind("/etc/a$$b")) == ["system-path:/etc/a$b"]


def test_a_need_says_where_it_stands() -> None:
    (need,) = needs_of({"services": {"web": {"privileged": True}}})
    assert (need.key, need.service) == ("services.web.privileged", "web")
    assert need.message.startswith("web ")
