"""What can go wrong with an engine, said one way by every adapter.

Callers tell failures apart by code, so the codes stand here and not in the adapter that talks to a real
engine: a simulated one raises the same errors, and to look at a code nobody has to import the SDK.
"""

from __future__ import annotations

from events.kernel.errors import OutsideError, error_code
from events.kernel.redact import REDACT, printable

ENGINE_UNREACHABLE = error_code("engine-unreachable", "The container engine of a host does not answer.")
ENGINE_REFUSED = error_code("engine-refused", "The container engine answered, but did not do what was asked.")
IMAGE_NOT_FOUND = error_code("image-not-found", "Neither the engine nor the registry has the image.")
REGISTRY_UNREACHABLE = error_code("registry-unreachable", "The registry of an image gives no usable answer.")
BUILD_FAILED = error_code("build-failed", "An image could not be built from the commit.")
BUILD_TIMED_OUT = error_code("build-timed-out", "The build or the push of an image was not over in time.")
PUSH_FAILED = error_code("push-failed", "An image that was built could not be pushed to its registry.")
COMPOSE_REFUSED = error_code("compose-refused", "Compose does not accept the document.")
COMPOSE_FAILED = error_code("compose-failed", "Compose accepted the document and could not make it run.")

WORDS_LIMIT = 500  # characters of a foreign text that go on: readable on a screen, bounded in the log


def shown(text: str, *, limit: int = WORDS_LIMIT) -> str:
    """Foreign text fit for a screen and for the log: printable, credentials masked, at most `limit` long."""
    safe = REDACT(printable(text)).strip("\n").rstrip()  # what a line is indented by says something
    return safe if len(safe) <= limit else f"{safe[: limit - 1]}…"


def engine_unreachable(address: str, why: str) -> OutsideError:
    """No connection, or no answer in time."""
    return OutsideError(
        ENGINE_UNREACHABLE,
        f"the Docker engine at {shown(address)} does not answer",
        why=shown(why),
        next="look with `docker version`, start it with `systemctl start docker`, "
        "or set DOCKER_HOST to the engine that is meant",
    )


def engine_refused(what: str, why: str) -> OutsideError:
    """The engine's own words for why it did not do `what`."""
    return OutsideError(
        ENGINE_REFUSED,
        f"the engine did not {what}",
        why=shown(why),
        next="the engine's log says more: `journalctl -u docker`",
    )
