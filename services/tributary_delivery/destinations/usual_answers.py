"""What a status means at every destination that says nothing else."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import Final

from tributary_delivery.destinations.adapter import Answer
from tributary_delivery.destinations.destination import CONFIG, OK, PERMANENT, RETRY, SPLIT, THROTTLED, Outcome

_MOST_RETRY_AFTER_SECONDS: Final = 24 * 3600.0
_REQUEST_TIMEOUT, _TOO_MANY, _SERVER_ERROR = 408, 429, 500
_TOO_LARGE = 413
_MISCONFIGURED: Final = frozenset({401, 403, 404, 405, 410, 426})


def usual(answer: Answer, request_id: str = "") -> Outcome:
    """Returns what an answer comes to by its status alone.

    | status                  | outcome   | certain that nothing was taken |
    |-------------------------|-----------|--------------------------------|
    | 2xx                     | OK        |                                |
    | 408, 5xx                | RETRY     | no                             |
    | 413                     | SPLIT     | yes: less may be taken         |
    | 429                     | THROTTLED | yes                            |
    | 401, 403                | CONFIG    | yes                            |
    | 3xx, 404, 405, 410, 426 | CONFIG    | yes: the address is another    |
    | else                    | PERMANENT | yes                            |
    """
    status, why = answer.status, f"HTTP {answer.status}"
    if 200 <= status < 300:
        return Outcome(OK, status, request_id=request_id)
    if status == _REQUEST_TIMEOUT or status >= _SERVER_ERROR:
        wait = retry_after_seconds(answer.headers.get("retry-after", ""), answer.now_seconds)
        return Outcome(RETRY, status, why, wait, request_id)
    if status == _TOO_MANY:
        wait = retry_after_seconds(answer.headers.get("retry-after", ""), answer.now_seconds)
        return Outcome(THROTTLED, status, why, wait, request_id, is_untaken=True)
    kind = CONFIG if status in _MISCONFIGURED or status < 400 else SPLIT if status == _TOO_LARGE else PERMANENT
    return Outcome(kind, status, why, request_id=request_id, is_untaken=True)


def retry_after_seconds(header: str, now_seconds: int) -> float:
    """Returns what `Retry-After` asks for, seconds or a date; 0 where it is absent or unreadable.

    >>> [retry_after_seconds(header, 50) for header in ("120", "Thu, 01 Jan 1970 00:01:00 GMT", "soon")]
    [120.0, 10.0, 0.0]
    """
    if header.isascii() and header.isdigit():
        return min(float(header[:9]), _MOST_RETRY_AFTER_SECONDS)
    try:
        wait = parsedate_to_datetime(header).timestamp() - now_seconds
    except (TypeError, ValueError, OverflowError):
        return 0.0
    return min(max(0.0, wait), _MOST_RETRY_AFTER_SECONDS)
