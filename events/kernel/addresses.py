"""Addresses as documents and engines write them."""

from __future__ import annotations

from ipaddress import ip_address


def is_loopback(text: str) -> bool:
    """Whether it leads to its own machine alone: `127.0.0.1`, `::1`, `[::1]`; no for a name or nothing."""
    try:
        return ip_address(text.removeprefix("[").removesuffix("]")).is_loopback
    except ValueError:
        return False
