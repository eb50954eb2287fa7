"""URLs of a Redis Cluster: which name one, and what they say.

The one rule: the credentials of the URL are those of every node.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from tributary_storage.redis.cluster_slots import Node

SCHEMES: Final = {"redis+cluster": "redis", "rediss+cluster": "rediss"}
"""Scheme of a URL to that of its nodes."""


def is_cluster(url: str) -> bool:
    """Tells whether a URL names a cluster: `redis+cluster://host:port,host:port`."""
    return url.partition("://")[0] in SCHEMES


class Addresses:
    """What a URL of a cluster says.

    Args:
        url: `redis+cluster://[user:password@]host:port[,host:port...]`; any node that answers tells of the others.
    """

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        credentials, at, hosts = parts.netloc.rpartition("@")
        self._prefix = f"{SCHEMES[parts.scheme]}://{credentials}{at}"
        self.first: list[Node] = [host if ":" in host else f"{host}:6379" for host in hosts.split(",")]

    def url(self, node: Node) -> str:
        """Returns the URL of one node."""
        return f"{self._prefix}{node}/0"
