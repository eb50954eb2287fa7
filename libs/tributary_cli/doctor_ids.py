"""What `tributary doctor` says of ids that are somebody's: an order numbered by its buyer's e-mail address."""

from __future__ import annotations

from typing import Final

from tributary_cli.doctor_checks import Check
from tributary_runtime.errors import TributaryError
from tributary_storage.clickhouse.client import connect
from tributary_storage.clickhouse.personal_ids import count_personal_ids

_TIMEOUT_SECONDS: Final = 30.0
_DAYS: Final = 7
_NEXT_STEP: Final = (
    "Let its backends send ids that are nobody's: what tells such an id apart is a digest without a key, and whoever "
    "reads the stores can try addresses against it."
)


async def check_ids(clickhouse_url: str) -> list[Check]:
    """Says which workspaces use addresses or numbers of people as ids; nothing where none does, or nobody can tell."""
    try:
        async with connect(
            clickhouse_url, name="doctor", timeout_seconds=_TIMEOUT_SECONDS, connections=1
        ) as clickhouse:
            found = await count_personal_ids(clickhouse, _DAYS)
    except (TributaryError, ValueError):  # the check of ClickHouse says it
        return []
    return [
        Check(
            f"ids:{workspace}",
            False,
            f"about {events} events of the last {_DAYS} days have an id with an address, a phone number or an agent",
            _NEXT_STEP,
        )
        for workspace, events in found.items()
    ]
