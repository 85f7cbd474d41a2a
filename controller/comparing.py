"""What differs between two recorded Manifests: services, images, names of variables, files, routes, the rest.

The reasons are those that `plan` gives for a change; here they are told of two Manifests that both lie in the
past. No value of a variable is ever part of it, only names; what is text passes the redactor once more, for a
command's name or a path may hold what nobody meant to write there. A route is what the gateway is told, by
its host and path, or a label that Traefik reads.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from controller.differences import FileChange, Reason, file_changes, names_changed, reasons_of
from controller.routed import routes_changed, traffic_differs
from events.kernel.redact import REDACT

if TYPE_CHECKING:
    from collections.abc import Iterable

    from events.manifest import HostManifest, ImagePin, Manifest, Service

_ROUTE = "traefik."
_TERMS = ("role", "job", "waits_for", "gate", "rollout")  # of a service, beside its Compose definition


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    """Names of variables or labels that differ; no value is among them."""

    added: tuple[str, ...]
    changed: tuple[str, ...]
    removed: tuple[str, ...]

    def as_json(self) -> dict[str, list[str]]:
        """The object in `diff --json`."""
        return {"added": list(self.added), "changed": list(self.changed), "removed": list(self.removed)}


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceDifference:
    """A service on one host that is not in both Manifests, or not the same in both."""

    host: str
    service: str
    change: Literal["added", "removed", "changed"]
    image_before: ImagePin | None  # None: the service was not there
    image_after: ImagePin | None  # None: it is not there any more
    reasons: tuple[Reason, ...] = ()  # of a changed one
    environment: Names = Names(added=(), changed=(), removed=())
    routes: Names = Names(added=(), changed=(), removed=())
    files: tuple[FileChange, ...] = ()

    def as_json(self) -> dict[str, Any]:
        """One of `services` in `diff --json`; its keys are a published contract."""
        return {
            "host": self.host,
            "service": self.service,
            "change": self.change,
            "image": {"before": _image_json(self.image_before), "after": _image_json(self.image_after)},
            "environment": self.environment.as_json(),
            "routes": self.routes.as_json(),
            "files": [{"path": one.path, "before": one.before, "after": one.after} for one in self.files],
            "differences": [one.as_json() for one in self.reasons],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Everything that differs between two Manifests."""

    services: tuple[ServiceDifference, ...]  # by host and name
    secrets: Names

    @property
    def is_empty(self) -> bool:
        """Whether both would run the same."""
        return not self.services and self.secrets == Names(added=(), changed=(), removed=())


def compare(old: Manifest | None, new: Manifest | None) -> Comparison:
    """What differs; None stands for nothing that was deployed."""
    before, after = (old.hosts if old else {}), (new.hosts if new else {})
    found = [
        one
        for host in sorted({*before, *after})
        for one in _on_host(host, before.get(host), after.get(host), whole=(old, new))
    ]
    was, now = set(old.secrets if old else ()), set(new.secrets if new else ())
    secrets = Names(added=tuple(sorted(now - was)), changed=(), removed=tuple(sorted(was - now)))
    return Comparison(services=tuple(found), secrets=secrets)


_Both = tuple["Manifest | None", "Manifest | None"]


def _on_host(
    host: str, old: HostManifest | None, new: HostManifest | None, *, whole: _Both
) -> Iterable[ServiceDifference]:
    before, after = (old.services if old else {}), (new.services if new else {})
    for name in sorted({*before, *after}):
        was, now = before.get(name), after.get(name)
        if was is not None and now is not None and old is not None and new is not None:
            yield from _changed(host, name, old=old, new=new, whole=whole)
        else:
            yield ServiceDifference(
                host=host,
                service=name,
                change="added" if was is None else "removed",
                image_before=None if was is None else was.image,
                image_after=None if now is None else now.image,
            )


def _changed(
    host: str, name: str, *, old: HostManifest, new: HostManifest, whole: _Both
) -> Iterable[ServiceDifference]:
    was, now = old.services[name], new.services[name]
    definition = () if was.version == now.version else reasons_of(name, old=old, new=new)
    routed = routes_changed(name, old=whole[0], new=whole[1])
    reasons = [*definition, *_terms(was, now)]
    if any(routed):
        reasons.append(Reason(kind="route", text="routes"))
    if traffic_differs(name, old=whole[0], new=whole[1]):
        reasons.append(Reason(kind="traffic", text="traffic"))
    if reasons:
        labels = names_changed("labels", name, old=old, new=new)
        routes = [
            sorted([*filter(_is_route, some), *more]) for some, more in zip(labels, routed, strict=True)
        ]
        yield ServiceDifference(
            host=host,
            service=name,
            change="changed",
            image_before=was.image,
            image_after=now.image,
            reasons=tuple(Reason(kind=one.kind, text=REDACT(one.text)) for one in reasons),
            environment=_names(*names_changed("environment", name, old=old, new=new)),
            routes=_names(*routes),
            files=tuple(file_changes(name, old=old, new=new)),
        )


def _terms(was: Service, now: Service) -> Iterable[Reason]:
    """What Stagecraft itself is told of a service and Compose is not."""
    for name in _TERMS:
        if getattr(was, name) != getattr(now, name):
            yield Reason(kind=name, text=name.replace("_", " "))


def _names(added: list[str], changed: list[str], removed: list[str]) -> Names:
    return Names(added=tuple(added), changed=tuple(changed), removed=tuple(removed))


def _is_route(label: str) -> bool:
    return label.startswith(_ROUTE)


def _image_json(image: ImagePin | None) -> dict[str, str] | None:
    if image is None:
        return None
    return {"ref": REDACT(image.ref), "pin": image.pin, "pin_kind": image.pin_kind}
