"""The Manifest: its digest, its parts, its refusals."""

from __future__ import annotations

import copy
import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from events.kernel.canonical import canonical_json
from events.manifest import FileEntry, FileTree, ImagePin, Manifest, kept_image_name

Json = None | bool | int | float | str | list["Json"] | dict[str, "Json"]
Path = tuple[str | int, ...]

PIN = "sha256:" + "ab" * 32
DOCUMENT: dict[str, Json] = {
    "format": 1,
    "project": "shop",
    "environment": "prod",
    "compose_project": "shop-prod",
    "hosts": {
        "local": {
            "compose": {
                "name": "shop-prod",
                "services": {"web": {"image": "web:1", "ports": [{"target": 80}]}},
            },
            "services": {
                "web": {
                    "hash": "sha256:" + "cd" * 32,
                    "role": "app",
                    "image": {"ref": "web:1", "pin": PIN, "pin_kind": "image-id"},
                    "job": None,
                    "waits_for": {"db": "service_healthy"},
                    "gate": {"settle_seconds": 2.0, "deadline_seconds": 120.0},
                },
                "db": {
                    "hash": "sha256:" + "ef" * 32,
                    "role": "data",
                    "image": {"ref": "db:2", "pin": PIN, "pin_kind": "repo-digest"},
                    "job": {"on_rollback": True},
                    "waits_for": {},
                    "gate": {"settle_seconds": 2.0, "deadline_seconds": 120.0},
                },
            },
            "files": {"sha256:t": {"entries": [{"path": "a/b", "executable": False, "blob": PIN}]}},
        }
    },
    "secrets": ["DB_PASSWORD"],
}


def manifest(document: Json = DOCUMENT) -> Manifest:
    return Manifest.decode(json.dumps(document).encode())


def turned(value: Json) -> Json:
    """The same JSON with the keys of every object in the opposite order."""
    if isinstance(value, dict):
        return {key: turned(inner) for key, inner in reversed(value.items())}
    return [turned(inner) for inner in value] if isinstance(value, list) else value


def leaves(value: Json, path: Path = ()) -> Iterator[Path]:
    """The paths to all values that have no parts."""
    if isinstance(value, dict) and value:
        for key, inner in value.items():
            yield from leaves(inner, (*path, key))
    elif isinstance(value, list) and value:
        for number, inner in enumerate(value):
            yield from leaves(inner, (*path, number))
    else:
        yield path


OTHER_WORDS = {
    "image-id": "repo-digest",
    "repo-digest": "image-id",
    "service_healthy": "service_started",
}


def changed(path: Path) -> Json:
    """The document with another value at `path`."""
    document = copy.deepcopy(DOCUMENT)
    part: Any = document
    for key in path[:-1]:
        part = part[key]
    match part[path[-1]]:
        case bool() as value:
            part[path[-1]] = not value
        case int() | float() as value:
            part[path[-1]] = value + 1
        case str() as value:
            part[path[-1]] = OTHER_WORDS.get(value, f"{value}x")
        case None:
            part[path[-1]] = {}
        case dict():
            part[path[-1]] = {"more": "service_started"}
        case other:
            raise AssertionError(other)
    return document


def test_encoding_is_canonical_and_decoding_its_inverse() -> None:
    one = manifest()
    assert one.encode() == canonical_json(DOCUMENT)
    assert Manifest.decode(one.encode()) == one


def test_the_digest_of_a_known_document_never_changes() -> None:
    assert manifest().digest == "sha256:963823cccde4f4c1beb5eb8a706f81e9be5dbfafaa3682ca2825d68b73ac9975"


def test_the_order_of_keys_does_not_change_the_digest() -> None:
    assert manifest(turned(DOCUMENT)).digest == manifest().digest


@pytest.mark.parametrize("path", [path for path in leaves(DOCUMENT) if path != ("format",)], ids=str)
def test_any_other_value_is_another_digest(path: Path) -> None:
    assert manifest(changed(path)).digest != manifest().digest


@pytest.mark.parametrize(
    "path",
    [
        (),
        ("hosts", "local"),
        ("hosts", "local", "services", "web"),
        ("hosts", "local", "services", "web", "image"),
        ("hosts", "local", "services", "web", "gate"),
        ("hosts", "local", "services", "db", "job"),
        ("hosts", "local", "files", "sha256:t"),
    ],
    ids=str,
)
def test_an_unknown_key_is_refused(path: tuple[str, ...]) -> None:
    document = copy.deepcopy(DOCUMENT)
    part: Any = document
    for key in path:
        part = part[key]
    part["surprise"] = 1
    with pytest.raises(ValidationError, match="surprise"):
        manifest(document)


@pytest.mark.parametrize("path", [("project",), ("hosts",), ("compose_project",)])
def test_a_missing_key_is_refused(path: tuple[str]) -> None:
    document = {key: value for key, value in DOCUMENT.items() if key not in path}
    with pytest.raises(ValidationError, match=path[0]):
        manifest(document)


def test_a_format_of_a_newer_stagecraft_is_refused() -> None:
    with pytest.raises(ValidationError, match="format"):
        manifest({**DOCUMENT, "format": 2})


def test_a_manifest_is_frozen() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        manifest().project = "other"  # type: ignore[misc]  # the case


def test_hashes_and_pins_are_listed_by_service() -> None:
    assert manifest().service_hashes() == {
        "local": {"web": "sha256:" + "cd" * 32, "db": "sha256:" + "ef" * 32}
    }
    assert {name: pin.ref for name, pin in manifest().images().items()} == {"web": "web:1", "db": "db:2"}


@pytest.mark.parametrize(
    ("ref", "pin_kind", "text"),
    [
        ("web:1.4", "image-id", PIN),
        ("web:1.4", "repo-digest", f"web:1.4@{PIN}"),
        ("r:5000/web:1.4@sha256:old", "repo-digest", f"r:5000/web:1.4@{PIN}"),
    ],
)
def test_a_pin_is_a_reference_that_cannot_move(ref: str, pin_kind: str, text: str) -> None:
    pin = ImagePin.model_validate({"ref": ref, "pin": PIN, "pin_kind": pin_kind})
    assert pin.pinned_text == text
    assert kept_image_name(pin, project="shop", service="web") == "stagecraft.local/shop/web:abababababababab"


def entry(path: str, *, executable: bool = False, blob: str = PIN) -> FileEntry:
    return FileEntry(path=path, executable=executable, blob=blob)


@given(st.permutations(["a", "a/b", "a-b", "ü", "Z"]))
def test_a_tree_is_in_the_order_of_its_paths(paths: list[str]) -> None:
    tree = FileTree(entries=tuple(entry(path) for path in paths))
    assert [one.path for one in tree.entries] == sorted(paths)
    assert tree.digest == FileTree(entries=tuple(entry(path) for path in sorted(paths))).digest


def test_paths_modes_and_contents_make_a_trees_digest() -> None:
    trees = [
        FileTree(entries=entries)
        for entries in (
            (),
            (entry("a"),),
            (entry("b"),),
            (entry("a", executable=True),),
            (entry("a", blob="sha256:other"),),
        )
    ]
    assert len({tree.digest for tree in trees}) == len(trees)


@pytest.mark.parametrize("path", ["", "/etc/passwd", "a//b", "a/", ".", "./a", "..", "a/../../b", "a\0b"])
def test_a_path_that_leads_out_of_the_tree_is_refused(path: str) -> None:
    with pytest.raises(ValidationError, match="not a relative path"):
        FileTree(entries=(entry(path),))


def test_a_path_stands_once_in_a_tree() -> None:
    with pytest.raises(ValidationError, match="twice"):
        FileTree(entries=(entry("a"), entry("b"), entry("a", executable=True)))


GATE: dict[str, Json] = {
    "settle_seconds": 2.0,
    "deadline_seconds": 120.0,
    "probes": {
        "http": {"port": 80, "path": "/up", "first_status": 200, "last_status": 399, "host": None},
        "tcp": {"port": 81},
        "command": {"command": ["ready", "-q"]},
        "timeout_seconds": 5.0,
    },
    "watch": {"seconds": 10.0, "silent_of": ["FATAL"]},
}


def gated(**gate: Json) -> Manifest:
    document: Any = copy.deepcopy(DOCUMENT)
    document["hosts"]["local"]["services"]["web"]["gate"] = {**GATE, **gate}
    return manifest(document)


def test_probes_and_watch_stand_in_the_encoding_and_come_back() -> None:
    one = gated()
    encoded = json.loads(one.encode())
    assert encoded["hosts"]["local"]["services"]["web"]["gate"] == GATE
    assert encoded["hosts"]["local"]["services"]["db"]["gate"].keys() == {
        "settle_seconds",
        "deadline_seconds",
    }
    assert Manifest.decode(one.encode()) == one


def test_a_gate_that_says_no_more_than_before_has_the_digest_from_before() -> None:
    assert gated(probes=None, watch=None).digest == manifest().digest


def test_another_gate_is_another_manifest_and_the_same_service() -> None:
    one, other = gated(), gated(watch=None)
    assert one.digest != other.digest
    assert one.service_hashes() == other.service_hashes() == manifest().service_hashes()
