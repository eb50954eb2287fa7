"""What the door must ask others before it can decide: the counters of bursts, and the providers of human checks.

Most events need neither and pass untouched. The one rule: who does not answer makes nobody suspicious; what was decided
is part of the event's own bytes, as if it had been known from the start.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Final

import structlog

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary.event.v1.event_pb2 import Event
from tributary.event.v1.verdict_pb2 import VERDICT_ACCEPTED, VERDICT_QUARANTINED
from tributary_domain.human_check import REUSED, Checked, HumanVerdict
from tributary_domain.reasons import Reason, ReasonCode
from tributary_ingestion.human_checks import HumanChecks
from tributary_ingestion.packed import Packed
from tributary_ingestion.reasons import to_messages
from tributary_ingestion.workspace_rules import WorkspaceRules
from tributary_runtime import metrics
from tributary_runtime.clock import Clock
from tributary_runtime.errors import TributaryError
from tributary_storage.redis.velocity import Velocity

log = structlog.get_logger(__name__)

_REST_SECONDS: Final = 1.0
"""How long counters that did not answer are left alone: a Redis that hangs must not slow every conversion down."""

_PROVIDERS_SHARE: Final = 0.5
"""Of the time that the caller still waits."""

_FAILED: Final = Reason(ReasonCode.HUMAN_CHECK_FAILED, "human_check.token", "The provider says that it was no human.")
_REUSED: Final = Reason(
    ReasonCode.HUMAN_CHECK_REUSED,
    "human_check.token",
    "The token has vouched for as many conversions as it may, those of one order counted once: ask the person again.",
)
_UNVERIFIED: Final = Reason(
    ReasonCode.HUMAN_CHECK_UNVERIFIED,
    "human_check.token",
    "The token could not be verified: its provider is not declared, or did not answer. Taken as it is.",
)


class Fraud:
    """Asks, and adds what was answered.

    Args:
        velocity: The counters.
        checks: The way to the providers.
        clock: Ages a failure.
        timeout_seconds: How long the counters may take.
    """

    def __init__(self, velocity: Velocity, checks: HumanChecks, clock: Clock, timeout_seconds: float) -> None:
        self._velocity = velocity
        self._checks = checks
        self._clock = clock
        self._timeout_seconds = timeout_seconds
        self._rest_until = 0.0

    async def judge(
        self, packed: Sequence[Packed], rules: WorkspaceRules, remaining_seconds: float | None = None
    ) -> Sequence[Packed]:
        """Returns the events as they are after all have answered.

        Args:
            packed: As intake packed them.
            rules: Of their workspace.
            remaining_seconds: How long the caller still waits, of which providers get half; `None`: for ever.
        """
        counted = [at for at, one in enumerate(packed) if one.counts]
        checked = [at for at, one in enumerate(packed) if one.token is not None]
        if not counted and not checked:
            return packed
        if not checked:
            bursts, answers = await self._count([packed[at] for at in counted]), list[Checked]()
        elif not counted:
            bursts = list[Reason | None]()
            answers = await self._verify([packed[at] for at in checked], rules, remaining_seconds)
        else:
            bursts, answers = await asyncio.gather(
                self._count([packed[at] for at in counted]),
                self._verify([packed[at] for at in checked], rules, remaining_seconds),
            )
        judged = list(packed)
        for at, reason in zip(counted, bursts, strict=True):
            if reason is not None:
                judged[at] = _quarantine(judged[at], reason)
        for at, answer in zip(checked, answers, strict=True):
            judged[at] = _with_check(judged[at], answer)
        return judged

    async def _count(self, packed: Sequence[Packed]) -> list[Reason | None]:
        """Returns per event why it is one too many, if it is."""
        nothing: list[Reason | None] = [None] * len(packed)
        if self._clock.monotonic_seconds() < self._rest_until:
            metrics.VELOCITY_CHECKS.add(len(packed), outcome=metrics.VelocityOutcome.UNANSWERED)
            return nothing
        try:
            async with asyncio.timeout(self._timeout_seconds):
                exceeded = iter(await self._velocity.exceeded([count for one in packed for count in one.counts]))
        except (TributaryError, TimeoutError) as error:
            self._rest_until = self._clock.monotonic_seconds() + _REST_SECONDS
            metrics.VELOCITY_CHECKS.add(len(packed), outcome=metrics.VelocityOutcome.UNANSWERED)
            log.warning("velocity_unanswered", problem=type(error).__name__)
            return nothing
        found: list[Reason | None] = []
        outcomes: Counter[metrics.VelocityOutcome] = Counter()
        for one in packed:
            answers = [(next(exceeded), count.reason) for count in one.counts]
            burst = next((reason for is_exceeded, reason in answers if is_exceeded), None)
            found.append(burst)
            if burst is not None:
                outcomes[metrics.VelocityOutcome.EXCEEDED] += 1
            elif any(is_exceeded is None for is_exceeded, _ in answers):
                outcomes[metrics.VelocityOutcome.UNANSWERED] += 1
            else:
                outcomes[metrics.VelocityOutcome.PASSED] += 1
        for outcome, events in outcomes.items():
            metrics.VELOCITY_CHECKS.add(events, outcome=outcome)
        return found

    async def _verify(
        self, packed: Sequence[Packed], rules: WorkspaceRules, remaining_seconds: float | None
    ) -> list[Checked]:
        tokens = [one.token for one in packed if one.token is not None]
        within_seconds = None if remaining_seconds is None else max(remaining_seconds * _PROVIDERS_SHARE, 0.0)
        return await self._checks.verify(tokens, rules.verifiers, within_seconds)


def _with_check(packed: Packed, checked: Checked) -> Packed:
    learned = AdmittedEvent(event=Event())
    check = learned.event.human_check
    check.verdict = int(checked.verdict)  # type: ignore[assignment]  # the same numbers
    if checked.score_percent is not None:
        check.score_percent = checked.score_percent
    packed = packed._replace(admitted=packed.admitted + learned.SerializeToString(), token=None)
    if checked.verdict is HumanVerdict.BOT:
        return _quarantine(packed, _FAILED)
    if checked.fault == REUSED:
        return _quarantine(packed, _REUSED)
    if checked.verdict is HumanVerdict.UNKNOWN:
        added = AdmittedEvent(reasons=to_messages([_UNVERIFIED])).SerializeToString()
        return packed._replace(reasons=[*packed.reasons, _UNVERIFIED], admitted=packed.admitted + added)
    return packed


def _quarantine(packed: Packed, reason: Reason) -> Packed:
    """Quarantines an event that is packed: fields written again replace what was written, or add to it."""
    if packed.verdict not in (VERDICT_ACCEPTED, VERDICT_QUARANTINED):
        return packed
    added = AdmittedEvent(verdict=VERDICT_QUARANTINED, reasons=to_messages([reason])).SerializeToString()
    return packed._replace(
        verdict=VERDICT_QUARANTINED, reasons=[reason, *packed.reasons], admitted=packed.admitted + added
    )
