"""Which nodes of a cluster do not answer.

The one rule: a node that hangs holds up nobody but its own shards. Who meets it first waits as usual; from then on one
at a time, now and then and not for long, asks it whether it is back, and all others are told at once that it does not
answer. Callers may have less patience than the client: what they waited in vain, and were called off, adds up until the
node answers anybody, and when it is enough the next one asks so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import redis
from redis.exceptions import ClusterDownError

AWAY: Final = (redis.ConnectionError, redis.TimeoutError, ClusterDownError)
"""What says of a node that it does not answer, and nothing of what it was asked."""
NODE_SECONDS: Final = 2.0
"""How long a node may take where others wait for what theirs has answered."""
REST_SECONDS: Final = 2.0
"""How long a node that did not answer is left alone."""
PROBE_SECONDS: Final = 0.5
"""How long it may take then: to connect anew, to be checked by the guards, and to answer. Callers who waited as
long in all, and were called off, tell that it may not."""

_SILENT: Final = "A node of the cluster does not answer."


class RestingError(redis.TimeoutError):
    """A node was not asked, for it did not answer a moment ago."""


class Silence:
    """Remembers who did not answer; a node is named by its client."""

    def __init__(self) -> None:
        self._rests_until: dict[Any, float] = {}
        self._waited: dict[Any, tuple[float, float]] = {}
        """(how long callers waited for a node in vain since it last answered, until when): who waits together counts
        once."""

    def _rests(self, node: Any) -> bool:
        """Tells whether a node is not to be asked now; after a rest one is let through, to see whether it is back."""
        rests_until = self._rests_until.get(node)
        if rests_until is None:
            return False
        now = asyncio.get_running_loop().time()
        if now < rests_until:
            return True
        self._rests_until[node] = now + REST_SECONDS  # one asks it, the others go on without
        return False

    def note(self, node: Any, answers: Iterable[Any]) -> None:
        """Takes what came of asking a node, errors included."""
        self._waited.pop(node, None)
        if any(isinstance(answer, (TimeoutError, redis.TimeoutError)) for answer in answers):
            self._rests_until[node] = asyncio.get_running_loop().time() + REST_SECONDS
        else:
            self._rests_until.pop(node, None)

    def _wait_in_vain(self, node: Any, began: float, until: float) -> None:
        """Takes that somebody was called off."""
        waited, counted_until = self._waited.get(node, (0.0, began))
        waited += until - max(began, counted_until)
        self._waited[node] = waited, until
        if waited >= PROBE_SECONDS:
            self._rests_until.setdefault(node, began)

    async def ask(self, node: Any, ask: Callable[[], Awaitable[Any]], usual_seconds: float | None = None) -> Any:
        """Asks a node, unless it rests.

        Args:
            node: Whom.
            ask: Asks; its own time-outs hold beside.
            usual_seconds: How long it may take; `None`: as long as it does.

        Raises:
            redis.RedisError: It did not answer, or refused.
        """
        if self._rests(node):
            raise RestingError(_SILENT)
        now = asyncio.get_running_loop().time
        began = now()
        try:
            if node in self._rests_until:  # what it is to do may take longer than being back
                async with asyncio.timeout(PROBE_SECONDS):
                    await node.ping()
                self.note(node, ())
            async with asyncio.timeout(usual_seconds):
                answer = await ask()
        except asyncio.CancelledError:
            self._wait_in_vain(node, began, now())
            raise
        except (TimeoutError, redis.TimeoutError) as late:
            self.note(node, [late])
            raise redis.TimeoutError(_SILENT) from late
        except redis.RedisError as refusal:
            self.note(node, [refusal])
            raise
        self.note(node, ())
        return answer
