"""What is refused in a Compose file before the client sees it, and why.

Compose confines no path and starts programs that a file names, so a hostile repository is stopped here, with
a position in its own file, and a second time by what the client is given to see (`gitops.compose.render`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from events.kernel.errors import UserError, Where, error_code
from gitops.yamlnodes import Mark

COMPOSE_INVALID = error_code("compose-invalid", "The Compose files are not what Compose takes.")
COMPOSE_PATH_REFUSED = error_code(
    "compose-path-refused", "A Compose file names another file by an absolute, variable or home path."
)
COMPOSE_REMOTE_REFUSED = error_code(
    "compose-remote-refused",
    "A Compose file names a file of another repository that is not allowed, or not pinned to a commit.",
)
COMPOSE_PROGRAM_REFUSED = error_code(
    "compose-program-refused", "A service has a provider, which is a program that Compose would run here."
)
COMPOSE_SOCKET_REFUSED = error_code(
    "compose-socket-refused", "A service asks for the engine's socket with use_api_socket."
)
COMPOSE_KEY_REFUSED = error_code("compose-key-refused", "A key in a Compose file contains a dollar sign.")
COMPOSE_HOME_REFUSED = error_code(
    "compose-home-refused", "A Compose file uses the home folder of whoever runs Compose."
)
COMPOSE_TOO_LARGE = error_code(
    "compose-too-large", "The Compose files, or what they render to, are too large."
)
VOLUME_AMBIGUOUS = error_code(
    "volume-ambiguous", "A volume with a name of one letter is taken for a Windows drive by Compose."
)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComposeFault:
    """One thing that is refused."""

    code: str
    message: str
    file: str
    mark: Mark
    key: str
    next: str = ""

    @property
    def place(self) -> Where:
        """Where it is."""
        return Where(file=self.file, line=self.mark.line, column=self.mark.column, key=self.key)


def compose_refused(faults: Sequence[ComposeFault]) -> UserError:
    """One error for all of `faults`; its code is that of the first."""
    first = faults[0]
    message = first.message
    if len(faults) > 1:
        rows = [f"  {fault.place}: {fault.message}" for fault in faults]
        message = "\n".join([f"{len(faults)} things in the Compose files are refused:", *rows])
    return UserError(first.code, message, where=first.place, next=first.next)
