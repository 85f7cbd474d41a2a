"""What a test of traffic runs: the real Traefik, and an app that ends as one likes.

traefik   Traefik as its makers release it, for `command:` flags and for files in /etc/traefik
app       tests/support/load_app.py, on 8080; `/bin/wget` is there for health checks
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
    if "python" not in _LAYERS:
        _LAYERS["python"] = python_layer(PROGRAM)
    said = {"PATH": "/bin", "NAME": name, "VERSION": version, "ON_TERM": manner, **(environment or {})}
    configuration: dict[str, object] = {
        "Cmd": [str(interpreter()), "-I", "-S", "/app.py"],
        "Env": [f"{key}={value}" for key, value in said.items()],
        "ExposedPorts": {f"{PORT}/tcp": {}},
    }
    if health is not None:
        configuration["Healthcheck"] = health.as_configuration()
    layers = (_LAYERS["python"], busybox_layer({"app.py": PROGRAM.read_text()}))
    return images.put(name, version, layers=layers, configuration=configuration)
