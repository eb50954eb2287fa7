"""What all replicas of the door know of human-check tokens, asked so that it holds nobody up.

The one rule: fails open. A store that does not answer is left alone for a while; whoever is told later that a token was
spent cannot know that no other replica spent it meanwhile, and makes nobody guilty for as long as that would be kept.
That holds for a replica that had nothing to ask in an outage, too, so that each looks at the store all the time; and
what could not be noted then is noted when the store is there again, for those who were not cut off.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from itertools import islice
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
PROBE_SECONDS: Final = 1.0
"""How often the store is looked at: a shorter outage is only noticed by who asks."""
_PROBE_ANSWER_SECONDS: Final = 2.0
"""How long that may take: nobody waits for it, and a pause is no outage."""
_KEPT: Final = 20_000
_NOTED_AT_ONCE: Final = 500


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

    async def catch_up(self, checked: Mapping[bytes, Checked | None]) -> None:
        """Notes of which tokens a provider was asked, and what came of it, if that is known. May run twice."""
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
        self._unnoted: dict[bytes, tuple[float, Checked | None]] = {}

    async def run(self, stop: asyncio.Event) -> None:
        """Looks at the store until stopped."""
        while not stop.is_set():
            await self.look_after()
            try:
                async with asyncio.timeout(PROBE_SECONDS):
                    await stop.wait()
            except TimeoutError:
                continue

    async def look_after(self) -> None:
        """Notes what could not be noted before; or notices that the store is away."""
        if self._shared is None:
            return
        unnoted = dict(islice(self._unnoted.items(), _NOTED_AT_ONCE))
        oldest = self._clock.monotonic_seconds() - LIFE_SECONDS
        try:
            async with asyncio.timeout(_PROBE_ANSWER_SECONDS):
                await self._shared.catch_up({name: said for name, (at, said) in unnoted.items() if at > oldest})
        except (TributaryError, TimeoutError) as outage:
            self._note_outage(outage)
            return
        for name, said in unnoted.items():
            if self._unnoted.get(name) is said:
                del self._unnoted[name]

    def may_have_missed(self) -> bool:
        """Tells whether others may have asked about a token without noting it where this replica sees it."""
        alone_until = self._alone_until
        return alone_until is not None and self._clock.monotonic_seconds() < alone_until + LIFE_SECONDS

    async def begin(self, name: bytes, carrier: bytes, most: int) -> Asked | None:
        """Notes that the provider is asked now, and for whom; None: nobody can tell what is known."""
        asked = await self.ask(lambda shared: shared.begin(name, carrier, most))
        if asked is None:
            self._keep(name, None)
        return asked

    async def remember(self, name: bytes, checked: Checked) -> None:
        """Keeps what a provider said for all, once the store is there."""
        if not await self.ask(lambda shared: _done(shared.remember(name, checked))):
            self._keep(name, checked)

    def _keep(self, name: bytes, checked: Checked | None) -> None:
        if self._shared is None:
            return
        if len(self._unnoted) >= _KEPT:
            del self._unnoted[next(iter(self._unnoted))]
        self._unnoted[name] = self._clock.monotonic_seconds(), checked

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
            self._note_outage(outage)
            return None

    def _note_outage(self, outage: Exception) -> None:
        if not self._is_alone():
            log.warning("human_checks_not_shared", problem=type(outage).__name__)
        self._alone_until = self._clock.monotonic_seconds() + _REST_SECONDS

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


async def _done(awaited: Awaitable[None]) -> bool:
    await awaited
    return True
