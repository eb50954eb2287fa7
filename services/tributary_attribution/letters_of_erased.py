"""Dead letters that name somebody who was erased: theirs go, those of others stay and name them no more.

The one rule: as among recorded events, an event is that of its most telling identifier (`erased_identifiers`). What
somebody else did on a device that they shared was accepted, and counts when the letter is put back.
"""

from __future__ import annotations

from tributary.dedup.v1.admitted_events_pb2 import AdmittedEvent
from tributary_attribution.erased_identifiers import admitted_without
from tributary_domain.erasures import Erasure
from tributary_domain.ties import most_telling
from tributary_storage.redis.dead_letters import DeadLetter, DeadLetters
from tributary_storage.redis.keys import EVENT_LOG_GROUPS


class LettersOfErased:
    """Takes them away, or strips them. Every method may run twice, and raises `StorageUnavailableError`."""

    def __init__(self, letters: DeadLetters) -> None:
        self._letters = letters

    async def forget(self, erasure: Erasure) -> int:
        """Forgets who is erased; returns of how many dead letters."""
        forgotten = 0
        for letter in await self._letters.naming(erasure):
            left = _left(letter, erasure)
            forgotten += await (self._letters.replace(letter, left) if left else self._letters.remove([letter]))
        return forgotten

    async def left(self, erasure: Erasure) -> int:
        """Returns how many dead letters name who is erased."""
        return len(await self._letters.naming(erasure))


def _left(letter: DeadLetter, erasure: Erasure) -> bytes:
    """Returns what stays of a dead letter that names somebody who is erased; nothing, if it is theirs."""
    if letter.group not in EVENT_LOG_GROUPS:
        return b""
    admitted = AdmittedEvent.FromString(letter.payload)
    if most_telling(admitted.identity_tokens) in erasure.tokens or admitted.conversion_id in erasure.conversion_ids:
        return b""
    return admitted_without(admitted, erasure.tokens).SerializeToString(deterministic=True)
