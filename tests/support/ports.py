"""Loopback ports that nobody else gets while the test process lives."""

from __future__ import annotations

import random

from tributary_cli.stack.ports import HOST, Ports

_BUS = 10_000  # how far above its port a node talks to the others; Redis fixes that

_PORTS = Ports()  # never closed: a port given to one test is not given to the next


def free_port() -> int:
    """Returns a port of 127.0.0.1 that nobody listens on."""
    return _PORTS.take()


def free_cluster_port() -> int:
    """Returns a free port for a node of a Redis Cluster, whose bus, 10 000 above, nobody else gets either."""
    while True:
        port = random.randint(10_000, 14_999)
        if _PORTS.hold(port + _BUS) and _PORTS.hold(port):
            return port


def free_address() -> str:
    """Returns a free `127.0.0.1:port`."""
    return f"{HOST}:{free_port()}"
