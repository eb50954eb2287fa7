"""Loopback ports for the local stack, such that two stacks on one machine never get the same one.

A TCP port that is merely *seen* free can be taken before its server binds it. So each port is held by a UDP socket of
the same number for as long as this object is open: UDP and TCP do not disturb one another, and the kernel lets go of it
however the process ends. Numbers lie below the range from which kernels take ports for outgoing connections.
"""

from __future__ import annotations

import errno
import random
import socket
from typing import Self

from tributary_cli.errors import StackError

HOST = "127.0.0.1"
_FIRST_PORT = 15_000
_LAST_PORT = 32_000
_ATTEMPTS = 1_000


class Ports:
    """Hands out ports of the loopback address and keeps them until closed."""

    def __init__(self) -> None:
        self._held: dict[int, socket.socket] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def take(self) -> int:
        """Returns a port that nobody listens on and no other `Ports` of this machine hands out."""
        chance = random.SystemRandom()
        for _ in range(_ATTEMPTS):
            port = chance.randint(_FIRST_PORT, _LAST_PORT)
            if self.hold(port):
                return port
        raise StackError("No free port was found on 127.0.0.1.", "Stop a program that listens on many ports.")

    def hold(self, port: int) -> bool:
        """Takes this very port; False if someone listens on it or another `Ports` holds it."""
        if port in self._held:
            return False
        holder = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        if _binds(holder, port) and not is_listening(port) and _is_bindable(port):
            self._held[port] = holder
            return True
        holder.close()
        return False

    def close(self) -> None:
        """Lets go of every port."""
        for holder in self._held.values():
            holder.close()
        self._held.clear()


def is_listening(port: int) -> bool:
    """Says whether something accepts connections on this loopback port."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        return probe.connect_ex((HOST, port)) == 0


def _is_bindable(port: int) -> bool:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port in TIME_WAIT is free for a server
        return _binds(probe, port)


def _binds(holder: socket.socket, port: int) -> bool:
    try:
        holder.bind((HOST, port))
    except OSError as error:
        if error.errno in (errno.EADDRINUSE, errno.EACCES):
            return False
        raise
    return True
