"""Tries a destination out: settings, credential, token, whether it is reached, what it answers.

The one rule: nothing is stored or counted, here or there, but the call against the quota, for the destination counts
calls whatever they are for. No message holds a secret.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Final, Protocol

from tributary.delivery.v1.delivery_service_pb2 import TestDestinationResponse
from tributary_delivery.admission import Admission
from tributary_delivery.destinations.adapter import Adapter, Mapped, Trial, Unmappable
from tributary_delivery.destinations.destination import REAUTH, Outcome
from tributary_delivery.destinations.tokens import TokenError, Tokens
from tributary_delivery.destinations.trials import example
from tributary_delivery.destinations.unanswered import UNANSWERED, unanswered
from tributary_delivery.destinations.webhook import Webhook
from tributary_delivery.exchange import Exchange
from tributary_delivery.findings import CREDENTIAL, REACHED, SETTINGS, TOKEN, Findings
from tributary_runtime.batch_destinations import BatchDestination
from tributary_runtime.clock import Clock
from tributary_runtime.destination_settings import DestinationSettings, WebhookDestination
from tributary_runtime.secret_references import SecretReference
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.destination_states import DestinationStates

_CALL_SECONDS: Final = 30.0
"""How long a trial may be the one call that finds out whether a destination answers again."""
_SENDABLE: Final = frozenset(map(chr, range(0x20, 0x7F)))
"""Printable ASCII."""


MayAgain = Callable[[], Awaitable[bool]]
"""Asked before a second call: whether the quota allows it."""


class TrialRun(Protocol):
    """How one destination is tried out, once."""

    async def prepare(self, findings: Findings) -> None:
        """Looks at settings, credential and token; takes what is found."""
        ...

    async def call(self, findings: Findings, may_again: MayAgain) -> None:
        """Makes the call; takes whether it was reached and what it answered."""
        ...

    async def aclose(self) -> None:
        """Closes its connections."""
        ...


class MakeTrialRun(Protocol):
    """How one is made."""

    def trial_run(self, settings: DestinationSettings, code: str) -> TrialRun:
        """Makes one; nothing connects.

        Raises:
            TypeError: There is no such type of destination.
        """
        ...


class DestinationTests:
    """The use case.

    Args:
        make: Makes what tries a destination out.
        states: Where the quota is.
        clock: Measures time.
    """

    def __init__(self, make: MakeTrialRun, states: DestinationStates, clock: Clock) -> None:
        self._make = make
        self._states = states
        self._clock = clock

    async def test(self, lane: Lane, settings: DestinationSettings, code: str) -> TestDestinationResponse:
        """Tries a destination out, paused or not.

        Raises:
            StorageUnavailableError: The quota cannot be asked.
        """
        findings = Findings()
        run = self._make.trial_run(settings, code)
        try:
            await run.prepare(findings)
            if not findings.has_failed:
                admission = Admission(lane, settings, self._states, self._clock, _CALL_SECONDS)
                granted, wait_seconds = await admission.take(1)
                if granted:

                    async def may_again() -> bool:
                        return (await admission.take(1))[0] > 0

                    await run.call(findings, may_again)
                else:
                    seconds = max(1, round(wait_seconds))
                    why = f"Nobody calls it for {seconds} s: its quota is used up, or it has not answered for a while."
                    findings.failed(REACHED, why, "Try again then.")
        finally:
            await run.aclose()
        return findings.response()


class BatchTrialRun:
    """Tries out a destination that takes many conversions in a request.

    Args:
        settings: Of the destination.
        adapter: Its language.
        exchange: Calls it.
        tokens: Where access tokens come from.
        clock: Tells when the example happened.
        code: Of its test view; "": none is given.
    """

    def __init__(
        self,
        settings: BatchDestination,
        adapter: Adapter,
        exchange: Exchange,
        tokens: Tokens,
        clock: Clock,
        code: str,
    ) -> None:
        self._settings = settings
        self._adapter = adapter
        self._exchange = exchange
        self._tokens = tokens
        self._clock = clock
        self._code = code
        self._examples: list[Mapped] = []
        self._token = ""

    async def prepare(self, findings: Findings) -> None:
        """Says an example of every conversion in the destination's language, and gets a token."""
        self._say(findings)
        if not findings.has_failed:
            _look_at_secrets(self._settings, findings)
        if not findings.has_failed:
            await self._get_token(findings)

    def _say(self, findings: Findings) -> None:
        settings, now_micros = self._settings, self._clock.unix_micros()
        names = {mapping.name or ours: ours for ours, mapping in settings.conversions.items()}
        for name, ours in names.items():
            said = self._adapter.event(example(name, ours, now_micros))
            if isinstance(said, Unmappable):
                findings.failed(SETTINGS, f"A conversion {ours!r} could not be said: {said.message or said.reason}")
                return
            self._examples.append(said)
        if not names:
            findings.failed(SETTINGS, "No conversion name is mapped: nothing is ever sent.")
            return
        findings.passed(SETTINGS, _about(settings))

    async def _get_token(self, findings: Findings) -> None:
        try:
            self._token = await self._tokens.get()
        except TokenError as error:
            findings.failed(TOKEN, error.outcome.message)
            return
        oauth = self._settings.oauth
        how = "was given in the settings" if oauth is None else f"was obtained with grant {oauth.grant.value}"
        findings.passed(TOKEN, f"The access token {how}.")

    async def call(self, findings: Findings, may_again: MayAgain) -> None:
        """Makes the request; once more with another token where the first one was refused, if the quota allows it."""
        trial = self._trial()
        try:
            outcome = await self._ask(trial)
            if outcome.outcome == REAUTH and self._tokens.refuse(self._token) and await may_again():
                self._token = await self._tokens.get()
                trial = self._trial()
                outcome = await self._ask(trial)
        except UNANSWERED as error:
            findings.failed(REACHED, unanswered(error).message)
            return
        except TokenError as error:
            self._reached(findings)
            findings.refused_token(error.outcome.message)
            return
        self._reached(findings)
        findings.answered(outcome, trial.shows)

    def _reached(self, findings: Findings) -> None:
        findings.passed(REACHED, f"It answered at {self._tokens.home or self._settings.base_url}.")

    def _trial(self) -> Trial:
        return self._adapter.trial([one.event for one in self._examples], self._token, self._code)

    async def _ask(self, trial: Trial) -> Outcome:
        return trial.read(await self._exchange.ask(trial.request, self._token))

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._tokens.aclose()
        await self._exchange.aclose()


class WebhookTrialRun:
    """Tries out a webhook, with a signed message that is no conversion.

    Args:
        settings: Of the webhook.
        webhook: Calls it.
        clock: Tells when.
    """

    def __init__(self, settings: WebhookDestination, webhook: Webhook, clock: Clock) -> None:
        self._settings = settings
        self._webhook = webhook
        self._clock = clock

    async def prepare(self, findings: Findings) -> None:
        """Looks at the secrets; there is no token."""
        if not self._settings.conversions:
            findings.failed(SETTINGS, "No conversion name is mapped: nothing is ever sent.")
            return
        findings.passed(SETTINGS, _about(self._settings))
        if self._webhook.fault:
            findings.failed(CREDENTIAL, self._webhook.fault)
            return
        findings.passed(CREDENTIAL, "The message can be signed.")
        findings.passed(TOKEN, "A webhook needs none.")

    async def call(self, findings: Findings, may_again: MayAgain) -> None:
        """Posts a message of type `destination.test`."""
        del may_again  # once is enough
        outcome = await self._webhook.try_out(self._clock.unix_micros())
        if not outcome.status_code:
            findings.failed(REACHED, outcome.message)
            return
        findings.passed(REACHED, "It answered at its url.")
        findings.answered(outcome, "a signed message of type destination.test was taken")

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._webhook.aclose()


def _about(settings: DestinationSettings) -> str:
    count = len(settings.conversions)
    paused = "; workspaces.yaml pauses it, so that nothing else is sent" if settings.paused else ""
    return f"{count} conversion name{'s' if count > 1 else ''} can be said{paused}."


def _look_at_secrets(settings: BatchDestination, findings: Findings) -> None:
    """Looks whether secrets can be read, and sent in a header."""
    found = 0
    for name, secret in _secrets(settings):
        try:
            text = secret.reveal()
        except ValueError as error:
            findings.failed(CREDENTIAL, f"{name}: {error}")
            return
        if not _SENDABLE.issuperset(text) or text != text.strip():
            findings.failed(CREDENTIAL, f"{name} holds characters that cannot be sent.")
            return
        found += 1
    findings.passed(CREDENTIAL, f"{found} secret{'s' if found > 1 else ''} can be read.")


def _secrets(settings: BatchDestination) -> Iterator[tuple[str, SecretReference]]:
    for name in type(settings).model_fields:
        value = getattr(settings, name)
        if isinstance(value, SecretReference):
            yield name, value
    if settings.oauth is not None:
        for name in type(settings.oauth).model_fields:
            value = getattr(settings.oauth, name)
            if isinstance(value, SecretReference) and name != "private_key":  # signs, and is not sent
                yield f"oauth.{name}", value
