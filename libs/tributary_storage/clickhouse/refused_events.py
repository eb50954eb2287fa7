"""Pages of what was refused or quarantined: nothing vanishes, everything is found again with its reason.

The one rule: a page begins after a key of the table, never at an offset, so that what comes in meanwhile moves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from tributary_storage.clickhouse.client import ClickHouse
from tributary_storage.clickhouse.statements import statement

Key = tuple[Any, ...]
"""Where a row stands; opaque to callers."""

NOBODY: Final = ("",)
EARLIEST_MICROS: Final = -2_208_988_800_000_000
LATEST_MICROS: Final = 10_413_792_000_000_000
"""1900 and 2300: what DateTime64 holds."""

REFUSALS_START: Final[Key] = (LATEST_MICROS, 0, "", 0, 0, 0)
QUARANTINED_START: Final[Key] = (LATEST_MICROS, "")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which rows."""

    workspace: str
    start_micros: int = EARLIEST_MICROS
    end_micros: int = LATEST_MICROS
    """Not included."""
    event_ids: Sequence[str] = ()
    """None: any."""
    reason_codes: Sequence[str] = ()
    """One of them suffices; none: any."""
    verdicts: Sequence[str] = ("CONFLICT", "REJECTED")
    """Of refusals."""
    conversion_names: Sequence[str] = ()
    """Of quarantined events: which conversions and adjustments; none: any event."""
    rejected: bool | None = None
    """Of quarantined events: whether somebody rejected them; None: whatever."""
    limit: int = 100


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """One refusal."""

    key: Key
    event_id: str
    verdict: str
    reasons: tuple[tuple[str, str, str], ...]
    """Code, field, message."""
    refuse_micros: int
    conversion_id: str
    api_key_id: str
    payload_digest: bytes
    admitted: bytes


@dataclass(frozen=True, slots=True)
class QuarantinedRow:
    """One quarantined event."""

    key: Key
    event_id: str
    accept_micros: int
    conversion_id: str
    api_key_id: str
    payload_digest: bytes
    admitted: bytes


class RefusedEvents:
    """Reads pages. Every method raises `StorageUnavailableError` if ClickHouse does not answer.

    Args:
        clickhouse: Where the events are.
    """

    def __init__(self, clickhouse: ClickHouse) -> None:
        self._clickhouse = clickhouse

    async def refusals(self, wanted: Wanted, after: Key = REFUSALS_START) -> list[RefusedRow]:
        """Returns the next refusals, newest first."""
        names = ("at", "shard", "lane", "milliseconds", "sequence", "index")
        parameters = {**_parameters(wanted), "verdicts": tuple(wanted.verdicts), **dict(zip(names, after, strict=True))}
        found = []
        for row in await self._clickhouse.execute(statement("refusals_page"), parameters, raw_strings=True):
            at, shard, lane, milliseconds, sequence, index, event_id, verdict, *rest = row
            codes, fields, messages, conversion_id, api_key_id, payload_digest, admitted = rest
            reasons = [
                (code.decode(), field.decode(), text.decode())
                for code, field, text in zip(codes, fields, messages, strict=True)
            ]
            found.append(
                RefusedRow(
                    key=(at, shard, lane.decode(), milliseconds, sequence, index),
                    event_id=event_id.decode(),
                    verdict=verdict.decode(),
                    reasons=tuple(reasons),
                    refuse_micros=at,
                    conversion_id=conversion_id.decode(),
                    api_key_id=api_key_id.decode(),
                    payload_digest=payload_digest,
                    admitted=admitted,
                )
            )
        return found

    async def quarantined(self, wanted: Wanted, after: Key = QUARANTINED_START) -> list[QuarantinedRow]:
        """Returns the next quarantined events, newest event first."""
        names = {
            "any_name": int(not wanted.conversion_names),
            "conversion_names": tuple(wanted.conversion_names) or NOBODY,
        }
        parameters = {**_parameters(wanted), **names, **dict(zip(("at", "after_id"), after, strict=True))}
        found = []
        for row in await self._clickhouse.execute(statement("quarantined_page"), parameters, raw_strings=True):
            event_micros, event_id, accept_micros, conversion_id, api_key_id, payload_digest, admitted = row
            found.append(
                QuarantinedRow(
                    key=(event_micros, event_id.decode()),
                    event_id=event_id.decode(),
                    accept_micros=accept_micros,
                    conversion_id=conversion_id.decode(),
                    api_key_id=api_key_id.decode(),
                    payload_digest=payload_digest,
                    admitted=admitted,
                )
            )
        return found


def _parameters(wanted: Wanted) -> dict[str, Any]:
    return {
        "workspace": wanted.workspace,
        "start": wanted.start_micros,
        "end": wanted.end_micros,
        "any_state": int(wanted.rejected is None),
        "rejected": int(bool(wanted.rejected)),
        "any_id": int(not wanted.event_ids),
        "event_ids": tuple(wanted.event_ids) or NOBODY,
        "any_reason": int(not wanted.reason_codes),
        "reason_codes": list(wanted.reason_codes or NOBODY),
        "limit": wanted.limit,
    }
