"""The person at the keyboard, as the log may know them."""

from __future__ import annotations

import getpass
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from events.actors import ActorDirectory
    from events.envelope import Actor


def person(actors: ActorDirectory) -> Actor:
    """The pseudonym of whoever runs this process on this machine."""
    return actors.pseudonym("cli", f"{getpass.getuser()}@{socket.gethostname()}")
