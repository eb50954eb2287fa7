"""The consent ledger: what people decided, per identity token. Written by attribution, read by delivery last of all.

A ledger lies in the slot of its identifier's journey, so that who reads a journey reads it in the same step. It holds
decisions, not states: the state at any moment follows from them (`tributary_domain.consent`), so no order of arrival
matters; of very many those go that repeat what was decided on an old day. A field is a decision: a zero byte, 8 bytes
time, 2 bytes states; its value: region, a zero byte, source. Or one on a vendor: a zero byte, 8 bytes time, 2 bytes
vendor, 1 byte state; its value is empty. ClickHouse has all of it (`consent_decisions`), from where it is read back
once this store has lost something. Fails closed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from struct import Struct
from typing import Final, NamedTuple

import redis.asyncio

from tributary_domain.consent import Decision, dispensable
from tributary_domain.ids import person_id
from tributary_domain.shards import shard_of_key
from tributary_domain.vendor_consent import VendorDecision, dispensable_of_vendors
from tributary_storage.redis import keys
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.state_scripts import Piece, failed, in_calls, run

Place = tuple[str, str]
"""Workspace and identity token."""

AnyDecision = Decision | VendorDecision
"""On purposes, or on a vendor."""

_RECORD: Final = Script("record_consents")
_DECISION: Final = Struct(">BQH")
_OF_VENDOR: Final = Struct(">BQHB")
_MANY: Final = 64
"""Each time so many more decisions of one identifier are held, it is looked which are dispensable. They go if they are
half as many: else it would be looked again with the next that comes."""


class Ledger(NamedTuple):
    """What was decided under an identifier, in no order."""

    decisions: list[Decision]
    of_vendors: list[VendorDecision]


class Consents:
    """The ledgers in the state store. Every method may run twice, and at once in several processes.

    Args:
        client: The Redis of role state.
        shards: Of its epoch.
    """

    def __init__(self, client: redis.asyncio.Redis, shards: int) -> None:
        self._client = client
        self._shards = shards

    async def record(self, decisions: Mapping[Place, Iterable[AnyDecision]]) -> dict[Place, list[AnyDecision]]:
        """Adds decisions; returns those of identifiers whose person converted, with what of them was not known.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        pieces, places, sent = [], list(decisions), []
        for place in places:
            told = sorted(((pack_field(one), pack_texts(one), one) for one in decisions[place]), reverse=True)
            fields = {field: texts for field, texts, _ in told}
            sent.append(list({field: one for field, _, one in told}.values()))
            shard, person_key = self._home(place)
            arguments: list[Argument] = [len(fields), *chain.from_iterable(fields.items())]
            pieces.append(Piece(shard, keys.journey(shard, person_key), arguments))
        calls, positions = in_calls(pieces)
        converted: dict[Place, list[AnyDecision]] = {}
        crowded: list[Place] = []
        for own, answers in zip(positions, await run(self._client, _RECORD, calls), strict=True):
            for at, (newest, held, new) in zip(own, answers, strict=True):
                if newest:
                    converted[places[at]] = [sent[at][number - 1] for number in new]
                if held // _MANY > (held - len(new)) // _MANY:
                    crowded.append(places[at])
        if crowded:
            await self._forget_dispensable(crowded)
        return converted

    async def read(self, places: Sequence[Place]) -> dict[Place, Ledger]:
        """Returns what was decided under identifiers; empty where nothing was.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        return dict(zip(places, await self.read_people([person_id(*place) for place in places]), strict=True))

    async def read_people(self, person_keys: Sequence[str]) -> list[Ledger]:
        """Returns the same by the person keys of the identifiers, in order.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        pipeline = self._client.pipeline(transaction=False)
        for person_key in person_keys:
            pipeline.hgetall(keys.consent(shard_of_key(person_key, self._shards), person_key))
        try:
            answers = await pipeline.execute() if person_keys else []
        except redis.RedisError as error:
            raise failed(error) from error
        return [Ledger(decisions_of(fields), vendor_decisions_of(fields)) for fields in answers]

    async def restored_micros(self) -> int:
        """Returns the last loss of the store after which the ledgers were read back; 0: there was none.

        Raises:
            StorageUnavailableError: The state store did not answer.
        """
        try:
            return int(await self._client.get(keys.consent_restored()) or 0)
        except redis.RedisError as error:
            raise failed(error) from error

    async def note_restored(self, loss_micros: int) -> None:
        """Notes that all ledgers were read back after a loss.

        Raises:
            StorageUnavailableError: The state store did not answer; run the same again.
        """
        try:
            await self._client.set(keys.consent_restored(), loss_micros)
        except redis.RedisError as error:
            raise failed(error) from error

    async def _forget_dispensable(self, places: Sequence[Place]) -> None:
        pipeline = self._client.pipeline(transaction=False)
        for place, held in (await self.read(places)).items():
            gone = [*map(pack_field, dispensable(held.decisions))]
            gone += map(pack_field, dispensable_of_vendors(held.of_vendors))
            if len(gone) >= _MANY // 2:
                pipeline.hdel(keys.consent(*self._home(place)), *gone)
        try:
            await pipeline.execute()
        except redis.RedisError as error:
            raise failed(error) from error

    def _home(self, place: Place) -> tuple[int, str]:
        person_key = person_id(*place)
        return shard_of_key(person_key, self._shards), person_key


def pack_field(decision: AnyDecision) -> bytes:
    """Returns the field of a decision."""
    if isinstance(decision, VendorDecision):
        return _OF_VENDOR.pack(0, *decision)
    return _DECISION.pack(0, decision.time_micros, decision.states)


def pack_texts(decision: AnyDecision) -> bytes:
    """Returns the value of a decision."""
    if isinstance(decision, VendorDecision):
        return b""
    return f"{decision.region}\0{decision.source}".encode()


def decisions_of(fields: Mapping[bytes, bytes]) -> list[Decision]:
    """Returns the decisions among the fields of a ledger, or of a journey that was read with it."""
    found = []
    for field, value in fields.items():
        if is_decision(field):
            _, time, states = _DECISION.unpack(field)
            region, _, source = value.decode().partition("\0")
            found.append(Decision(time, states, region, source))
    return found


def vendor_decisions_of(fields: Mapping[bytes, bytes]) -> list[VendorDecision]:
    """Returns the decisions on vendors among the fields of a ledger."""
    return [VendorDecision(*_OF_VENDOR.unpack(field)[1:]) for field in fields if len(field) == _OF_VENDOR.size]


def is_decision(field: bytes) -> bool:
    """Tells whether a field of a journey that was read with its ledger is a decision on purposes."""
    return len(field) == _DECISION.size and field[0] == 0


def decision_micros(field: bytes) -> int:
    """Returns when what a field of a ledger says was decided."""
    return int.from_bytes(field[1:9])
