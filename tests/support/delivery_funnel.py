"""What the funnel says of a destination; it must add up."""

from __future__ import annotations

from typing import Any

from tests.support.delivery import Rig
from tributary_storage.redis.delivery_job import Lane

FUNNEL = (
    *(
        "captured",
        "waiting",
        "without_consent",
        "consented",
        "ineligible",
        "eligible",
        "unsent",
        "sent",
        "accepted",
        "rejected",
    ),
    *("retrying", "withdrawn", "adjusted", "not_correctable"),
    *("reported_taken", "reported_rejected", "reported_unclear", "unreported"),
)
REPORTED_REASONS = ("reported_rejected_reasons", "reported_unclear_reasons")
REASONS = ("ineligible_reasons", "unsent_reasons", "rejected_reasons", "withdrawn_reasons", *REPORTED_REASONS)


async def funnel(rig: Rig, lane: Lane) -> dict[str, Any]:
    """Returns what the funnel has of a destination, over all days, without what is 0; it must add up."""
    columns = ", ".join([*(f"sum({name})" for name in FUNNEL), *(f"sumMap({name})" for name in REASONS)])
    [row] = await rig.clickhouse.execute(
        f"SELECT {columns} FROM bi_delivery_funnel "  # noqa: S608 - names of columns
        "WHERE workspace = %(workspace)s AND destination_id = %(destination)s",
        {"workspace": lane.workspace, "destination": lane.destination},
    )
    found = dict(zip((*FUNNEL, *REASONS), row, strict=True))
    assert found["captured"] == found["waiting"] + found["without_consent"] + found["consented"], found
    assert found["consented"] == found["ineligible"] + found["eligible"], found
    assert found["eligible"] == found["unsent"] + found["sent"], found
    assert found["sent"] == sum(found[name] for name in ("accepted", "rejected", "retrying", "withdrawn")), found
    assert found["accepted"] == sum(found[name] for name in FUNNEL if "reported" in name), found
    for name in REASONS:
        assert sum(found[name].values()) == found[name.removesuffix("_reasons")], found
    return {name: count for name, count in found.items() if count}
