"""Loopback ports that nobody else gets while the test process lives."""

from __future__ import annotations

from tributary_cli.stack.ports import HOST, Ports

_PORTS = Ports()  # never closed: a port given to one test is not given to the next


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nobody listens on."""
    return _PORTS.take()


def free_address() -> str:
    """Returns a free `127.0.0.1:port`."""
    return f"{HOST}:{free_port()}"
