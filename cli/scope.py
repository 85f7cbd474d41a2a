"""Options that limit a Release to some of its hosts."""

from __future__ import annotations

from typing import Annotated

import typer

HostOption = Annotated[
    list[str] | None,
    typer.Option("--host", metavar="HOST", help="Only on this host; may be given more than once."),
]
RoleOption = Annotated[
    list[str] | None,
    typer.Option("--role", metavar="ROLE", help="Only on the hosts of this role; likewise."),
]
