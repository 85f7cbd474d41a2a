"""The labels by which a container says whose it is; final, because running containers carry them.

All of them are stable: none changes with a Release, so a Release that changes nothing replaces nothing.
Only a container that carries every one of `IDENTITY` with our values is ever removed.
"""

from __future__ import annotations

PROJECT = "stagecraft.project"
ENVIRONMENT = "stagecraft.environment"
SERVICE = "stagecraft.service"
SERVICE_HASH = "stagecraft.service-hash"
LOG = "stagecraft.log"  # the lineage of the log that made the container

RELOAD = "stagecraft.reload"  # the only one that people write: a signal in place of a replacement
HOST_ENV = "stagecraft.host-env"  # keyed digest of the host's env files it was made with; not on all

IDENTITY = (PROJECT, ENVIRONMENT, SERVICE, SERVICE_HASH, LOG)
PREFIX = "stagecraft."
