"""Reads answers: values that may be anything, and the outcome that an error code of the destination's own comes to."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Final

from tributary.delivery.v1.delivery_pb2 import OutcomeClass
from tributary_delivery.destinations.adapter import Answer
from tributary_delivery.destinations.destination import OK, RETRY, THROTTLED, Outcome
from tributary_delivery.destinations.usual_answers import retry_after_seconds

_ID_CHARACTERS: Final = 128
_FIELD_NAME: Final = re.compile(r"/?[A-Za-z_][A-Za-z0-9_]*(?:(?:\.|/|\[)[A-Za-z0-9_]+\]?){0,8}", re.ASCII)


def outcome_of(
    kind: OutcomeClass.ValueType,
    answer: Answer,
    why: str,
    request_id: str = "",
    *,
    wait: float = 0.0,
    is_untaken: bool = False,
    is_answer: bool = True,
) -> Outcome:
    """Returns what an error comes to that the destination has a code for.

    Args:
        kind: Its class. What is to be sent again as it is may have been taken, unless `is_untaken`; of all else nothing
            was.
        answer: With its status, and the pause that it asks for.
        why: Codes only: a destination's own texts may repeat what was sent.
        request_id: The destination's id of the request.
        wait: Seconds to wait where no header says otherwise.
        is_untaken: Whether it is certain that nothing was taken, though it is to be sent again: it was refused for now.
        is_answer: Whether it shows that the destination works, if its status does.
    """
    if kind in {RETRY, THROTTLED}:
        wait = retry_after_seconds(answer.headers.get("retry-after", ""), answer.now_seconds) or wait
    is_untaken = is_untaken or kind not in {OK, RETRY}
    return Outcome(kind, answer.status, why, wait, request_id, is_untaken=is_untaken, is_answer=is_answer)


def mapping_of(value: object) -> Mapping[str, Any]:
    """Returns a JSON object; an empty one where there is none."""
    return value if isinstance(value, Mapping) else {}


def objects_of(value: object) -> list[Mapping[str, Any]]:
    """Returns the elements of a JSON list; what is no object is an empty one, so that places stay."""
    return [mapping_of(one) for one in value] if isinstance(value, list) else []


def field_names(*said: object) -> str:
    """Returns the names of fields that an error is about, at most five; what may be anything else is left out.

    >>> field_names("user.phone[0]", ["/conversionHappenedAt", "ann@example.com"], 7, "49171")
    'user.phone[0] /conversionHappenedAt'
    """
    listed = [one for some in said for one in (some if isinstance(some, list) else [some])]
    names = [one for one in listed if isinstance(one, str) and _FIELD_NAME.fullmatch(one)]
    return " ".join(dict.fromkeys(names[:5]))


def number_of(value: object) -> int:
    """Returns a whole number, also where it stands in a text; 0 where there is none."""
    if isinstance(value, str):
        return int(value[:18]) if value.isascii() and value.isdigit() else 0
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def text_of(value: object) -> str:
    """Returns a short text, such as a code or an id; "" where there is none."""
    return value[:_ID_CHARACTERS] if isinstance(value, str) else ""
