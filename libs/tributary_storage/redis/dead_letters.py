"""Dead letters: what no worker could handle, alone, with why; to be looked at and put back.

The one rule: putting back takes away, in one step, so a dead letter is replayed at most once however often it is asked
for. What is put back goes through every group of its log again: all of them know an event they had before. So what
several groups put aside, or one several times, goes back as one entry, and all its dead letters are taken away; else
every replay would double what still fails.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Any, Final

import redis.asyncio
from google.protobuf.message import DecodeError

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.dedup.v1.admitted_events_pb2 import AcceptContext, Admission, AdmittedEvent, AdmittedEvents
from tributary_domain.erasures import Erasure
from tributary_runtime.errors import NotFoundError, StorageUnavailableError
from tributary_storage.redis import keys
from tributary_storage.redis.claims import SCHEMA
from tributary_storage.redis.scripts import Argument, Script
from tributary_storage.redis.stream_entries import PUT_BACK

_MOVE = Script("move_dead_letter")
_PAGE: Final = 200

_LOGS: Final = (keys.EVENT_LOG_GROUPS, keys.CONVERSION_LOG_GROUPS)
"""The groups that read what is put back into a log."""

GROUPS: Final = (*keys.EVENT_LOG_GROUPS, *keys.CONVERSION_LOG_GROUPS)
"""Whose dead letters there are."""

_Place = tuple[str, int, str]
"""Of a dead letter: group, shard, id."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One event or revision that could not be handled, or a whole entry that could not be taken apart."""

    group: str
    shard: int
    entry_id: str
    """Of the stream of dead letters."""
    fields: Mapping[str, bytes]

    @property
    def letter_id(self) -> str:
        """Names it: group, shard, id."""
        return f"{self.group}:{self.shard}:{self.entry_id}"

    @property
    def place(self) -> _Place:
        """No other dead letter is there."""
        return self.group, self.shard, self.entry_id

    @property
    def dead_micros(self) -> int:
        """When it was put aside, microseconds since 1970."""
        return int(self.entry_id.partition("-")[0]) * 1_000

    def text(self, name: str) -> str:
        """Returns a field as text; empty if there is none."""
        return self.fields.get(name, b"").decode("utf-8", "replace")

    @property
    def payload(self) -> bytes:
        """A serialised `AdmittedEvent` or `ConversionRevised`; of a whole entry, `AdmittedEvents`."""
        return self.fields.get("payload", b"")

    @property
    def is_whole_entry(self) -> bool:
        """Whether it is an entry of the event log that could not even be taken apart."""
        return self.group in keys.EVENT_LOG_GROUPS and not self.text("position")


class DeadLetters:
    """The dead letters of an installation. Every method may raise `StorageUnavailableError`.

    Args:
        log: Redis of the role *log*.
        state: Redis of the role *state*.
        shards: Of the epoch.
    """

    def __init__(self, log: redis.asyncio.Redis, state: redis.asyncio.Redis, shards: int) -> None:
        self._log: Any = log
        self._state: Any = state
        self._shards = shards

    async def all(self, groups: Iterable[str] = GROUPS) -> AsyncIterator[DeadLetter]:
        """Yields dead letters, oldest first within a group and shard; what comes meanwhile may be among them."""
        for group in groups:
            for shard in range(self._shards):
                async for letter in self._in(group, shard):
                    yield letter

    async def get(self, letter_id: str) -> DeadLetter:
        """Returns one dead letter.

        Raises:
            NotFoundError: There is none of this id, or no more.
        """
        group, shard, entry_id = _place(letter_id, self._shards)
        found = await self._run(group, "XRANGE", _dead(group, shard), entry_id, entry_id)
        if not found:
            raise _unknown(letter_id)
        return _letter(group, shard, *found[0])

    async def replay(self, is_chosen: Callable[[DeadLetter], bool], groups: Iterable[str] = GROUPS) -> int:
        """Puts dead letters back into their log, for every group. May run twice.

        A dead letter that says the same as a chosen one goes with it, whosever it is.

        Args:
            is_chosen: Chooses.
            groups: Among whose.

        Returns:
            How many entries were put back; what somebody else put back before is not counted.
        """
        asked = set(groups)
        logs = [readers for readers in _LOGS if not asked.isdisjoint(readers)]

        def is_asked(letter: DeadLetter) -> bool:
            return letter.group in asked and is_chosen(letter)

        return sum([await self._replay_in(log, shard, is_asked) for log in logs for shard in range(self._shards)])

    async def replace(self, letter: DeadLetter, payload: bytes) -> bool:
        """Puts a dead letter with another payload in the place of one; False if that is gone. May run twice.

        It is the newest of its stream then, and its 30 days begin anew.
        """
        fields: dict[str, Argument] = {**letter.fields, "payload": payload}
        return await self._move([letter.place], _dead(letter.group, letter.shard), fields)

    async def naming(self, erasure: Erasure) -> list[DeadLetter]:
        """Returns what names who is erased and happened until then, and revisions of conversions that may.

        These are theirs, and those of others that are related to them. An entry that could not be taken apart names
        nobody that anybody could read.
        """
        tokens, conversions = set(erasure.tokens), {*erasure.ever_theirs, *erasure.relatives}
        return [
            letter
            async for letter in self.all()
            if letter.text("workspace") == erasure.workspace
            and _names(letter, tokens, conversions, erasure.until_micros)
        ]

    async def remove(self, letters: Iterable[DeadLetter]) -> int:
        """Takes dead letters away for good; returns how many were there. May run twice."""
        removed = 0
        for letter in letters:
            stream = _dead(letter.group, letter.shard)
            removed += int(await self._run(letter.group, "XDEL", stream, letter.entry_id))
        return removed

    async def _in(self, group: str, shard: int) -> AsyncIterator[DeadLetter]:
        after = "-"
        while True:
            found = await self._run(group, "XRANGE", _dead(group, shard), after, "+", "COUNT", _PAGE)
            for entry_id, fields in found:
                yield _letter(group, shard, entry_id, fields)
            if len(found) < _PAGE:
                break
            after = f"({found[-1][0].decode()}"

    async def _replay_in(self, groups: Sequence[str], shard: int, is_chosen: Callable[[DeadLetter], bool]) -> int:
        """Puts back what is chosen of one shard of a log.

        Looks twice, and keeps only names between: there may be more dead letters than fit into memory.
        """
        same: dict[bytes, list[_Place]] = defaultdict(list)
        chosen: set[bytes] = set()
        for group in groups:
            async for letter in self._in(group, shard):
                said = _said(letter)
                same[said].append(letter.place)
                if is_chosen(letter):
                    chosen.add(said)
        put_back = 0
        for group in groups if chosen else ():
            async for letter in self._in(group, shard):
                said = _said(letter)
                if said in chosen:
                    chosen.remove(said)
                    target, fields = _entry(letter)
                    put_back += await self._move(same[said], target, {**fields, PUT_BACK: 1})
        return put_back

    async def _move(self, places: Sequence[_Place], target: str, fields: Mapping[str, Argument]) -> bool:
        """Puts an entry in the place of dead letters of one shard; False if none of them is there."""
        streams = list(dict.fromkeys(_dead(group, shard) for group, shard, _ in places))
        arguments: list[Argument] = [len(places)]
        for group, shard, entry_id in places:
            arguments += [2 + streams.index(_dead(group, shard)), entry_id]
        arguments += [part for pair in fields.items() for part in pair]
        group = places[0][0]
        try:
            return bool(await _MOVE(self._of(group), [target, *streams], arguments))
        except redis.RedisError as error:
            raise _unavailable(group) from error

    def _of(self, group: str) -> Any:
        return self._log if group in keys.EVENT_LOG_GROUPS else self._state

    async def _run(self, group: str, *command: Any) -> Any:
        try:
            return await self._of(group).execute_command(*command)
        except redis.RedisError as error:
            raise _unavailable(group) from error


def _names(letter: DeadLetter, tokens: Set[str], conversion_ids: Set[str], until_micros: int) -> bool:
    try:
        if letter.group not in keys.EVENT_LOG_GROUPS:
            return ConversionRevised.FromString(letter.payload).state.conversion_id in conversion_ids
        admitted = AdmittedEvent.FromString(letter.payload)
    except DecodeError:
        return False
    return admitted.event.event_time.ToMicroseconds() <= until_micros and not tokens.isdisjoint(
        admitted.identity_tokens
    )


def _dead(group: str, shard: int) -> str:
    if group in keys.EVENT_LOG_GROUPS:
        return keys.event_dead_letters(shard, group)
    return keys.conversion_dead_letters(shard, group)


def _entry(letter: DeadLetter) -> tuple[str, dict[str, Argument]]:
    """Returns the stream a dead letter came from, and the entry that brings it back; live events go first."""
    if letter.group not in keys.EVENT_LOG_GROUPS:
        return keys.conversion_log(letter.shard), {"revised": letter.payload}
    target = keys.event_log(letter.shard, "bulk")
    accept_time = letter.fields.get("accept_time", b"0")
    if letter.is_whole_entry:
        schema, mask = letter.fields.get("schema", b"0"), letter.fields.get("mask", b"")
        return target, {"schema": schema, "payload": letter.payload, "mask": mask, "accept_time": accept_time}
    admission = Admission(
        workspace=letter.text("workspace"),
        traceparent=letter.text("traceparent"),
        accept_context=AcceptContext.FromString(letter.fields.get("accept_context", b"")),
        events=[letter.payload],
    )
    payload = AdmittedEvents(admissions=[admission]).SerializeToString()
    return target, {"schema": SCHEMA, "payload": payload, "mask": letter.text("letter"), "accept_time": accept_time}


def _said(letter: DeadLetter) -> bytes:
    """Returns a digest of the entry that brings a dead letter back: what says the same has the same."""
    _, fields = _entry(letter)
    digest = hashlib.blake2b(digest_size=16)
    for name, value in fields.items():
        content = value if isinstance(value, bytes) else str(value).encode()
        digest.update(b"%s %d " % (name.encode(), len(content)))
        digest.update(content)
    return digest.digest()


def _letter(group: str, shard: int, entry_id: bytes, fields: Mapping[bytes, bytes]) -> DeadLetter:
    return DeadLetter(group, shard, entry_id.decode(), {name.decode(): value for name, value in fields.items()})


def _place(letter_id: str, shards: int) -> tuple[str, int, str]:
    group, _, rest = letter_id.partition(":")
    shard, _, entry_id = rest.partition(":")
    milliseconds, _, sequence = entry_id.partition("-")
    is_place = group in GROUPS and shard.isdigit() and milliseconds.isdigit() and sequence.isdigit()
    if not is_place or int(shard) >= shards:
        raise _unknown(letter_id)
    return group, int(shard), entry_id


def _unknown(letter_id: str) -> NotFoundError:
    message = "There is no such dead letter: it was replayed, or is older than 30 days."
    return NotFoundError(message, resource_type="dead_letter", resource_name=letter_id)


def _unavailable(group: str) -> StorageUnavailableError:
    store = "log" if group in keys.EVENT_LOG_GROUPS else "state"
    return StorageUnavailableError("Redis did not answer.", metadata={"store": store})
