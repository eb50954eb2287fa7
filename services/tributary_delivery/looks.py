"""Writes what a look at the objects has shown to be news; of the others it is known that something newer is there.

The one rule: a look writes nothing, so that whatever comes of it nothing is in doubt. Both requests are of the quota,
and who has looked waits for the place to write: looks alone would take all that there are.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Final

from tributary_delivery.destinations.adapter import Answer, Request, Verdict
from tributary_delivery.destinations.destination import OK, Outcome
from tributary_delivery.destinations.looking import Looking
from tributary_delivery.destinations.unanswered import UNANSWERED, unanswered
from tributary_delivery.turns import Turn

_NEWER: Final = "Nothing was written: it holds a newer conversion."

Ask = Callable[[Request], Awaitable[Answer]]
Write = Callable[[Sequence[bytes]], Awaitable[Verdict]]


async def look_and_write(adapter: Looking, events: Sequence[bytes], turn: Turn, ask: Ask, write: Write) -> Verdict:
    """Returns what became of events.

    Args:
        adapter: Says what is to be looked at.
        events: As it said them.
        turn: Waits for the second request's place, and is kept right before it.
        ask: Makes a request.
        write: Sends events.

    Raises:
        TurnLost: Nothing was written, somebody else may have the jobs.
        PermitsChanged: Nothing was written, some may not leave as they were said.
        PlaceLost: Nothing was written, the quota did not allow it for long.
        UnavailableError: Nothing was written, it must not be waited for that any more, or nobody can tell.
    """
    request = adapter.look(events)
    if request is None:
        return await write(events)
    try:
        answer = await ask(request)
    except UNANSWERED as error:
        return Verdict(replace(unanswered(error), is_untaken=True))
    seen = adapter.seen(events, answer)
    if isinstance(seen, Verdict):
        return seen
    news = [(place, event) for place, event in enumerate(seen) if event is not None]
    known = {place: Outcome(OK, answer.status, _NEWER) for place, event in enumerate(seen) if event is None}
    if not news:
        return Verdict(Outcome(OK, answer.status, _NEWER))
    await turn.next_place()
    await turn.keep()
    verdict = await write([event for _, event in news])
    return Verdict(verdict.whole, known | {news[place][0]: one for place, one in verdict.rows.items()})
