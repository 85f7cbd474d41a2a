"""Images for tests, made on the spot from Debian's static busybox: nothing is pulled, ever.

An image is assembled as the archive that `docker load` reads, not built, as the demo's are: that takes 50 ms,
gives the full image configuration (health check, stop signal), and the same content always has the same id.
Each session has its own repository names and its own label, so that two sessions on one engine do not take
away each other's images, and everything that carries the label goes at the end, under whatever tag by then.

What each one does:

    web       serves HTTP on 8080: `/` says "<name> <version>", `/cgi-bin/env` its environment;
              ends at once with 0 on SIGTERM. `/bin/wget` is there for health checks.
    sick      a web whose health check, which the image declares, never succeeds
    crashing  prints a line on stderr and exits with a code
    job       prints a line, adds it to /data/ran when there is a /data, exits with 0
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

from docker.client import DockerClient
from docker.errors import APIError

from controller.demo.archive import Image, Layer, archive

BUSYBOX = Path("/bin/busybox")
APPLETS = ("cat", "env", "false", "httpd", "kill", "ls", "nc", "ps", "sh", "sleep", "test", "true", "wget")
LABEL = "stagecraft-test.session"
PORT = 8080
NANOSECOND = 1_000_000_000
_MOST_PARENTS = 20  # how deep images may be built on each other

_SERVE = """#!/bin/sh
trap 'exit 0' TERM INT
httpd -f -p 8080 -h /www &
echo "$1 serves"
wait
"""
_ENVIRONMENT = """#!/bin/sh
printf 'Content-Type: text/plain\\r\\n\\r\\n'
env
"""
_FAIL = """#!/bin/sh
echo "$2" >&2
exit "$1"
"""
_ONCE = """#!/bin/sh
echo "$1 ran"
[ ! -d /data ] || echo "$1 ran" >>/data/ran
"""


class HealthCheck(NamedTuple):
    """A health check as an image declares it."""

    command: tuple[str, ...]
    interval_seconds: float = 0.2
    timeout_seconds: float = 2.0
    retries: int = 3
    start_period_seconds: float = 0.0

    def as_configuration(self) -> dict[str, object]:
        """As the image configuration writes it, times in nanoseconds."""
        return {
            "Test": ["CMD", *self.command],
            "Interval": round(self.interval_seconds * NANOSECOND),
            "Timeout": round(self.timeout_seconds * NANOSECOND),
            "StartPeriod": round(self.start_period_seconds * NANOSECOND),
            "Retries": self.retries,
        }


HEALTHY = HealthCheck(("/bin/wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{PORT}/"))
NEVER_HEALTHY = HealthCheck(("/bin/sh", "-c", "echo the database does not answer; exit 1"))


class TestImages:
    """Makes images in an engine and takes them away again.

    Every method returns the reference of an image that is in the engine. The same arguments give the same
    reference, and make the image only once unless somebody removed it in between.
    """

    __test__ = False  # by its name pytest would collect it

    def __init__(self, client: DockerClient) -> None:
        self._client = client
        self._session = uuid4().hex[:8]
        self._made: dict[str, str] = {}  # id by reference

    def reference(self, name: str, version: str) -> str:
        """How this session calls an image, whether it exists or not."""
        return f"stagecraft-test/{self._session}/{name}:{version}"

    def absent(self, version: str = "v1") -> str:
        """A reference to nothing; pulling it fails at once, for nobody listens at its registry."""
        return f"127.0.0.1:9/stagecraft-test/{self._session}/absent:{version}"

    def web(self, version: str = "v1", *, name: str = "web", health: HealthCheck | None = None) -> str:
        """A server that says its name and version."""
        return self.make(
            name,
            version,
            command=["/bin/serve", f"{name} {version}"],
            files={
                "bin/serve": _SERVE,
                "www/index.html": f"{name} {version}\n",
                "www/cgi-bin/env": _ENVIRONMENT,
            },
            health=health,
        )

    def sick(self, version: str = "v1", *, name: str = "web") -> str:
        """A server that runs and never turns healthy."""
        return self.web(version, name=name, health=NEVER_HEALTHY)

    def crashing(
        self,
        version: str = "v1",
        *,
        name: str = "web",
        code: int = 3,
        line: str = "cannot open the database",
    ) -> str:
        """Prints `line` on stderr and exits with `code`."""
        return self.make(name, version, command=["/bin/fail", str(code), line], files={"bin/fail": _FAIL})

    def job(self, version: str = "v1", *, name: str = "job") -> str:
        """Runs once and succeeds."""
        return self.make(name, version, command=["/bin/once", f"{name} {version}"], files={"bin/once": _ONCE})

    def make(
        self,
        name: str,
        version: str,
        *,
        command: Sequence[str],
        files: Mapping[str, str],
        health: HealthCheck | None = None,
    ) -> str:
        """An image with busybox and `files` (path to text, all executable) that runs `command`.

        A reference that was made with other content before moves to the new content, as a tag does.
        """
        configuration: dict[str, object] = {
            "Cmd": list(command),
            "Env": ["PATH=/bin"],
            "ExposedPorts": {f"{PORT}/tcp": dict[str, str]()},
        }
        if health is not None:
            configuration["Healthcheck"] = health.as_configuration()
        return self.put(name, version, layers=(busybox_layer(files),), configuration=configuration)

    def put(
        self, name: str, version: str, *, layers: Sequence[Layer], configuration: Mapping[str, object]
    ) -> str:
        """An image of these layers, configured in the words of the OCI image format."""
        reference = self.reference(name, version)
        labelled = {**configuration, "Labels": {LABEL: self._session}}
        image = Image(reference=reference, layers=tuple(layers), configuration=labelled)
        architecture = "amd64" if _is_amd64() else "arm64"
        image_id = image.id(architecture)
        if self._made.get(reference) != image_id or not self._client.images.list(name=reference):
            self._client.images.load(b"".join(archive([image], architecture=architecture)))
            self._made[reference] = image_id
        return reference

    def image_id(self, reference: str) -> str:
        """The id (`sha256:…`) that `reference` was given last by this object."""
        return self._made[reference]

    def remove(self, reference: str) -> None:
        """Take the tag away, and the image when it was its last."""
        self._client.images.remove(reference)

    def remove_all(self) -> None:
        """Take away everything that carries this session's label, under any tag, built ones too."""
        for _ in range(_MOST_PARENTS):
            left = self._client.images.list(all=True, filters={"label": f"{LABEL}={self._session}"})
            for image in left:
                with contextlib.suppress(APIError):  # others were built on it, and go before it
                    self._client.images.remove(image.id or "", force=True)
            if not left:
                return
        raise AssertionError("images were built on each other deeper than any test does")


def _is_amd64() -> bool:
    """Whether busybox, and so this machine, is x86-64: its ELF header says machine 62."""
    with BUSYBOX.open("rb") as program:
        program.seek(18)
        return program.read(2) == (62).to_bytes(2, "little")


def busybox_layer(files: Mapping[str, str]) -> Layer:
    """A root file system with busybox under the names of its applets, and `files`."""
    return Layer(
        {"bin/busybox": BUSYBOX, **{path: text.encode() for path, text in files.items()}},
        folders=("tmp",),
        links={f"bin/{applet}": "busybox" for applet in APPLETS},
    )
