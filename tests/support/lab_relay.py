"""A slow wire: every frame that one end sees appears at the other some milliseconds later.

usage: python -m tests.support.lab_relay INTERFACE INTERFACE MILLISECONDS, in the namespace of both

It ends when its standard input does. The header that the kernel puts before a frame (PACKET_VNET_HDR) goes
along, because a virtual wire leaves checksums and the cutting of long frames to the last one that needs them.
"""

from __future__ import annotations

import contextlib
import selectors
import socket
import sys
import time
from collections import deque

_ALL_PROTOCOLS = 0x0003  # ETH_P_ALL
_SOL_PACKET = 263
_PACKET_VNET_HDR = 15
_PACKET_IGNORE_OUTGOING = 23
_SO_RCVBUFFORCE = 33
_MOST_BYTES = 10 + 14 + 65536
_MOST_FRAMES = 10_000  # under way; with more of them the oldest get lost, as in a full router
_BUFFER_BYTES = 8 << 20


def wire(interface: str) -> socket.socket:
    """All that arrives at an interface, and a way to send what another one got."""
    made = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)
    made.setsockopt(_SOL_PACKET, _PACKET_VNET_HDR, 1)
    made.setsockopt(_SOL_PACKET, _PACKET_IGNORE_OUTGOING, 1)
    made.setsockopt(socket.SOL_SOCKET, _SO_RCVBUFFORCE, _BUFFER_BYTES)
    made.bind((interface, _ALL_PROTOCOLS))
    made.setblocking(False)
    return made


def relay(one: str, other: str, *, seconds: float) -> None:
    """Carry frames until standard input ends."""
    here, there = wire(one), wire(other)
    ways = {here.fileno(): (here, there), there.fileno(): (there, here)}
    waiting: deque[tuple[float, socket.socket, bytes]] = deque(maxlen=_MOST_FRAMES)  # in order of their time
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        for number in ways:
            selector.register(number, selectors.EVENT_READ)
        print("ready", flush=True)  # noqa: T201
        while True:
            until = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
            for key, _ in selector.select(until):
                if key.fd not in ways:
                    return
                taken, given = ways[key.fd]
                with contextlib.suppress(OSError):  # nothing left, or an interface that is down
                    while frame := taken.recv(_MOST_BYTES):
                        waiting.append((time.monotonic() + seconds, given, frame))
            while waiting and waiting[0][0] <= time.monotonic():
                _, given, frame = waiting.popleft()
                with contextlib.suppress(OSError):  # it is lost, as on a wire that was pulled
                    given.send(frame)


if __name__ == "__main__":
    relay(sys.argv[1], sys.argv[2], seconds=float(sys.argv[3]) / 1000)
