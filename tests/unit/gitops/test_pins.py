"""Each reference is decided once, and what was decided stays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from events.kernel.errors import UserError
from events.manifest import Gate, HostManifest, ImagePin, Manifest, Service
from gitops.pins import IMAGE_INVALID, keep_pins, own_pin, resolve_pins, wanted

DIGEST = "sha256:" + "a" * 64
OLD = "sha256:" + "b" * 64


@dataclass
class FakeCatalogue:
    """A catalogue that gives every reference the same digest and notes what it was asked."""

    asked: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])

    async def resolve(self, ref: str, *, pull_policy: str | None) -> ImagePin:
        self.asked.append((ref, pull_policy))
        return ImagePin(ref=ref, pin=DIGEST, pin_kind="repo-digest")

    async def keep(self, pin: ImagePin, *, project: str, service: str) -> None:
        self.asked.append((f"{project}/{service}", pin.ref))


@pytest.mark.parametrize(
    ("ref", "kind"),
    [
        (f"web@{DIGEST}", "repo-digest"),
        (f"host:5000/org/web:1.2@{DIGEST}", "repo-digest"),
        (DIGEST, "image-id"),
        ("a" * 64, "image-id"),
    ],
)
def test_a_reference_with_a_digest_pins_itself(ref: str, kind: str) -> None:
    pin = own_pin(ref)
    assert pin is not None
    assert (pin.ref, pin.pin, pin.pin_kind) == (ref, DIGEST, kind)


@pytest.mark.parametrize(
    "ref", ["web", "web:1", "org/web:1.2-rc_3", "127.0.0.1:5000/a/b:tag", "ghcr.io/o/x__y"]
)
def test_a_reference_without_a_digest_has_to_be_looked_up(ref: str) -> None:
    assert own_pin(ref) is None


@pytest.mark.parametrize(
    "ref",
    [
        "",
        "-web",
        "--privileged",
        "web:",
        "web: 1",
        "web\n",
        "a//b",
        "/web",
        "web@sha256:12",
        "w\x1b[31m",
        "x" * 600,
    ],
)
def test_what_is_no_reference_is_refused(ref: str) -> None:
    with pytest.raises(UserError) as caught:
        own_pin(ref)
    assert caught.value.code == IMAGE_INVALID


def test_each_text_is_wanted_once_with_the_stricter_policy() -> None:
    images = {"a": "web:1", "b": "web:1", "c": "db:2", "d": f"x@{DIGEST}", "e": "web:1"}
    policies = {"a": None, "b": "always", "c": "missing", "e": "never"}
    assert wanted(images, policies) == {"db:2": "missing", "web:1": "always"}
    assert wanted({"a": "web:1", "b": "web:1"}, {"a": "never", "b": "missing"}) == {"web:1": "missing"}
    assert wanted({"a": "web:1"}, {}) == {"web:1": None}


def test_a_bad_reference_names_its_service() -> None:
    with pytest.raises(UserError) as caught:
        wanted({"web": "a b"}, {})
    assert caught.value.where.service == "web"


def test_a_sticky_pin_wins_and_is_not_looked_up() -> None:
    catalogue = FakeCatalogue()
    sticky = {"web:1": ImagePin(ref="web:1", pin=OLD, pin_kind="image-id")}
    refs = {"web:1": None, "db:2": "always", f"x@{DIGEST}": None}
    pins = asyncio.run(resolve_pins(refs, sticky=sticky, catalogue=catalogue))
    assert pins["web:1"].pin == OLD
    assert pins["db:2"].pin == DIGEST
    assert pins[f"x@{DIGEST}"].pin == DIGEST
    assert catalogue.asked == [("db:2", "always")]


def test_every_image_of_a_manifest_is_kept_for_its_service() -> None:
    catalogue = FakeCatalogue()
    pin = ImagePin(ref="web:1", pin=DIGEST, pin_kind="repo-digest")
    service = Service(hash="h", role="app", image=pin, gate=Gate(settle_seconds=1, deadline_seconds=2))
    host = HostManifest(compose={}, services={"web": service, "api": service})
    manifest = Manifest(project="p", environment="e", compose_project="p-e", hosts={"local": host})
    asyncio.run(keep_pins(manifest, catalogue))
    assert catalogue.asked == [("p/api", "web:1"), ("p/web", "web:1")]
