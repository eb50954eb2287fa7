"""Blanks and line ends around an id: a spreadsheet's column or a file's line has them, the order it names has not.

The one rule: what decides which order, lead or refund it is, the conversion's name and the stage too, and what others
know a session, a click, a browser's event or a coupon by, is read without what cannot be seen at its ends. An event id
is the caller's own text, and stays as it was sent.
"""

from typing import Final

from tributary_domain import texts

_BLANKS: Final = "".join(filter(str.isspace, map(chr, range(0x3001)))) + "\0\u200b\u200c\u200d\u2060\ufeff\u00ad"
"""Every blank and line end that there is, and what has no width."""

_IDS: Final = tuple(
    (group, tuple(map(group.names.index, names)))
    for group, names in (
        (texts.EVENT, ("session_id",)),
        (texts.TOUCHPOINT, ("interaction_id", "coupon_code")),
        (texts.CONVERSION, ("name", "order_id", "store", "pixel_event_id")),
        (texts.RECURRENCE, ("subscription_id", "cycle")),
        (texts.LEAD, ("lead_id", "root_order_id", "stage")),
        (texts.ADJUSTMENT, ("conversion_name", "store", "order_id", "conversion_id", "adjustment_id", "cycle")),
    )
)


def bare(text: str) -> str:
    r"""Returns an id without blanks and line ends around it; those within it are part of it.

    >>> bare("\ufeff1001 \r\n"), bare("A 7")
    ('1001', 'A 7')
    """
    return text.strip(_BLANKS)


def blank_ended(readings: texts.Readings) -> list[tuple[texts.TextGroup, int]]:
    """Returns each id (group, position) of an event that has a blank or a line end around it."""
    return [
        (group, at)
        for group, ids in _IDS
        if group in readings
        for at in ids
        if (value := readings[group][0][at]) and len(bare(value)) < len(value)
    ]
