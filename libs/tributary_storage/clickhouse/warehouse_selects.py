"""The statements that select the rows of a warehouse's tables, of one batch.

The one rule: what a batch holds, and nothing that may differ from one time to the next, decides every byte: rows come
in the order of their key, no column tells when or by whom a file was written.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tributary_domain.warehouse_tables import TABLES, WITHDRAWALS, Column, ColumnKind, WarehouseTable
from tributary_storage.clickhouse.credit_columns import MODELS, UNATTRIBUTED
from tributary_storage.clickhouse.report_sources import DATA_DRIVEN, indented, listed

_BATCH: Final = """workspace = %(workspace)s
    AND destination_id = %(destination_id)s
    AND batch_id = %(batch_id)s"""

_KEYS: Final = f"""(
    SELECT
        key.1,
        key.2
    FROM
    (
        SELECT arrayJoin(arrayZip(conversion_ids, revisions)) AS key
        FROM warehouse_batches FINAL
        WHERE {indented(indented(_BATCH)).strip()}
    )
)"""  # noqa: S608 - names of ours

_IDS: Final = f"""(
    SELECT arrayJoin(conversion_ids)
    FROM warehouse_batches FINAL
    WHERE {indented(_BATCH).strip()}
)"""  # noqa: S608 - names of ours

_OWN: Final = f"""SELECT
    *,
    revision AS posted_revision,
    1 AS sign
FROM conversion_revisions FINAL
WHERE workspace = %(workspace)s
    AND (conversion_id, revision) GLOBAL IN
    {indented(_KEYS).strip()}"""  # noqa: S608 - names of ours

_TAKEN_IN: Final = f"""(
    SELECT
        key.1,
        key.2
    FROM
    (
        SELECT arrayJoin(arrayZip(conversion_ids, revisions, replaced)) AS key
        FROM warehouse_batches FINAL
        WHERE {indented(indented(_BATCH)).strip()}
            AND notEmpty(replaced)
    )
    WHERE key.2 = key.3
)"""  # noqa: S608 - names of ours

_CHAIN: Final = f"""(
    SELECT
        key.1 AS conversion_id,
        key.2 AS revision,
        key.3 AS replaced,
        is_told
    FROM
    (
        SELECT
            notEmpty(replaced) AS is_told,
            arrayJoin(arrayZip(conversion_ids, revisions, if(is_told, replaced, revisions))) AS key
        FROM warehouse_batches FINAL
        WHERE {indented(indented(_BATCH)).strip()}
    )
)"""  # noqa: S608 - names of ours

_REPLACED: Final = f"""SELECT
    replaced.* EXCEPT (revision, posting_date),
    successor.revision AS revision,
    successor.posting_date AS posting_date,
    replaced.revision AS posted_revision,
    -1 AS sign
FROM conversion_revisions AS replaced FINAL
GLOBAL INNER JOIN
(
    SELECT
        own.conversion_id AS conversion_id,
        if(chain.is_told, chain.replaced, own.previous_revision) AS replaced_revision,
        own.revision AS revision,
        own.posting_date AS posting_date
    FROM
    (
        SELECT
            conversion_id,
            previous_revision,
            revision,
            posting_date
        FROM conversion_revisions FINAL
        WHERE workspace = %(workspace)s
            AND (conversion_id, revision) GLOBAL IN
            {indented(indented(indented(_KEYS))).strip()}
    ) AS own
    GLOBAL INNER JOIN
    {indented(_CHAIN).strip()} AS chain ON chain.conversion_id = own.conversion_id AND chain.revision = own.revision
    WHERE replaced_revision < own.revision
) AS successor ON replaced.conversion_id = successor.conversion_id AND replaced.revision = successor.replaced_revision
WHERE replaced.workspace = %(workspace)s
    AND replaced.conversion_id GLOBAL IN
    {indented(_IDS).strip()}"""  # noqa: S608 - names of ours

_JOINED_TEXTS: Final = frozenset({"causes", "coupon_codes"})
"""Lists that are one text, with commas: not every warehouse has lists."""

_TOUCH_COLUMNS: Final = {
    "touch_kind": "touch_kinds",
    "channel": "touch_channels",
    "sub_channel": "touch_sub_channels",
    "source": "touch_sources",
    "medium": "touch_mediums",
    "campaign": "touch_campaigns",
    "campaign_id": "touch_campaign_ids",
    "ad_destination": "touch_ad_destinations",
    "ad_account_id": "touch_ad_account_ids",
    "ad_campaign_id": "touch_ad_campaign_ids",
}

_SHARES: Final = {
    "model": "share.1",
    "position": "toInt64(part.1)",
    "touch_id": "touch_event_ids[part.1]",
    "touch_time": "if(part.1 > length(touch_event_ids), conversion_time, touch_times[part.1])",
    **{name: f"{column}[part.1]" for name, column in _TOUCH_COLUMNS.items()},
    "channel": f"if(part.1 > length(touch_event_ids), '{UNATTRIBUTED}', touch_channels[part.1])",
    "unattributed_reason": "if(touch_event_ids[part.1] = '', share.4, '')",
}

_CREDITS: Final = {**_SHARES, "credit_micros": "toInt64(part.2)", "value_micros": "part.3"}

_POSTINGS: Final = {
    **_SHARES,
    "credit_micros": "toInt64(part.2) * sign",
    "value_micros": "if(value_pending, 0, part.3) * sign",
}

_WITHDRAWALS: Final = f"""SELECT
    workspace,
    arrayJoin(conversion_ids) AS conversion_id,
    freeze_time AS withdraw_time,
    batch_id
FROM warehouse_batches FINAL
WHERE {_BATCH.strip()}"""  # noqa: S608 - names of ours


def rows_of(table: str) -> str:
    """Returns the SELECT of a table's rows of one batch, with its columns in their order.

    Args:
        table: `WarehouseTable`, or `WITHDRAWALS`.
    """
    match table:
        case WarehouseTable.CREDITS:
            body = _spread(table, _OWN, _CREDITS)
        case WarehouseTable.POSTINGS:
            both = f"{_own_posted()}\nUNION ALL\n{_REPLACED}"
            body = _spread(table, both, _POSTINGS, "counted")
        case _ if table == WITHDRAWALS:
            body = _WITHDRAWALS
        case _:
            body = _select(table, _OWN, {})
    order = [f"ORDER BY\n{listed(TABLES[table].key)}"]
    if table == WarehouseTable.CONVERSIONS:  # the newest of the batch
        order = ["ORDER BY\n    conversion_id,\n    revision DESC\nLIMIT 1 BY conversion_id"]
    return "\n".join([body, *order])


def _own_posted() -> str:
    """Returns the batch's revisions that post something, their columns in the order of those they replace."""
    own = _OWN.replace(
        "    *,\n    revision AS posted_revision,",
        "    * EXCEPT (revision, posting_date),\n    revision,\n    posting_date,\n    revision AS posted_revision,",
    )
    return f"{own}\n    AND (conversion_id, revision) GLOBAL NOT IN\n    {indented(_TAKEN_IN).strip()}"


def _spread(table: str, source: str, told: Mapping[str, str], condition: str = "") -> str:
    """Returns a row per model and touch that earned something."""
    shares = ",\n".join(indented(_share(model)) for model in MODELS)
    parts = "arrayZip(arrayEnumerate(share.2), share.2, share.3)"
    where = f"\nWHERE {condition}" if condition else ""
    lines = f"""SELECT
    *,
    arrayJoin(
    [
{indented(shares)}
    ]) AS share,
    arrayJoin(arrayFilter(one -> one.2 != 0 OR one.3 != 0, {parts})) AS part
FROM
(
{indented(source)}
){where}"""  # noqa: S608 - names of ours
    return _select(table, lines, told)


def _share(model: str) -> str:
    credit, value = f"{model}_credit_micros", f"{model}_value_micros"
    if model != DATA_DRIVEN:
        return f"('{model}', {credit}, {value}, {model}_unattributed_reason::String)"
    # Where there was no model, nobody earned it: one more element, as in reports.
    lacks = f"counted AND empty({credit})"
    none = "length(touch_event_ids)"
    return (
        f"('{model}',"
        f" if({lacks}, arrayPushBack(arrayResize([]::Array(Int32), {none}), 1000000), {credit}),"
        f" if({lacks}, arrayPushBack(arrayResize([]::Array(Int64), {none}), value_micros), {value}),"
        f" if({lacks}, 'NO_MODEL', {model}_unattributed_reason::String))"
    )


def _select(table: str, source: str, told: Mapping[str, str]) -> str:
    columns = listed([_told(column, told) for column in TABLES[table].columns])
    return f"SELECT\n{columns}\nFROM\n(\n{indented(source)}\n)"


def _told(column: Column, told: Mapping[str, str]) -> str:
    name = column.name
    if name == "batch_id":
        return "%(batch_id)s AS batch_id"
    if name in told:
        return f"{told[name]} AS {name}"
    if name in _JOINED_TEXTS:
        return f"arrayStringConcat({name}, ',') AS {name}"
    if column.kind is ColumnKind.WHOLE:  # most warehouses know no unsigned numbers
        return f"toInt64({name}) AS {name}"
    return name
