"""A real registry on loopback, which a test may stop in the middle."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import shutil
import signal
import subprocess
from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from docker.client import DockerClient
from docker.errors import ImageNotFound

from tests.support.processes import free_port, wait_until

STOP_SECONDS = 10
_LOOKED_UP = re.compile(r'"(?:GET|HEAD) /v2/(?P<name>\S+)/manifests/(?P<tag>[^ :]+) ')
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
MANIFEST_LIST = "application/vnd.docker.distribution.manifest.list.v2+json"
OCI_INDEX = "application/vnd.oci.image.index.v1+json"
USER, PASSWORD = "robot", "correct-horse"
_PASSWORD_HASH = "$2y$05$UotQuEI4wAAy25z9rC4s5eGGFse/cNf2QRuHCloKuTSOgb.51Mpw6"  # noqa: S105  # bcrypt of PASSWORD


@dataclass(slots=True)
class Registry:
    """A running registry; `address` is what image references begin with."""

    address: str
    process: subprocess.Popen[bytes]
    accesses: Path  # a line for each request

    @property
    def port(self) -> int:
        """Where it listens."""
        return int(self.address.rpartition(":")[2])

    def looked_up(self) -> list[str]:
        """`name:tag` for each time that somebody asked what a tag means, in order."""
        lines = self.accesses.read_text().splitlines()
        asked = (_LOOKED_UP.search(line) for line in lines)
        return [f"{found['name']}:{found['tag']}" for found in asked if found is not None]

    def push(self, client: DockerClient, image: str, name: str, tag: str) -> str:
        """Push an image under a name, take that name off the engine, and answer the reference."""
        repository = f"{self.address}/{name}"
        client.api.tag(image, repository, tag)  # pyright: ignore[reportUnknownMemberType]  # its stub is untyped
        client.images.push(repository, tag=tag)  # pyright: ignore[reportUnknownMemberType]  # its stub is untyped
        client.images.remove(f"{repository}:{tag}")
        return f"{repository}:{tag}"

    def forget(self, client: DockerClient) -> None:
        """Take away every name of this registry that the engine has."""
        for image in client.images.list():
            digests: list[str] = image.attrs.get("RepoDigests") or []
            for name in [*image.tags, *digests]:
                if name.startswith(f"{self.address}/"):
                    with contextlib.suppress(ImageNotFound):
                        client.images.remove(name, force=True)

    def freeze(self) -> None:
        """Let it hang: connections are taken and nothing is answered."""
        self.process.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """End `freeze`."""
        self.process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End it; a second call does nothing."""
        self.go_on()
        self.process.terminate()
        self.process.wait(timeout=STOP_SECONDS)


@contextlib.contextmanager
def running_registry(
    folder: Path, *, auth: str = "", listen: str = "127.0.0.1", prefix: Sequence[str] = ()
) -> Generator[Registry]:
    """A registry that starts empty and keeps its data in `folder`; `auth` is YAML for its `auth:`.

    Its name is that of the loopback wherever it listens, for that name is trusted without a certificate.
    `prefix` are words before its command.
    """
    program = shutil.which("docker-registry")
    assert program is not None, "install the registry (Debian: apt-get install docker-registry)"
    port = free_port()
    configuration = folder / "config.yml"
    configuration.write_text(
        f"version: 0.1\nlog: {{level: error}}\nstorage: {{filesystem: {{rootdirectory: {folder}/data}}}}\n"
        f"http: {{addr: '{listen}:{port}'}}\n" + (f"auth: {auth}\n" if auth else "")
    )
    accesses = folder / "accesses"
    with accesses.open("wb") as said:
        process = subprocess.Popen(
            [*prefix, program, "serve", str(configuration)], stdout=said, stderr=subprocess.DEVNULL
        )
    registry = Registry(address=f"127.0.0.1:{port}", process=process, accesses=accesses)
    try:
        wait_until("the registry", lambda: _answers(port))
        yield registry
    finally:
        registry.stop()


def password_auth(folder: Path) -> str:
    """The `auth` of a registry that knows `USER` by `PASSWORD`."""
    (folder / "htpasswd").write_text(f"{USER}:{_PASSWORD_HASH}\n")
    return f"{{htpasswd: {{realm: test, path: {folder}/htpasswd}}}}"


def put(address: str, path: str, body: bytes, media_type: str) -> str:
    """Put a manifest (`name/manifests/tag`) or a blob (`name/blobs/uploads/`); answers its digest."""
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    url = f"http://{address}/v2/{path}"
    if path.endswith("uploads/"):
        with urlopen(Request(url, method="POST"), timeout=10) as answer:  # loopback
            place = answer.headers["Location"]
        url = f"{place}{'&' if '?' in place else '?'}digest={digest}"
    request = Request(url, data=body, method="PUT", headers={"Content-Type": media_type})  # noqa: S310  # as above
    with urlopen(request, timeout=10):  # noqa: S310  # as above
        return digest


def put_image(address: str, name: str, tag: str, *, config: Mapping[str, str]) -> str:
    """An image of one platform with no layers; answers the digest of its manifest."""
    content = json.dumps({**config, "rootfs": {"type": "layers", "diff_ids": []}}).encode()
    digest = put(address, f"{name}/blobs/uploads/", content, "application/octet-stream")
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": {
            "mediaType": "application/vnd.docker.container.image.v1+json",
            "size": len(content),
            "digest": digest,
        },
        "layers": list[Any](),
    }
    return put(address, f"{name}/manifests/{tag}", json.dumps(manifest).encode(), MANIFEST)


def put_index(address: str, name: str, tag: str, *, images: Mapping[str, str], oci: bool = True) -> str:
    """An index over images that are there: `{platform: digest}`; answers its digest."""
    media_type = OCI_INDEX if oci else MANIFEST_LIST
    index = {
        "schemaVersion": 2,
        "mediaType": media_type,
        "manifests": [
            {
                "mediaType": MANIFEST,
                "size": 300,
                "digest": digest,
                "platform": dict(zip(("os", "architecture", "variant"), platform.split("/"), strict=False)),
            }
            for platform, digest in images.items()
        ],
    }
    return put(address, f"{name}/manifests/{tag}", json.dumps(index).encode(), media_type)


def _answers(port: int) -> bool:
    try:
        with urlopen(f"http://127.0.0.1:{port}/v2/", timeout=2):
            return True
    except HTTPError:
        return True  # it asks who we are
    except URLError:
        return False
