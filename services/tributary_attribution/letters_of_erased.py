"""Dead letters that name somebody who was erased: theirs go, those of others stay and name them no more.

The one rule: as among what is recorded and published. An event is that of its most telling identifier
(`erased_identifiers`), but what it says of a conversion is that conversion's (`shared_orders`), and a revision is of
its conversion's person (`heirs_of_erased`). What somebody else did on a device that they shared was accepted, and
counts when the letter is put back; so does a refund of somebody else's order, or of one that nobody told yet, whoever
told it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.anonymous import anonymous_observation
from tributary_attribution.erased_identifiers import admitted_without
from tributary_attribution.heirs_of_erased import HeirsOfErased
from tributary_attribution.shared_orders import SharedOrders
from tributary_domain.erasures import Erasure
from tributary_domain.ties import most_telling
from tributary_storage.redis.dead_letters import DeadLetter, DeadLetters
from tributary_storage.redis.keys import EVENT_LOG_GROUPS

_QUARANTINED: Final = "Q"
"""In the mask: it says nothing of a conversion."""


class LettersOfErased:
    """Takes them away, or strips them. Every method may run twice, and raises `StorageUnavailableError`.

    Args:
        letters: Of all.
        heirs: Tell what is left of a revision of somebody else's conversion.
        shared: Tell what stays.
    """

    def __init__(self, letters: DeadLetters, heirs: HeirsOfErased, shared: SharedOrders) -> None:
        self._letters = letters
        self._heirs = heirs
        self._shared = shared

    async def forget(self, erasure: Erasure) -> int:
        """Forgets who is erased; returns of how many dead letters."""
        forgotten = 0
        for letter, left in await self._found(erasure):
            forgotten += await (self._letters.replace(letter, left) if left else self._letters.remove([letter]))
        return forgotten

    async def left(self, erasure: Erasure) -> int:
        """Returns how many dead letters name who is erased."""
        return len(await self._found(erasure))

    async def _found(self, erasure: Erasure) -> list[tuple[DeadLetter, bytes]]:
        """Returns the dead letters that name who is erased, each with what stays of it: nothing, if it is theirs."""
        letters = await self._letters.naming(erasure)
        of_events = [letter for letter in letters if letter.group in EVENT_LOG_GROUPS]
        of_revisions = [letter for letter in letters if letter.group not in EVENT_LOG_GROUPS]
        return await self._events(of_events, erasure) + await self._revisions(of_revisions, erasure)

    async def _events(self, letters: Sequence[DeadLetter], erasure: Erasure) -> list[tuple[DeadLetter, bytes]]:
        events = [(letter, AdmittedEvent.FromString(letter.payload)) for letter in letters]
        stay = await self._shared.stay(erasure, [one for _, one in events])
        return [
            (letter, _left(letter, one, erasure, stays=stays))
            for (letter, one), stays in zip(events, stay, strict=True)
        ]

    async def _revisions(self, letters: Sequence[DeadLetter], erasure: Erasure) -> list[tuple[DeadLetter, bytes]]:
        revisions = [(letter, ConversionRevised.FromString(letter.payload)) for letter in letters]
        ever, relatives = set(erasure.ever_theirs), set(erasure.relatives)
        places = {(one.state.conversion_id, one.revision): one for _, one in revisions}
        mine = {place for place in places if place[0] in ever and place[0] not in erasure.told_again_by(place[1])}
        others = {place: one for place, one in places.items() if place not in mine and place[0] in relatives}
        left = await self._heirs.without(erasure, others)
        found = []
        for letter, one in revisions:
            place = one.state.conversion_id, one.revision
            if place in mine:
                found.append((letter, b""))
            elif place in left and left[place] != letter.payload:
                found.append((letter, left[place]))
        return found


def _left(letter: DeadLetter, admitted: AdmittedEvent, erasure: Erasure, *, stays: bool) -> bytes:
    """Returns what stays of a dead letter with an event that names somebody who is erased; nothing, if it is theirs.

    Args:
        letter: It.
        admitted: Its event.
        erasure: Of the person.
        stays: Whether what it says stays without who said it (`SharedOrders.stay`).
    """
    if admitted.conversion_id in erasure.conversion_ids:
        return b""
    if most_telling(admitted.identity_tokens) not in erasure.tokens:
        return admitted_without(admitted, erasure.tokens).SerializeToString(deterministic=True)
    if stays and letter.text("letter") != _QUARANTINED:
        return anonymous_observation(admitted).SerializeToString(deterministic=True)
    return b""
