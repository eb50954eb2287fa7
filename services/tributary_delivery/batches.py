"""Many conversions in a request: sent, and the answer read per row. How they are put into words: `wording`.

The one rule: who sends knows no destination, and the destination no HTTP: `destinations.adapter` is all they share.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DeliveryOperation,
)
from tributary_delivery.attempt import Attempt
from tributary_delivery.corrections import as_wished
from tributary_delivery.destinations.adapter import (
    Adapter,
    Answer,
    Home,
    Request,
    Verdict,
)
from tributary_delivery.destinations.destination import CONFIG, PERMANENT, REAUTH, RETRY, SPLIT, UNKNOWN, Outcome
from tributary_delivery.destinations.looking import Looking
from tributary_delivery.destinations.tokens import TokenError, Tokens
from tributary_delivery.destinations.unanswered import UNANSWERED, unanswered
from tributary_delivery.exchange import Exchange
from tributary_delivery.key_consents import KeyConsents
from tributary_delivery.lead_objects import LeadObjects, NameStores
from tributary_delivery.ledger import Memory
from tributary_delivery.looks import look_and_write
from tributary_delivery.match_keys import MatchKeyOpener
from tributary_delivery.sender import Formed
from tributary_delivery.turns import Turn
from tributary_delivery.wording import Wording, group_of
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.clock import Clock
from tributary_storage.redis.delivery_job import Lane

_LEAST_LINGER_SECONDS: Final = 0.2
_MANY_CALLS: Final = 1_000
_UNAUTHORIZED: Final = 401
_REFUSED: Final = "Its access token was refused; another one is tried as soon as the quota allows another call."


class BatchSender:
    """A `Sender` for a destination that takes many conversions in one request.

    Args:
        lane: Which.
        settings: Of the destination.
        adapter: Its language.
        exchange: Calls it.
        tokens: Where access tokens come from.
        opener: Opens match keys.
        consents: Leaves out those that are of people who do not allow it.
        memory: What was sent before, for corrections.
        stores: Where conversions claim by what they are known.
        home_of: Workspace -> where it is.
        clock: Tells time.
    """

    def __init__(
        self,
        lane: Lane,
        settings: BatchDestination,
        adapter: Adapter,
        exchange: Exchange,
        tokens: Tokens,
        opener: MatchKeyOpener,
        consents: KeyConsents,
        memory: Memory,
        stores: NameStores,
        home_of: Callable[[str], Home],
        clock: Clock,
    ) -> None:
        self._lane = lane
        self._settings = settings
        self._adapter = adapter
        self._policy = adapter.policy
        self.is_overtaken = adapter.policy.is_overtaken
        self._exchange = exchange
        self._tokens = tokens
        self._wording = Wording(lane, settings, adapter, opener, consents, memory, stores, home_of, clock)

    @property
    def most_per_call(self) -> int:
        """As many as the destination takes."""
        return self._policy.batch_size

    @property
    def most_calls(self) -> int:
        """One where two could change the same object, or lock the same parent."""
        return 1 if self._settings.has_objects else _MANY_CALLS

    @property
    def linger_seconds(self) -> float:
        """As long as the quota would make the next call wait if they were even."""
        if self._policy.batch_size == 1:
            return 0.0
        return max(_LEAST_LINGER_SECONDS, 60 / self._settings.quota.requests_per_minute)

    @property
    def operations(self) -> frozenset[DeliveryOperation.ValueType]:
        """What the destination can be told."""
        return self._policy.operations

    @property
    def resend_seconds(self) -> float:
        """For how long the destination knows a conversion again."""
        return self._policy.resend_seconds

    def forgets(self, revised: ConversionRevised) -> bool:
        """Tells whether the destination would not know this one again."""
        return self._policy.forgets(revised)

    @property
    def retracts_by_value(self) -> bool:
        """Whether a conversion that is taken back is one of no value there."""
        return self._policy.retracts_by_value

    @property
    def unanswered_seconds(self) -> float:
        """As the settings say."""
        return self._settings.unanswered_seconds

    @property
    def needs_grant(self) -> bool:
        """Whether silence about consent is a refusal."""
        return self._settings.needs_consent_grant

    @property
    def tcf_vendor(self) -> int | None:
        """The destination's number in the list of those that a consent string can name."""
        return self._settings.tcf_vendor

    async def form(self, attempts: Sequence[Attempt]) -> Formed:
        """Says attempts in the destination's language; as many to a call as fit."""
        return await self._wording.form(attempts)

    @property
    def account(self) -> str:
        """Where conversions are known."""
        return self._settings.account

    @property
    def leads(self) -> LeadObjects | None:
        """Names the objects of leads; None: it is no CRM."""
        return self._wording.leads

    def visible_id(self, revised: ConversionRevised, *, with_store: bool = True) -> str:
        """Returns the id by which the destination knows a conversion that it is told of first."""
        return self._wording.visible_id(revised, with_store=with_store)

    async def send(self, call: Sequence[Attempt], turn: Turn) -> Sequence[Outcome]:
        """Makes one request; once more with another token where the first one was refused, if the quota allows it."""
        has_left = False
        try:
            verdict, token = await self._try(call, turn)
            has_left = not verdict.whole.is_unsent
            if verdict.whole.outcome == REAUTH and self._tokens.refuse(token):
                if wait_seconds := await turn.again():
                    refused = Outcome(RETRY, verdict.whole.status_code, _REFUSED, wait_seconds, is_untaken=True)
                    return [refused] * len(call)
                verdict, token = await self._try(call, turn)
                verdict = replace(verdict, whole=replace(verdict.whole, is_unsent=False))  # its first request left
        except TokenError as error:
            return [replace(error.outcome, is_unsent=not has_left)] * len(call)
        if verdict.whole.outcome == REAUTH:
            verdict = Verdict(replace(verdict.whole, outcome=CONFIG, is_untaken=True))
        if (verdict.whole.outcome, verdict.whole.status_code) == (CONFIG, _UNAUTHORIZED):
            self._tokens.refuse(token)  # after the pause another one is asked for: this one may be worth nothing
        if verdict.whole.outcome == PERMANENT and len(call) > 1:  # one may be to blame, and the others are not
            verdict = replace(verdict, whole=replace(verdict.whole, outcome=SPLIT))
        outcomes = [as_wished(one, verdict.of(place)) for place, one in enumerate(call)]
        return [self._sure(one, outcome) for one, outcome in zip(call, outcomes, strict=True)] if call[1:] else outcomes

    def _sure(self, attempt: Attempt, outcome: Outcome) -> Outcome:
        """Returns an outcome: UNKNOWN of what a request in part taken may have created, and is not known again."""
        if outcome.outcome != SPLIT or outcome.is_untaken or attempt.operation != DELIVERY_OPERATION_CREATE:
            return outcome
        is_known_again = self._policy.resend_seconds > 0 and not self.forgets(attempt.revised)
        return outcome if is_known_again else replace(outcome, outcome=UNKNOWN)

    async def _try(self, call: Sequence[Attempt], turn: Turn) -> tuple[Verdict, str]:
        token = await self._token(turn)
        if call[0].is_test:
            trial = self._adapter.trial([call[0].mapped.event], token, "")
            return await self._ask(trial.request, token, lambda answer: Verdict(trial.read(answer))), token
        group, events = group_of(call[0]), [one.event for one in call]

        async def write(told: Sequence[bytes]) -> Verdict:
            request = self._adapter.request(told, token, group)
            return await self._ask(request, token, lambda answer: self._adapter.classify(answer, len(told)))

        if isinstance(self._adapter, Looking):
            look = partial(self._exchange.ask, token=token)
            return await look_and_write(self._adapter, events, turn, look, write), token
        return await write(events), token

    async def _ask(self, request: Request, token: str, read: Callable[[Answer], Verdict]) -> Verdict:
        try:
            return read(await self._exchange.ask(request, token))
        except UNANSWERED as error:
            return Verdict(unanswered(error))

    async def _token(self, turn: Turn) -> str:
        """Returns a token; keeps the turn while it is waited for, which may take longer than a call, and after that."""
        asking = asyncio.create_task(self._tokens.get())
        try:
            while not asking.done():
                await asyncio.wait({asking}, timeout=turn.patience_seconds)
                await turn.hold()
            token = asking.result()
            await turn.keep()  # last of all: a place in the quota that was waited with is over
            return token
        finally:
            asking.cancel()

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._tokens.aclose()
        await self._exchange.aclose()
