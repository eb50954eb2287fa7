"""Verifies human-check tokens with their providers, over HTTP.

The one rule: fails open. A provider that is down, slow, or answers nonsense makes nobody guilty, and holds no call up
for longer than its time-out; after a few failures in a row it is left alone for a while. A failure is what the provider
did: a call that found no free slot, or had to wait for one, says nothing of it. A token can be verified once, so that
what came of one is kept, asked for once by all who carry it, and shared by all replicas: whoever is told that a token
was spent, and that another replica asked, waits a moment for what that one was told. If nobody knows it (its provider
was too slow, or the replicas could not tell one another) it is unknown.

One solved token vouches for a few conversions and their retries, an order's counted once: whoever comes with it later
is not held for human, nor is who comes with one that is spent through nobody's fault. That costs a question more only
where a token that is known comes with somebody new. What is no conversion (the pages that were seen meanwhile) takes
nobody's place.
"""

import asyncio
import json
import ssl
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final, NamedTuple

import httpx
import structlog

from tributary_domain.human_check import LATE, REUSED, SPENT_HERE, Checked, HumanVerdict, Provider, read_answer
from tributary_ingestion.shared_checks import Shared, SharedChecks
from tributary_runtime import metrics
from tributary_runtime.checked_http import CheckedHttp, read_body
from tributary_runtime.clock import Clock
from tributary_runtime.public_addresses import Lookup, RefusedAddressError
from tributary_storage.redis.human_verdicts import Asked

log = structlog.get_logger(__name__)

TOKEN_LIFE_MICROS: Final = 120 * 1_000_000
"""The shortest life of a provider's tokens: reCAPTCHA's."""
_KEPT: Final = 20_000
_KEPT_SECONDS: Final = 600.0
_FAILURES: Final = 5
_REST_SECONDS: Final = 10.0
_ANSWER_BYTES: Final = 65_536
_CALL_SECONDS: Final = 15.0
"""Longer than any provider is waited for: its own time-out ends a call."""
_FORM: Final = {"content-type": "application/x-www-form-urlencoded"}
AT_ONCE: Final = 64
"""Calls under way of one credential; the others wait for a slot."""
_AT_ONCE_IN_ALL: Final = 256
"""Of all credentials: no more than a client has connections, so that nobody waits for one of these."""
_WAITING_SHARE: Final = 0.5
"""Of a time-out, how much may be spent on waiting for a slot: with less left, hardly a provider would answer."""
_NOBODYS_FAULT: Final = frozenset({LATE, SPENT_HERE})
_NOT_ASKED: Final = Asked(was_asked=False, checked=None)
_DOWN: Final = frozenset({"malformed", "internal-error"})
"""Faults of an answer that are the provider's own."""
_BUSY: Final = frozenset({httpx.codes.REQUEST_TIMEOUT, httpx.codes.TOO_MANY_REQUESTS})
_UNKNOWN: Final = Checked(HumanVerdict.UNKNOWN)
_TOO_SLOW: Final = "timeout"
_REUSED: Final = Checked(HumanVerdict.UNKNOWN, fault=REUSED)
_NO_SLOT: Final = Checked(HumanVerdict.UNKNOWN, fault="no slot")


@dataclass(frozen=True, slots=True)
class Verifier:
    """Where and how the tokens of one provider are verified."""

    provider: Provider
    endpoint: str
    secret: str
    minimum_score_percent: int = 50
    timeout_seconds: float = 0.8
    allow_private_addresses: bool = False
    """Whether its endpoint may be at an address that is not public."""
    carriers_per_token: int = 3
    """How many conversions a token vouches for, those of one order counted once."""


class Token(NamedTuple):
    """A token that an event carries."""

    provider: Provider | None
    """Unset: of no provider known here."""
    text: str
    remote_ip: str
    """The person's; empty where it is not known."""
    is_late: bool
    """Whether the event is older than a token lives."""
    carrier: bytes = b""
    """Digest of the order that carries it, or of the conversion that has none: the same for every retry. Empty: of no
    conversion, for which the provider's word is enough."""


class _Line:
    """The calls of one credential: so many at once, and none for a while after several in a row have failed."""

    def __init__(self) -> None:
        self.slots = asyncio.Semaphore(AT_ONCE)
        self.failures = 0
        self.rests_until = 0.0

    def note(self, now_seconds: float, *, has_answered: bool | None) -> None:
        """Counts what the provider did; None: it did nothing that can be judged."""
        if has_answered is None:
            return
        self.failures = 0 if has_answered else self.failures + 1
        if self.failures >= _FAILURES:
            self.failures, self.rests_until = 0, now_seconds + _REST_SECONDS


class HumanChecks:
    """Verifies tokens; and a loop, so that an outage of what replicas know in common is noticed.

    Args:
        clock: Ages what is kept.
        lookup: Asks the name server; the system's unless given.
        shared: What all replicas know; None: each for itself. Fails open.
    """

    name = "human_checks"

    def __init__(self, clock: Clock, lookup: Lookup | None = None, shared: Shared | None = None) -> None:
        self._clock = clock
        self._shared = SharedChecks(clock, shared)
        self._lookup = lookup
        self._tls: ssl.SSLContext | None = None
        self._clients: dict[tuple[str, bool], CheckedHttp] = {}
        self._kept: dict[bytes, tuple[float, Checked]] = {}
        self._carriers: dict[bytes, set[bytes]] = {}
        self._asked: dict[bytes, asyncio.Task[Checked]] = {}
        self._lines: dict[tuple[str, str], _Line] = {}
        self._slots = asyncio.Semaphore(_AT_ONCE_IN_ALL)

    async def run(self, stop: asyncio.Event) -> None:
        """Looks after what all replicas know until stopped."""
        await self._shared.run(stop)

    async def verify(
        self, tokens: Sequence[Token], verifiers: Mapping[Provider, Verifier], within_seconds: float | None = None
    ) -> list[Checked]:
        """Returns what came of each token; takes no longer than the longest time-out of its providers.

        Args:
            tokens: To be verified.
            verifiers: Those of the workspace.
            within_seconds: How long to wait at most; what comes later is unknown now, and kept for who asks again.
        """
        return await asyncio.gather(*[self._verify(token, verifiers, within_seconds) for token in tokens])

    async def _verify(
        self, token: Token, verifiers: Mapping[Provider, Verifier], within_seconds: float | None
    ) -> Checked:
        verifier = verifiers.get(token.provider) if token.provider is not None else None
        if verifier is None:
            return _UNKNOWN
        name = blake2b(f"{verifier.endpoint} {verifier.secret} {token.text}".encode(), digest_size=16).digest()
        checked = await self._checked(verifier, token, name, within_seconds)
        passes = checked.verdict is HumanVerdict.HUMAN or checked.fault in _NOBODYS_FAULT
        if passes and token.carrier and not await self._is_carrier(verifier, token, name):
            metrics.HUMAN_CHECKS.add(1, outcome=metrics.HumanCheckOutcome.REUSED)
            return _REUSED
        return checked

    async def _is_carrier(self, verifier: Verifier, token: Token, name: bytes) -> bool:
        """Tells whether a token vouches for who carries it; asks others only about whom this replica has not seen."""
        carriers, most = self._carriers_of(name), verifier.carriers_per_token
        if token.carrier in carriers:
            return True
        if len(carriers) >= most:
            return False
        is_carrier = await self._shared.ask(lambda shared: shared.carry(name, token.carrier, most))
        if is_carrier is False or len(carriers) >= most:  # others may have come while this one was asked about
            return token.carrier in carriers
        carriers.add(token.carrier)
        return True

    async def _checked(self, verifier: Verifier, token: Token, name: bytes, within_seconds: float | None) -> Checked:
        kept = self._kept.get(name)
        if kept is not None and self._clock.monotonic_seconds() - kept[0] < _KEPT_SECONDS:
            return kept[1]
        asked = self._asked.get(name)
        if asked is None:
            asked = self._asked[name] = asyncio.create_task(self._ask(verifier, token, name))
            asked.add_done_callback(lambda _: self._asked.pop(name, None))
        # Shielded: another call may wait for the same answer when this one's caller has left.
        try:
            return await asyncio.wait_for(asyncio.shield(asked), within_seconds)
        except TimeoutError:
            return _UNKNOWN

    async def _ask(self, verifier: Verifier, token: Token, name: bytes) -> Checked:
        line = self._lines.setdefault((verifier.endpoint, verifier.secret), _Line())
        checked = _UNKNOWN
        if self._clock.monotonic_seconds() >= line.rests_until:
            checked, has_answered = await self._ask_in_line(line, verifier, token, name)
            if checked.fault == SPENT_HERE:
                checked = await self._shared.wait_for(name) or checked
            line.note(self._clock.monotonic_seconds(), has_answered=has_answered)
            if checked.verdict is HumanVerdict.UNKNOWN and checked.fault not in _NOBODYS_FAULT:
                log.warning("human_check_unanswered", provider=verifier.provider.value, fault=checked.fault)
        metrics.HUMAN_CHECKS.add(1, outcome=metrics.HumanCheckOutcome[checked.verdict.name])
        if checked.verdict is not HumanVerdict.UNKNOWN:
            _make_room(self._kept)
            self._kept[name] = self._clock.monotonic_seconds(), checked
        return checked

    async def _ask_in_line(
        self, line: _Line, verifier: Verifier, token: Token, name: bytes
    ) -> tuple[Checked, bool | None]:
        """Returns what came of a token, and whether the provider is up; None: that was not seen."""
        started, has_waited = self._clock.monotonic_seconds(), line.slots.locked() or self._slots.locked()
        async with AsyncExitStack() as held:
            try:
                async with asyncio.timeout(verifier.timeout_seconds * _WAITING_SHARE):
                    await held.enter_async_context(line.slots)
                    await held.enter_async_context(self._slots)
            except TimeoutError:
                return _NO_SLOT, None
            left_seconds = verifier.timeout_seconds
            if has_waited:
                left_seconds -= self._clock.monotonic_seconds() - started
            known = await self._begin(verifier, token, name)
            if known.checked is not None:
                return known.checked, None
            was_asked = known.was_asked or self._shared.may_have_missed()
            checked, has_answered = await self._post(verifier, token, left_seconds, was_asked=was_asked)
        if checked.verdict is not HumanVerdict.UNKNOWN:
            await self._shared.remember(name, checked)
        is_unfair = has_waited and checked.fault == _TOO_SLOW
        return checked, None if is_unfair else has_answered

    async def _begin(self, verifier: Verifier, token: Token, name: bytes) -> Asked:
        asked = await self._shared.begin(name, token.carrier, verifier.carriers_per_token) or _NOT_ASKED
        if asked.is_carrier and token.carrier:
            self._carriers_of(name).add(token.carrier)
        return asked

    def _carriers_of(self, name: bytes) -> set[bytes]:
        """Returns who is known here to carry a token, to be added to."""
        carriers = self._carriers.get(name)
        if carriers is None:
            _make_room(self._carriers)
            carriers = self._carriers[name] = set()
        return carriers

    def _client(self, verifier: Verifier) -> CheckedHttp:
        """Returns the client of an endpoint; made once."""
        name = (verifier.endpoint, verifier.allow_private_addresses)
        if name not in self._clients:
            self._tls = self._tls or httpx.create_ssl_context()  # slow to make: once, and only where it is needed
            self._clients[name] = CheckedHttp(
                httpx.URL(verifier.endpoint),
                call_seconds=_CALL_SECONDS,
                allow_private=verifier.allow_private_addresses,
                agent="Tributary/1",
                clock=self._clock,
                tls=self._tls,
                lookup=self._lookup,
            )
        return self._clients[name]

    async def aclose(self) -> None:
        """Closes its connections."""
        for client in self._clients.values():
            await client.aclose()

    async def _post(
        self, verifier: Verifier, token: Token, within_seconds: float, *, was_asked: bool
    ) -> tuple[Checked, bool]:
        """Returns what came of a token, and whether the provider is up.

        One that finds fault with what it was sent is up: else whoever sends such tokens could turn the check off.
        """
        form = {"secret": verifier.secret, "response": token.text}
        if token.remote_ip:
            form["remoteip"] = token.remote_ip
        try:
            async with asyncio.timeout(within_seconds):
                content = str(httpx.QueryParams(form)).encode()
                response = await self._client(verifier).post(httpx.URL(verifier.endpoint), content, _FORM)
                body = await read_body(response, _ANSWER_BYTES + 1)
                if len(body) > _ANSWER_BYTES:
                    return Checked(HumanVerdict.UNKNOWN, fault="too_long"), False
                status = response.status_code
        except TimeoutError:
            return Checked(HumanVerdict.UNKNOWN, fault=_TOO_SLOW), False
        except (httpx.HTTPError, RefusedAddressError, OSError) as error:
            return Checked(HumanVerdict.UNKNOWN, fault=type(error).__name__), False
        if status != httpx.codes.OK:
            is_up = httpx.codes.BAD_REQUEST <= status < httpx.codes.INTERNAL_SERVER_ERROR and status not in _BUSY
            return Checked(HumanVerdict.UNKNOWN, fault=f"status_{status}"), is_up
        minimum = verifier.minimum_score_percent
        checked = read_answer(verifier.provider, _json(body), minimum, is_late=token.is_late, was_asked=was_asked)
        return checked, checked.fault not in _DOWN


def _make_room(kept: dict[bytes, Any]) -> None:
    """Forgets the oldest of too many."""
    if len(kept) >= _KEPT:
        for oldest in list(kept)[: _KEPT // 10]:
            del kept[oldest]


def _json(body: bytes) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return None
