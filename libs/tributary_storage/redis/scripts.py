"""Loads `lua/*.lua` and calls them by SHA; a Redis that has forgotten a script gets it again.

A restarted Redis answers NOSCRIPT, in a pipeline too: nothing was executed, so calling again is safe.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

import redis.asyncio
from redis.exceptions import NoScriptError

Argument = bytes | str | int


class Script:
    """One Lua script of `lua/`, called by its SHA."""

    def __init__(self, name: str) -> None:
        """Reads `lua/<name>.lua`; nothing connects."""
        self.name = name
        self.body = files("tributary_storage.redis").joinpath(f"lua/{name}.lua").read_bytes()
        self.sha = hashlib.sha1(self.body, usedforsecurity=False).hexdigest()

    async def __call__(
        self, client: redis.asyncio.Redis, keys: Sequence[Argument], arguments: Sequence[Argument]
    ) -> Any:
        """Runs the script once and returns its answer.

        Raises:
            redis.RedisError: It did not run, or its reply was lost; the caller's adapter translates.
        """
        try:
            return await client.evalsha(self.sha, len(keys), *keys, *arguments)
        except NoScriptError:
            await client.script_load(self.body)
            return await client.evalsha(self.sha, len(keys), *keys, *arguments)
