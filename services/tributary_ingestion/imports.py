"""What is imported beside events: spend, deals, exchange rates. Checked, compared with what is known, stored.

The one rule: a statement that is sent again changes nothing, whatever became of the first attempt. Nothing here waits
for the event log: what is imported is read from ClickHouse, so ClickHouse acknowledges it.
"""

from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from typing import Final, NamedTuple, TypeVar
from zoneinfo import available_timezones

from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.ingestion.v1.deal_pb2 import Deal
from tributary.ingestion.v1.exchange_rate_pb2 import ExchangeRate
from tributary.ingestion.v1.import_result_pb2 import ImportOutcome as Outcome
from tributary.ingestion.v1.import_result_pb2 import ImportResult
from tributary.ingestion.v1.spend_pb2 import SpendSlice
from tributary_domain.deal_creators import kept_creators, stored_creator
from tributary_domain.deals import check_deal
from tributary_domain.exchange_rates import check_rate
from tributary_domain.import_outcomes import ImportOutcome, outcome_of
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.spend import check_slice
from tributary_ingestion.placeholders import settle_deal
from tributary_ingestion.reasons import to_messages
from tributary_ingestion.spend_words import settle_words
from tributary_ingestion.workspace_rules import WorkspaceRules
from tributary_storage.clickhouse import import_rows
from tributary_storage.clickhouse.imports import Imports, Known, Subject
from tributary_storage.clickhouse.names import micros

_NUMBERS: Final = {outcome: Outcome.Value(f"IMPORT_OUTCOME_{outcome}") for outcome in ImportOutcome}
_UNKNOWN: Final = Known(0, {})
_DIFFERS: Final = Reason(
    ReasonCode.STATEMENT_DIFFERS,
    "",
    "Another statement of the same time is known and stays; state the change with a later time.",
)

_CONTACT: Final = import_rows.DEAL_COLUMNS.index("contact_token")
_CREATOR: Final = import_rows.DEAL_STATE_COLUMNS.index("created_by")

_MAX_REASONS: Final = 100
"""Of one statement: a slice of ten thousand bad rows is mended row by row."""

_Stated = TypeVar("_Stated", SpendSlice, Deal, ExchangeRate)
_Row = TypeVar("_Row")


class _Statement(NamedTuple):
    """One statement, as far as it matters whether it is known."""

    stated_micros: int
    subjects: Sequence[Subject]
    content: Hashable
    likewise: Collection[Hashable] = ()
    """As what the same content may be kept, too: by an earlier release, or while the workspace declared otherwise."""


class Importing:
    """Takes imports.

    Args:
        imports: Where they are kept.
    """

    def __init__(self, imports: Imports) -> None:
        self._imports = imports
        self._is_time_zone = available_timezones().__contains__

    async def spend(
        self, slices: Sequence[SpendSlice], rules: WorkspaceRules, now_micros: int, *, validate_only: bool
    ) -> list[ImportResult]:
        """Returns what became of each slice.

        Raises:
            StorageUnavailableError: Unknown; import the same again.
        """
        problems = [check_slice(spend, now_micros, self._is_time_zone) for spend in slices]
        good = _without_problems(slices, problems)
        formerly = [] if validate_only else [import_rows.slice_digest(spend) for spend in good]
        warnings = [[] if found else settle_words(spend) for spend, found in zip(slices, problems, strict=True)]
        if validate_only or not good:
            return _warned(_checked(problems), warnings)
        known = await self._imports.known_spend(rules.workspace_id, good)
        ordered = [import_rows.in_order(spend) for spend in good]
        outcomes = _decide(map(_of_slice, ordered, formerly), known)
        await self._imports.write_spend(rules.workspace_id, _to_store(ordered, outcomes))
        return _warned(_results(problems, outcomes), warnings)

    async def deals(
        self, deals: Sequence[Deal], rules: WorkspaceRules, now_micros: int, *, validate_only: bool
    ) -> list[ImportResult]:
        """Returns what became of each state of a deal.

        Raises:
            StorageUnavailableError: Unknown; import the same again.
        """
        problems = [check_deal(deal, now_micros) for deal in deals]
        warnings = [[] if found else settle_deal(deal) for deal, found in zip(deals, problems, strict=True)]
        good = _without_problems(deals, problems)
        if validate_only or not good:
            return _warned(_checked(problems), warnings)
        rows = [
            (rules.workspace_id, deal.system, deal.deal_id, micros(deal.modify_time), *_deal_state(deal, rules))
            for deal in good
        ]
        likewise = [_kept_states(row[4:], deal, rules) for row, deal in zip(rows, good, strict=True)]
        subjects, times = [row[1:3] for row in rows], [row[3] for row in rows]
        known = await self._imports.known_deals(rules.workspace_id, subjects, times)
        new = [row for row in rows if row[1:3] not in known]  # of the others somebody was erased, or it is nobody's
        erased = await self._imports.of_erased(rules.workspace_id, new, rules.deal_key)
        stated = [_Statement(row[3], [row[1:3]], row[4:], kept) for row, kept in zip(rows, likewise, strict=True)]
        outcomes = _decide(stated, known)
        contacts = [row[_CONTACT] for row in rows]
        until = await self._imports.erased_until(rules.workspace_id, {contact for contact in contacts if contact})
        outcomes = [  # of somebody who was erased nothing comes back
            ImportOutcome.DUPLICATE
            if row[1:3] in erased or known.get(row[1:3], _UNKNOWN).is_erased or row[3] <= until.get(contact, -1)
            else outcome
            for row, contact, outcome in zip(rows, contacts, outcomes, strict=True)
        ]
        await self._imports.write_deals(_to_store(rows, outcomes))
        return _warned(_results(problems, outcomes), warnings)

    async def exchange_rates(
        self, rates: Sequence[ExchangeRate], rules: WorkspaceRules, now_micros: int, *, validate_only: bool
    ) -> list[ImportResult]:
        """Returns what became of each rate.

        Raises:
            StorageUnavailableError: Unknown; import the same again.
        """
        problems = [check_rate(rate, now_micros) for rate in rates]
        good = _without_problems(rates, problems)
        if validate_only or not good:
            return _checked(problems)
        known = await self._imports.known_rates(rules.workspace_id, good)
        outcomes = _decide([_of_rate(rate) for rate in good], known)
        await self._imports.write_rates(rules.workspace_id, _to_store(good, outcomes))
        return _results(problems, outcomes)


def _of_slice(spend: SpendSlice, formerly: bytes) -> _Statement:
    """Returns what a slice states, given as it is stored now and the digest of it as it was sent, as it was known."""
    days = [(spend.destination, spend.account_id, day) for day in import_rows.days_of(spend)]
    return _Statement(micros(spend.reported_at_time), days, import_rows.slice_digest(spend), (formerly,))


def _of_rate(rate: ExchangeRate) -> _Statement:
    return _Statement(micros(rate.publish_time), [import_rows.rate_key(rate)], (rate.rate_picos, rate.source))


def _deal_state(deal: Deal, rules: WorkspaceRules) -> import_rows.Row:
    contact = _token(rules, Identifiers(email_sha256=deal.contact_email_sha256))
    token, is_own = rules.redaction_token, rules.is_own_creator
    return import_rows.deal_state(deal, contact, stored_creator(deal.created_by, _email_token(rules), token, is_own))


def _kept_states(state: import_rows.Row, deal: Deal, rules: WorkspaceRules) -> set[import_rows.Row]:
    """Returns all as what a state of a deal may be stored that is stored as `state` today.

    What is kept of its creator depends on what was declared when it came: that is no other statement.
    """
    kept = kept_creators(deal.created_by, rules.identification.email_token, rules.redaction_token)
    return {(*state[:_CREATOR], created_by, *state[_CREATOR + 1 :]) for created_by in kept}


def _email_token(rules: WorkspaceRules) -> Callable[[str], str]:
    return lambda email: _token(rules, Identifiers(email=email))


def _token(rules: WorkspaceRules, identifiers: Identifiers) -> str:
    """Returns the identity token of an identifier; empty if there is none, or it stands for nobody."""
    return next(iter(rules.identification.identify(identifiers).tokens), "")


def _decide(statements: Iterable[_Statement], known: dict[Subject, Known]) -> list[ImportOutcome]:
    """Decides on statements in order, each knowing those before it."""
    outcomes = []
    for stated, subjects, content, likewise in statements:
        about = [_as_now(known.get(subject, _UNKNOWN), stated, content, likewise) for subject in subjects]
        outcome = outcome_of(stated, content, [one.contents for one in about], [one.newest_micros for one in about])
        outcomes.append(outcome)
        if outcome in (ImportOutcome.STORED, ImportOutcome.OUTDATED):
            for subject, before in zip(subjects, about, strict=True):
                contents = {**before.contents, stated: content}
                known[subject] = Known(max(before.newest_micros, stated), contents, before.is_erased)
    return outcomes


def _as_now(known: Known, stated: int, content: Hashable, likewise: Collection[Hashable]) -> Known:
    """Returns what is known of a subject as it would be kept now."""
    if known.contents.get(stated) not in likewise:
        return known
    return known._replace(contents={**known.contents, stated: content})


def _without_problems(stated: Sequence[_Stated], problems: Sequence[Sequence[Reason]]) -> list[_Stated]:
    return [one for one, found in zip(stated, problems, strict=True) if not found]


def _to_store(stated: Sequence[_Row], outcomes: Sequence[ImportOutcome]) -> list[_Row]:
    stored = (ImportOutcome.STORED, ImportOutcome.OUTDATED)
    return [one for one, outcome in zip(stated, outcomes, strict=True) if outcome in stored]


def _checked(problems: Iterable[Sequence[Reason]]) -> list[ImportResult]:
    return [_result(ImportOutcome.REJECTED if found else ImportOutcome.VALID, found) for found in problems]


def _results(problems: Iterable[Sequence[Reason]], outcomes: Iterable[ImportOutcome]) -> list[ImportResult]:
    """Puts the decisions on what was good in between what was not."""
    decided = iter(outcomes)
    results = []
    for found in problems:
        outcome = ImportOutcome.REJECTED if found else next(decided)
        results.append(_result(outcome, [_DIFFERS] if outcome is ImportOutcome.CONFLICT else found))
    return results


def _warned(results: list[ImportResult], warnings: Iterable[Sequence[Reason]]) -> list[ImportResult]:
    for result, told in zip(results, warnings, strict=True):
        result.reasons.extend(to_messages(told[:_MAX_REASONS]))
    return results


def _result(outcome: ImportOutcome, reasons: Sequence[Reason]) -> ImportResult:
    return ImportResult(outcome=_NUMBERS[outcome], reasons=to_messages(reasons[:_MAX_REASONS]))
