"""Sessions: activity without a gap of the timeout, never cut by midnight or by a new source.

A session is a pure function of the person's events in event order, so a late event may join two sessions or begin one
earlier. Its id is the caller's session id where the first event has one, else the first event's hash: stable unless an
event before that first one arrives.
"""

from collections.abc import Sequence

from tributary_domain.journey import ON_SITE_KINDS, JourneyTouch


def session_ids(entries: Sequence[JourneyTouch], timeout_micros: int) -> list[int]:
    """Returns the session of each entry.

    A gap of exactly the timeout starts a new session. Where callers name sessions (two devices of one person at
    the same time), entries with different names are apart, and an entry without a name joins the one active last.
    A name that is used again after the timeout is a new session all the same.

    Args:
        entries: In event order.
        timeout_micros: The shortest gap that ends a session.

    Returns:
        One number per entry; 0 where it happened off site and belongs to no session.
    """
    for entry in entries:
        if entry[7]:
            return _named_session_ids(entries, timeout_micros)
    ids = []
    current = 0
    end = 0
    for entry in entries:
        if entry[2] not in ON_SITE_KINDS:
            ids.append(0)
            continue
        time = entry[0]
        if not current or time - end >= timeout_micros:
            current = entry[1] or 1
        end = time
        ids.append(current)
    return ids


def _named_session_ids(entries: Sequence[JourneyTouch], timeout_micros: int) -> list[int]:
    """Does the same where at least one entry carries the caller's session id."""
    ids = []
    end_of: dict[int, int] = {}  # our session -> its last activity
    ours_of: dict[int, int] = {}  # the caller's session -> our newest session under that name
    named: set[int] = set()  # our sessions that a caller has named
    latest = 0
    for entry in entries:
        if entry.kind not in ON_SITE_KINDS:
            ids.append(0)
            continue
        time, name = entry.event_time_micros, entry.session
        is_open = latest != 0 and time - end_of[latest] < timeout_micros
        if not name:
            current = latest if is_open else entry.event_hash or 1
        else:
            known = ours_of.get(name)
            if known is not None and time - end_of[known] < timeout_micros:
                current = known
            elif known is None and is_open and latest not in named:
                current = latest
            else:
                current = name if name not in end_of else entry.event_hash or 1
            ours_of[name] = current
            named.add(current)
        end_of[current] = time
        latest = current
        ids.append(current)
    return ids
