"""The methods of `IngestionService` that are not about events: from the contract to `imports` and back."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final

import grpc
from structlog.contextvars import bind_contextvars

from tributary.ingestion.v1.import_result_pb2 import ImportOutcome, ImportResult
from tributary.ingestion.v1.ingestion_service_pb2 import (
    ImportDealsRequest,
    ImportDealsResponse,
    ImportExchangeRatesRequest,
    ImportExchangeRatesResponse,
    ImportSpendRequest,
    ImportSpendResponse,
)
from tributary_domain.spend import MAX_ROWS
from tributary_ingestion.imports import Importing
from tributary_ingestion.peppers import PepperCheck
from tributary_ingestion.quotas import Quotas
from tributary_ingestion.requests import check_count, parse
from tributary_ingestion.room import Room
from tributary_ingestion.workspace_rules import RulesBook, WorkspaceRules
from tributary_runtime.authentication import current_caller
from tributary_runtime.clock import Clock
from tributary_runtime.errors import FieldViolation, InvalidRequestError
from tributary_runtime.interceptors import Access
from tributary_runtime.workspaces import Scope

MAX_SLICES: Final = 100
MAX_STATEMENTS: Final = 1000

_Method = Callable[[bytes, Any], Awaitable[bytes]]
_PREFIX: Final = len("IMPORT_OUTCOME_")


class ImportMethods:
    """Handles imports.

    Args:
        rules: Of every workspace.
        importing: Decides and stores.
        quotas: What a key may send.
        peppers: Whether a workspace's pepper is the one it began with.
        room: For requests, of all workspaces.
        clock: When calls come.
    """

    rules: Mapping[str, Access] = dict.fromkeys(("ImportSpend", "ImportDeals", "ImportExchangeRates"), Scope.INGEST)

    def __init__(
        self, rules: RulesBook, importing: Importing, quotas: Quotas, peppers: PepperCheck, room: Room, clock: Clock
    ) -> None:
        self._rules = rules
        self._importing = importing
        self._quotas = quotas
        self._peppers = peppers
        self._room = room
        self._clock = clock

    def handlers(self) -> dict[str, grpc.RpcMethodHandler[Any, Any]]:
        """Returns the handler of each method."""
        methods = (self.import_spend, self.import_deals, self.import_exchange_rates)
        return {
            name: grpc.unary_unary_rpc_method_handler(self._holding(method))
            for name, method in zip(self.rules, methods, strict=True)
        }

    def _holding(self, method: _Method) -> _Method:
        async def handle(body: bytes, context: Any) -> bytes:
            with self._room.hold(current_caller().workspace_id, len(body)):
                return await method(body, context)

        return handle

    async def import_spend(self, body: bytes, _context: Any) -> bytes:
        """Takes 1-100 slices of spend and answers each, as a serialised `ImportSpendResponse`."""
        await self._quotas.check_bytes(current_caller(), len(body))
        request = parse(ImportSpendRequest, body)
        check_count(request.slices, "slices", MAX_SLICES)
        if sum(len(spend.rows) for spend in request.slices) > MAX_ROWS:
            description = f"Send at most {MAX_ROWS} rows at a time, in fewer slices or slices of fewer days."
            raise InvalidRequestError(description, [FieldViolation("slices", description, "ROWS_OUT_OF_RANGE")])
        results = await self._importing.spend(request.slices, *self._here(), validate_only=request.validate_only)
        return ImportSpendResponse(results=_tell(results)).SerializeToString()

    async def import_deals(self, body: bytes, _context: Any) -> bytes:
        """Takes 1-1000 states of deals and answers each, as a serialised `ImportDealsResponse`."""
        await self._quotas.check_bytes(current_caller(), len(body))
        request = parse(ImportDealsRequest, body)
        check_count(request.deals, "deals", MAX_STATEMENTS)
        rules, now_micros = self._here()
        await self._peppers.require(rules)  # a contact is told by a token
        results = await self._importing.deals(request.deals, rules, now_micros, validate_only=request.validate_only)
        return ImportDealsResponse(results=_tell(results)).SerializeToString()

    async def import_exchange_rates(self, body: bytes, _context: Any) -> bytes:
        """Takes 1-1000 rates and answers each, as a serialised `ImportExchangeRatesResponse`."""
        await self._quotas.check_bytes(current_caller(), len(body))
        request = parse(ImportExchangeRatesRequest, body)
        check_count(request.rates, "rates", MAX_STATEMENTS)
        results = await self._importing.exchange_rates(
            request.rates, *self._here(), validate_only=request.validate_only
        )
        return ImportExchangeRatesResponse(results=_tell(results)).SerializeToString()

    def _here(self) -> tuple[WorkspaceRules, int]:
        """Returns the rules of the caller's workspace, and the time."""
        return self._rules.of(current_caller().workspace_id), self._clock.unix_micros()


def _tell(results: Sequence[ImportResult]) -> Sequence[ImportResult]:
    """Adds what became of the statements to the call's line in the log."""
    tally = Counter(result.outcome for result in results)
    bind_contextvars(
        statements=len(results),
        **{ImportOutcome.Name(outcome)[_PREFIX:].lower(): count for outcome, count in tally.items()},
    )
    return results
