"""The click ids that an event says itself, settled as those in the URL of its page are: bare, and of one line.

The one rule: settled once, here at the door, so that all who read them afterwards, in a stream or in SQL, see the same.
"""

from typing import Final

from tributary.event.v1.event_pb2 import Event
from tributary_domain import texts
from tributary_domain.click_id_proofs import holds_control
from tributary_domain.reasons import Reason, ReasonCode

_MESSAGE: Final = (
    "This click id holds a line break or another control character, which no ad destination writes; taken as not sent. "
    "Send it as it stands in the landing page's URL."
)


def settle_click_ids(event: Event, readings: texts.Readings, found: list[Reason]) -> bool:
    """Takes blanks around click ids off, and those out that hold a control character; for these adds a warning.

    Args:
        event: Ours: it is changed.
        readings: Its texts.
        found: Warnings, to be added to.

    Returns:
        Whether anything was changed, so that `readings` no longer holds.
    """
    clicks = readings.get(texts.CLICK_IDS)
    if clicks is None:
        return False
    is_changed = False
    for name, value in zip(texts.CLICK_IDS.names, clicks[0], strict=True):
        bare = value.strip()
        if holds_control(bare):
            found.append(Reason(ReasonCode.PLACEHOLDER_IGNORED, f"click_ids.{name}", _MESSAGE))
            bare = ""
        if bare != value:
            setattr(event.click_ids, name, bare)
            is_changed = True
    return is_changed
