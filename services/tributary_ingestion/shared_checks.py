"""What all replicas of the door know of human-check tokens, asked so that it holds nobody up.

The one rule: fails open. A store that does not answer is left alone for a while; whoever is told later that a token was
spent cannot know that no other replica spent it meanwhile, and makes nobody guilty for as long as that would be kept.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final, Protocol, TypeVar

import structlog

from tributary_domain.human_check import Checked
from tributary_runtime.clock import Clock
from tributary_runtime.errors import TributaryError
from tributary_storage.redis.human_verdicts import LIFE_SECONDS, Asked

log = structlog.get_logger(__name__)

_Known = TypeVar("_Known")

_REST_SECONDS: Final = 10.0
_ANSWER_SECONDS: Final = 0.25
"""How long what other replicas know may take."""
_LOOKS: Final = 8


class Shared(Protocol):
    """What all replicas know, as `redis.human_verdicts.HumanVerdicts`. May raise `StorageUnavailableError`."""

    async def begin(self, name: bytes, carrier: bytes, most: int) -> Asked:
        """Notes that the provider is asked now, and for whom; returns what is known."""
        ...

    async def carry(self, name: bytes, carrier: bytes, most: int) -> bool:
        """Notes who carries a token that is known; tells whether it is one of the first `most`."""
        ...

    async def look(self, name: bytes) -> Checked | None:
        """Returns what came of a token; None: nothing yet."""
        ...

    async def remember(self, name: bytes, checked: Checked) -> None:
        """Keeps what a provider said."""
        ...


class SharedChecks:
    """Asks what all replicas know.

    Args:
        clock: Ages an outage.
        shared: The store; None: there is one replica, which knows what it asked.
    """

    def __init__(self, clock: Clock, shared: Shared | None) -> None:
        self._clock = clock
        self._shared = shared
        self._alone_until: float | None = None

    def may_have_missed(self) -> bool:
        """Tells whether others may have asked about a token without noting it where this replica sees it."""
        alone_until = self._alone_until
        return alone_until is not None and self._clock.monotonic_seconds() < alone_until + LIFE_SECONDS

    def _is_alone(self) -> bool:
        alone_until = self._alone_until
        return self._shared is None or (alone_until is not None and self._clock.monotonic_seconds() < alone_until)

    async def ask(self, ask: Callable[[Shared], Awaitable[_Known]]) -> _Known | None:
        """Asks the store; None: it knows nothing, or does not answer, and is left alone for a while."""
        if self._shared is None or self._is_alone():
            return None
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                return await ask(self._shared)
        except (TributaryError, TimeoutError) as outage:
            self._alone_until = self._clock.monotonic_seconds() + _REST_SECONDS
            log.warning("human_checks_not_shared", problem=type(outage).__name__)
            return None

    async def wait_for(self, name: bytes) -> Checked | None:
        """Returns what another replica is told of a token in this moment; None if that does not come."""
        for _ in range(_LOOKS):
            if self._is_alone():
                return None
            checked = await self.ask(lambda shared: shared.look(name))
            if checked is not None:
                return checked
            await asyncio.sleep(_ANSWER_SECONDS / _LOOKS)
        return None
