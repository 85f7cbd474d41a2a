"""What a test of traffic runs: the real Traefik, and an app that ends as one likes.

traefik   Traefik as its makers release it, for `command:` flags and for files in /etc/traefik
caddy     Caddy likewise, with nothing but its admin API
app       tests/support/load_app.py, on 8080; `/bin/wget` is there for health checks
streams   tests/support/stream_app.py: HTTP/2 without TLS on 9000, bytes on 7000
"""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from controller.demo.archive import Layer
from controller.demo.images import programs
from tests.support.images import PORT, HealthCheck, TestImages, busybox_layer
from tests.support.python_image import interpreter, python_layer

Manner = Literal["abrupt", "graceful"]
PROGRAM = Path(__file__).with_name("load_app.py")
STREAM_PROGRAM = Path(__file__).with_name("stream_app.py")
_LAYERS: dict[str, Layer] = {}  # made once in a process: a layer knows its digest then


def traefik_image(images: TestImages, *, name: str = "traefik") -> str:
    """The gateway. Its layer is large, so a session has one."""
    if "traefik" not in _LAYERS:
        _LAYERS["traefik"] = Layer({"bin/traefik": programs()["traefik"]}, folders=("tmp",))
    return images.put(
        name,
        "v3.7",
        layers=(_LAYERS["traefik"],),
        configuration={
            "Entrypoint": ["/bin/traefik"],
            "Env": ["PATH=/bin"],
            "ExposedPorts": {"80/tcp": {}},
        },
    )


def caddy_image(images: TestImages, *, name: str = "caddy") -> str:
    """The other gateway; likewise."""
    if "caddy" not in _LAYERS:
        _LAYERS["caddy"] = Layer({"bin/caddy": programs()["caddy"]}, folders=("tmp",))
    return images.put(
        name,
        "v2.11",
        layers=(_LAYERS["caddy"],),
        configuration={"Cmd": ["/bin/caddy", "run"], "Env": ["PATH=/bin", "HOME=/tmp"], "WorkingDir": "/tmp"},  # noqa: S108  # inside it
    )


def app_image(
    images: TestImages,
    version: str,
    *,
    name: str = "app",
    manner: Manner = "abrupt",
    health: HealthCheck | None = None,
    environment: dict[str, str] | None = None,
) -> str:
    """The app at a version; `environment` as tests/support/load_app.py knows it."""
    said = {"PATH": "/bin", "NAME": name, "VERSION": version, "ON_TERM": manner, **(environment or {})}
    configuration: dict[str, object] = {
        "Cmd": [str(interpreter()), "-I", "-S", "/app.py"],
        "Env": [f"{key}={value}" for key, value in said.items()],
        "ExposedPorts": {f"{PORT}/tcp": {}},
    }
    if health is not None:
        configuration["Healthcheck"] = health.as_configuration()
    return images.put(name, version, layers=_layers(PROGRAM), configuration=configuration)


def stream_image(images: TestImages, version: str) -> str:
    """The app of HTTP/2 and bytes at a version; it dies at once when it is told to end."""
    configuration: dict[str, object] = {
        "Cmd": [str(interpreter()), "-I", "-S", "/app.py"],
        "Env": ["PATH=/bin", f"VERSION={version}"],
    }
    return images.put("streams", version, layers=_layers(STREAM_PROGRAM), configuration=configuration)


def _layers(program: Path) -> tuple[Layer, Layer]:
    """A Python with all that a program needs, and the program, which is `/app.py`."""
    if program.name not in _LAYERS:
        _LAYERS[program.name] = python_layer(program)
    return (_LAYERS[program.name], busybox_layer({"app.py": program.read_text()}))
