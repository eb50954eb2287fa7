"""What is being said of objects at a destination, by all processes: nothing else may be said of them meanwhile.

The one rule: a request that got no answer holds its object until it cannot be carried out any more. The same content
may be said again before that: it makes no difference which of the two is carried out last. A worked example, for the
deal of one order, where an answer is waited for at most 30 s and what got none may be carried out for 300 s:

    hold "a 2 restate"       0: the request begins
    hold "a 3 restate"       329 s: not yet
    give up "a 2 restate"    it was not answered: held for 300 s from now on
    hold "a 2 restate"       0: the same again; it is answered
    let go "a 2 restate"     the first one may still be carried out: held on, as if the second one had got no answer
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio

from tributary_storage.redis import job_keys
from tributary_storage.redis.delivery_job import Lane
from tributary_storage.redis.refusals import translate
from tributary_storage.redis.scripts import Argument, Script

_HOLD: Final = Script("hold_objects")
_LET_GO: Final = Script("let_go_objects")
_RENEW: Final = Script("renew_holds")
_GIVE_UP: Final = Script("give_up_objects")


@dataclass(frozen=True, slots=True)
class Said:
    """Something that a request says of an object."""

    object_digest: str
    """Of what names it there: that may be an e-mail address."""
    content: str
    """Tells it from whatever else may be said of it."""
    unsaid: str = ""
    """With what all contents begin that certainly never left; "": none. Who noted one and died holds up nothing."""


class ObjectHolds:
    """Keeps them. Every method raises `StorageUnavailableError` if Redis does not answer: then make no request.

    Args:
        client: The Redis of role *jobs*.
    """

    def __init__(self, client: redis.asyncio.Redis) -> None:
        self._client: Any = client

    async def hold(self, lane: Lane, said: Sequence[Said], seconds: float) -> list[float]:
        """Notes that requests begin; returns per object 0, or in how many seconds one may: make none.

        Args:
            lane: Of which destination.
            said: What is to be said, each of another object.
            seconds: For how long a request holds its object whose end nobody notes: whoever made it died.
        """
        about = [argument for one in said for argument in (one.content, one.unsaid)]
        answers = await self._run(_HOLD, lane, said, [round(seconds * 1000), *about])
        return [millis / 1000 for millis in answers]

    async def renew(self, lane: Lane, said: Sequence[Said], seconds: float) -> bool:
        """Holds on, with what has begun and waits for something; tells whether all was held until now.

        Args:
            lane: Of which destination.
            said: What is being said.
            seconds: As of `hold`, from now on.
        """
        return all(await self._run(_RENEW, lane, said, [round(seconds * 1000), *(one.content for one in said)]))

    async def let_go(self, lane: Lane, said: Sequence[Said]) -> None:
        """Notes that requests are over: answered, or not made."""
        await self._run(_LET_GO, lane, said, [one.content for one in said])

    async def give_up(self, lane: Lane, said: Sequence[Said], seconds: float) -> None:
        """Notes that requests got no answer, and may be carried out for so many seconds from now on."""
        await self._run(_GIVE_UP, lane, said, [round(seconds * 1000), *(one.content for one in said)])

    async def _run(self, script: Script, lane: Lane, said: Sequence[Said], arguments: Sequence[Argument]) -> Any:
        if not said:
            return []
        names = [job_keys.object_hold(lane.workspace, lane.destination, one.object_digest) for one in said]
        try:
            return await script(self._client, names, arguments)
        except redis.RedisError as error:
            message = "The store of delivery jobs did not answer; nothing is sent until it does."
            raise translate(error, "jobs", message) from error
