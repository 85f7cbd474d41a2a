"""What differs between two recorded Manifests, without a value that could be a secret."""

from __future__ import annotations

import json
from typing import Any

import pytest

from controller.comparing import compare
from events.manifest import (
    FILES_PREFIX,
    FileEntry,
    FileTree,
    Gate,
    HostManifest,
    ImagePin,
    Manifest,
    Service,
)

GATE = Gate(settle_seconds=1, deadline_seconds=10)


def sha(digit: str) -> str:
    return f"sha256:{digit * 64}"


def service(version: str, *, ref: str = "web:1", gate: Gate = GATE) -> Service:
    pin = ImagePin(ref=ref, pin=sha("1" if ref == "web:1" else "2"), pin_kind="repo-digest")
    return Service(hash=version, role="app", image=pin, gate=gate)


def manifest(
    definitions: dict[str, dict[str, Any]],
    services: dict[str, Service],
    *,
    files: dict[str, FileTree] | None = None,
    secrets: tuple[str, ...] = (),
) -> Manifest:
    host = HostManifest(compose={"services": definitions}, services=services, files=files or {})
    return Manifest(
        project="shop",
        environment="prod",
        compose_project="shop-prod",
        hosts={"local": host},
        secrets=secrets,
    )


def web(version: str, ref: str = "web:1", **definition: object) -> Manifest:
    return manifest({"web": {"image": ref, **definition}}, {"web": service(version, ref=ref)})


def found(old: Manifest | None, new: Manifest | None) -> list[dict[str, Any]]:
    return [one.as_json() for one in compare(old, new).services]


def test_the_same_differs_in_nothing() -> None:
    assert compare(web("h1"), web("h1")).is_empty
    assert compare(None, None).is_empty


def test_an_image_and_names_of_variables_and_routes_are_told_and_no_value_is() -> None:
    old = web(
        "h1", environment={"PORT": "80-hunter2", "OLD": "x-hunter2"}, labels={"traefik.rule": "Host(`a`)"}
    )
    new = web(
        "h2",
        "web:2",
        environment={"PORT": "81-hunter2", "NEW": "y-hunter2"},
        labels={"traefik.rule": "Host(`b`)", "traefik.port": "1", "team": "a"},
        command=["serve", "--password=hunter2"],
    )
    (one,) = found(old, new)
    assert one["change"] == "changed"
    assert one["image"] == {
        "before": {"ref": "web:1", "pin": sha("1"), "pin_kind": "repo-digest"},
        "after": {"ref": "web:2", "pin": sha("2"), "pin_kind": "repo-digest"},
    }
    assert one["environment"] == {"added": ["NEW"], "changed": ["PORT"], "removed": ["OLD"]}
    assert one["routes"] == {"added": ["traefik.port"], "changed": ["traefik.rule"], "removed": []}
    assert [two["kind"] for two in one["differences"]] == ["image", "command", "environment", "labels"]
    assert "hunter2" not in json.dumps(one)
    assert "Host(" not in json.dumps(one)


def test_what_only_one_has_was_added_or_removed() -> None:
    both = manifest({"web": {}, "job": {}}, {"web": service("h1"), "job": service("h2")})
    assert [(one["service"], one["change"]) for one in found(web("h1"), both)] == [("job", "added")]
    assert [(one["service"], one["change"]) for one in found(both, web("h1"))] == [("job", "removed")]
    assert [(one["service"], one["change"]) for one in found(None, both)] == [
        ("job", "added"),
        ("web", "added"),
    ]
    (added,) = found(None, web("h1"))
    assert added["image"]["before"] is None
    assert added["differences"] == []


def test_files_are_told_with_their_digests() -> None:
    def tree(*entries: tuple[str, str]) -> FileTree:
        return FileTree(
            entries=tuple(FileEntry(path=path, executable=False, blob=sha(digit)) for path, digit in entries)
        )

    def mounting(version: str, digit: str, content: FileTree) -> Manifest:
        mounts = [{"type": "bind", "source": f"{FILES_PREFIX}{digit * 64}", "target": "/etc/app"}]
        return manifest({"web": {"volumes": mounts}}, {"web": service(version)}, files={sha(digit): content})

    old = mounting("h1", "a", tree(("gone", "3"), ("kept", "4"), ("other", "5")))
    new = mounting("h2", "b", tree(("kept", "4"), ("new", "6"), ("other", "7")))
    (one,) = found(old, new)
    assert one["files"] == [
        {"path": "/etc/app/gone", "before": sha("3"), "after": None},
        {"path": "/etc/app/new", "before": None, "after": sha("6")},
        {"path": "/etc/app/other", "before": sha("5"), "after": sha("7")},
    ]
    assert [two["text"] for two in one["differences"]] == [
        "file -/etc/app/gone, +/etc/app/new, ~/etc/app/other"
    ]


@pytest.mark.parametrize(
    ("definition", "kind"),
    [
        ({"ports": [{"target": 80, "published": "8080"}]}, "port"),
        ({"volumes": [{"type": "bind", "source": "/srv", "target": "/data"}]}, "mount"),
        ({"entrypoint": ["sh"]}, "command"),
        ({"networks": {"default": None}}, "network"),
    ],
)
def test_every_part_of_a_definition_counts(definition: dict[str, Any], kind: str) -> None:
    (one,) = found(web("h1"), web("h2", **definition))
    assert [two["kind"] for two in one["differences"]] == [kind]


def test_another_gate_is_a_difference_though_no_container_changes() -> None:
    slow = manifest(
        {"web": {"image": "web:1"}}, {"web": service("h1", gate=Gate(settle_seconds=9, deadline_seconds=10))}
    )
    (one,) = found(web("h1"), slow)
    assert one["differences"] == [{"kind": "gate", "text": "gate"}]


def test_names_of_secrets_are_compared() -> None:
    old = manifest({}, {}, secrets=("API_KEY", "OLD"))
    new = manifest({}, {}, secrets=("API_KEY", "NEW"))
    assert compare(old, new).secrets.as_json() == {"added": ["NEW"], "changed": [], "removed": ["OLD"]}
