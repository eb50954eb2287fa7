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

    async def call_many(
        self, client: redis.asyncio.Redis, calls: Sequence[tuple[Sequence[Argument], Sequence[Argument]]]
    ) -> list[Any]:
        """Runs the script once per (keys, arguments), in one round trip, and returns the answers in order.

        Calls that met a Redis without the script are run again; the others are not. On a cluster the pipeline is split
        by slot. An answer may be an exception of `redis`: one failed call does not hide its neighbours' answers.
        """
        answers = await self._pipeline(client, calls)
        missing = [index for index, answer in enumerate(answers) if isinstance(answer, NoScriptError)]
        if missing:
            await client.script_load(self.body)
            again = await self._pipeline(client, [calls[index] for index in missing])
            for index, answer in zip(missing, again, strict=True):
                answers[index] = answer
        return answers

    async def _pipeline(
        self, client: redis.asyncio.Redis, calls: Sequence[tuple[Sequence[Argument], Sequence[Argument]]]
    ) -> list[Any]:
        if not calls:
            return []
        pipeline = client.pipeline(transaction=False)
        for keys, arguments in calls:
            pipeline.execute_command("EVALSHA", self.sha, len(keys), *keys, *arguments)
        answers: list[Any] = await pipeline.execute(raise_on_error=False)
        return answers
