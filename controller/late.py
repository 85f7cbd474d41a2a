"""What commands import late, so that they start fast, and a controller before it begins.

A controller runs for months, and an upgrade may put other files in place of its own meanwhile: a module that
is imported then would be of another version than all the rest. So it has everything from the start; a test
compares the list with the imports that stand inside functions. (`bootstrap.py` imports inside functions as
well: what it wires, the controller uses at once.)
"""

from __future__ import annotations

from importlib import import_module

LATE = (
    "controller.auditing",
    "controller.known_hosts",
    "controller.registry.wire",
    "controller.rendering",
    "events.chain",
    "events.rows",
    "events.sqlite_writer",
    "gitops.config.policy",
    "gitops.source.git",
    "projections.edge.asking",
    "projections.edge.caddy",
    "projections.edge.drain",
    "projections.edge.traefik",
    "projections.engine.dialling",
    "projections.engine.docker_client",
    "projections.transport.ssh",
)


def import_late() -> None:
    """Import them all."""
    for name in LATE:
        import_module(name)
