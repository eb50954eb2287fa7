"""Asks one destination what became of requests.

The one rule: a refusal is never taken for "nothing yet": who is not let in, or asks too often, does not go on asking.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

from tributary_delivery.destinations.destination import CONFIG, REAUTH, RETRY, THROTTLED, Outcome
from tributary_delivery.destinations.reporting import Reporting, RequestReport
from tributary_delivery.destinations.tokens import Tokens
from tributary_delivery.exchange import Exchange

_NOT_LET_IN: Final = frozenset({401, 403})
_NOT_NOW: Final = frozenset({THROTTLED, RETRY})


class ReportsRefusedError(Exception):
    """No report is given now, of no request.

    Args:
        outcome: What the destination said.
    """

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.message)
        self.outcome = outcome


class ReportAsker:
    """Asks one destination.

    Args:
        adapter: Its language.
        exchange: Calls it.
        tokens: Where access tokens come from.
    """

    def __init__(self, adapter: Reporting, exchange: Exchange, tokens: Tokens) -> None:
        self._adapter = adapter
        self._exchange = exchange
        self._tokens = tokens

    async def ask(self, request_id: str, admit_again: Callable[[], Awaitable[None]]) -> RequestReport | None:
        """Returns what became of a request; None: nothing yet, or nobody knows that request.

        Args:
            request_id: The destination's own.
            admit_again: Called before it is asked once more, with another token; raises `ReportsRefusedError`.

        Raises:
            ReportsRefusedError: There is nothing to be had now.
            TokenError: There is no access token now.
            checked_http.UNANSWERED: There is no answer.
        """
        is_renewed = False
        while True:
            token = await self._tokens.get()
            answer = await self._exchange.ask(self._adapter.report_request(request_id), token)
            if 200 <= answer.status < 300:
                return self._adapter.read_report(answer)
            outcome = self._adapter.classify(answer, 0).whole
            if outcome.outcome in _NOT_NOW:
                raise ReportsRefusedError(outcome)
            if outcome.outcome != REAUTH and answer.status not in _NOT_LET_IN:
                return None
            if outcome.outcome != REAUTH or is_renewed or not self._tokens.refuse(token):
                raise ReportsRefusedError(replace(outcome, outcome=CONFIG))
            await admit_again()
            is_renewed = True

    async def aclose(self) -> None:
        """Closes its connections."""
        await self._tokens.aclose()
        await self._exchange.aclose()
