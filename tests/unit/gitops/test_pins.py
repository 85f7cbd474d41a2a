"""Each reference is decided once, and what was decided stays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from events.kernel.errors import OutsideError, UserError, error_code
from events.manifest import Gate, HostManifest, ImagePin, Manifest, Service
from gitops.pins import IMAGE_INVALID, Lookup, keep_pins, own_pin, resolve_pins, wanted

DIGEST = "sha256:" + "a" * 64
IMAGE_NOT_FOUND = error_code("image-not-found", "Neither the engine nor the registry has the image.")
OLD = "sha256:" + "b" * 64


@dataclass
class FakeCatalogue:
    """A catalogue that gives every reference the same digest and notes what it was asked."""

    asked: list[tuple[str, str | None]] = field(default_factory=list[tuple[str, str | None]])
    known: dict[str, str | None] = field(default_factory=dict[str, str | None])
    missing: frozenset[str] = frozenset()

    async def resolve(self, ref: str, lookup: Lookup, *, known: str | None = None) -> ImagePin:
        self.asked.append((ref, lookup.pull_policy))
        self.known[ref] = known
        if ref in self.missing:
            raise OutsideError(IMAGE_NOT_FOUND, f"no {ref}")
        return ImagePin(ref=ref, pin=DIGEST, pin_kind="repo-digest")

    async def built(self, ref: str, *, pushed: bool) -> ImagePin | None:
        raise AssertionError(f"{ref} is not built here, pushed={pushed}")

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
    assert wanted(images, policies) == {
        "db:2": Lookup(pull_policy="missing"),
        "web:1": Lookup(pull_policy="always"),
    }
    assert wanted({"a": "web:1", "b": "web:1"}, {"a": "never", "b": "missing"}) == {
        "web:1": Lookup(pull_policy="missing")
    }
    assert wanted({"a": "web:1"}, {}) == {"web:1": Lookup()}


def test_a_text_is_wanted_for_all_platforms_that_its_services_name() -> None:
    platforms = {"a": "linux/arm64", "b": None, "c": "linux/amd64"}
    found = wanted({"a": "web:1", "b": "web:1", "c": "web:1"}, {}, platforms)
    assert found == {"web:1": Lookup(platforms=frozenset({"linux/amd64", "linux/arm64"}))}


def test_a_bad_reference_names_its_service() -> None:
    with pytest.raises(UserError) as caught:
        wanted({"web": "a b"}, {})
    assert caught.value.where.service == "web"


def test_a_sticky_pin_wins_and_is_not_looked_up() -> None:
    catalogue = FakeCatalogue()
    sticky = {"web:1": ImagePin(ref="web:1", pin=OLD, pin_kind="image-id")}
    refs = {"web:1": Lookup(), "db:2": Lookup(pull_policy="always"), f"x@{DIGEST}": Lookup()}
    pins = asyncio.run(resolve_pins(refs, sticky=sticky, catalogue=catalogue)).or_raise()
    assert pins["web:1"].pin == OLD
    assert pins["db:2"].pin == DIGEST
    assert pins[f"x@{DIGEST}"].pin == DIGEST
    assert catalogue.asked == [("db:2", "always")]


def test_a_known_pin_is_looked_up_all_the_same_and_passed_on_to_compare_with() -> None:
    catalogue = FakeCatalogue()
    known = {"web:1": ImagePin(ref="web:1", pin=OLD, pin_kind="repo-digest")}
    refs = {"web:1": Lookup(), "db:2": Lookup()}
    found = asyncio.run(resolve_pins(refs, sticky={}, catalogue=catalogue, known=known))
    assert found.pins["web:1"].pin == DIGEST
    assert catalogue.known == {"web:1": OLD, "db:2": None}


def test_what_is_missing_stops_no_other_and_is_told_for_each_reference() -> None:
    catalogue = FakeCatalogue(missing=frozenset({"b:1", "c:1"}))
    refs = {"a:1": Lookup(), "c:1": Lookup(), "b:1": Lookup()}
    found = asyncio.run(resolve_pins(refs, sticky={}, catalogue=catalogue))
    assert sorted(found.pins) == ["a:1"]
    assert sorted(found.failures) == ["b:1", "c:1"]
    with pytest.raises(OutsideError, match="no b:1"):
        found.or_raise()


def test_every_image_of_a_manifest_is_kept_for_its_service() -> None:
    catalogue = FakeCatalogue()
    pin = ImagePin(ref="web:1", pin=DIGEST, pin_kind="repo-digest")
    service = Service(hash="h", role="app", image=pin, gate=Gate(settle_seconds=1, deadline_seconds=2))
    host = HostManifest(compose={}, services={"web": service, "api": service})
    manifest = Manifest(project="p", environment="e", compose_project="p-e", hosts={"local": host})
    asyncio.run(keep_pins(manifest, catalogue))
    assert catalogue.asked == [("p/api", "web:1"), ("p/web", "web:1")]
