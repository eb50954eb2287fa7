"""How what is known of pairs of identifiers lies in Redis: one hash per identifier, both ends hold their tie.

| field           | value                                                                                       |
|-----------------|---------------------------------------------------------------------------------------------|
| identity token  | the tie with it: 1 byte operator's word, its time and hash (where there is one), then per   |
|                 | span start time, start hash, end time                                                       |
| `+` and 8 bytes | a link that is not finished: what an event, or an operator, added, and what that displaced; |
|                 | a line feed behind it: what that changed is credited already                                |
| `v`             | version: grows with every write                                                             |
| `n`             | newest conversion time of the person                                                        |
| `o`             | the identifier itself                                                                       |

Numbers are big-endian. What a number means never changes. A link is JSON: it lives for as long as a batch takes.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from hashlib import blake2b
from struct import Struct
from typing import Any, Final, NamedTuple

from tributary_domain.ties import OperatorWord, Span, Tie, telling

VERSION: Final = b"v"
NEWEST: Final = b"n"
OWNER: Final = b"o"
LINK: Final = b"+"
_CREDITED: Final = b"\n"
_OWN: Final = frozenset({VERSION, NEWEST, OWNER})

_WORD_KEY: Final = Struct(">qQ")
_SPAN: Final = Struct(">QQQ")
_WORDS: Final = (OperatorWord.WITHDRAWN, OperatorWord.JOINED, OperatorWord.SEPARATED)
_NUMBERS: Final = {word: number for number, word in enumerate(_WORDS, start=1)}
_NO_WORD: Final = b"\0"


class Said(NamedTuple):
    """What made a link: an event, or an operator."""

    event_id: str
    event_time_micros: int
    event_hash: int
    accept_time_micros: int
    traceparent: str = ""
    undone_change_id: str = ""
    """The stored change that an operator takes back; empty: an event made the link."""


class Link(NamedTuple):
    """Edges that were added at once, and are not finished."""

    home: str
    """The identifier with whose ties it is kept."""
    said: Said
    edges: tuple[Tie, ...]
    displaced: tuple[Tie | None, ...]
    """What was known of each of these pairs before; None: nothing."""

    @property
    def digest(self) -> bytes:
        """Returns what tells it from others: 8 bytes, of what made it and of its pairs."""
        return _digest(self.said.event_hash, tuple([edge.pair for edge in self.edges]))

    @property
    def field(self) -> bytes:
        """Returns the field it is kept in."""
        return LINK + self.digest


@lru_cache(maxsize=4096)
def _digest(event_hash: int, pairs: Sequence[tuple[str, str]]) -> bytes:
    """Returns the digest of a link: asked for wherever it is named."""
    return blake2b(json.dumps([event_hash, pairs]).encode(), digest_size=8, person=b"trb link").digest()


@dataclass(frozen=True, slots=True)
class HeldTies:
    """What is kept of one identifier."""

    version: int = 0
    ties: tuple[Tie, ...] = ()
    links: Mapping[bytes, Link] = field(default_factory=dict)
    """Those that are not finished, by field."""
    credited: frozenset[bytes] = frozenset()
    """The fields of those of them whose changes are credited, and not stored yet."""


def pack_tie(tie: Tie) -> bytes:
    """Returns the value of a tie; its field is the other identifier."""
    has_word = tie.word_key[0] >= 0
    head = bytes([_NUMBERS[tie.word]]) + _WORD_KEY.pack(*tie.word_key) if has_word else _NO_WORD
    return head + b"".join([_SPAN.pack(*span) for span in tie.spans])


def unpack_tie(token: str, other: str, value: bytes) -> Tie:
    """Reads a tie.

    Args:
        token: The identifier it is kept with.
        other: The other one.
        value: Of `pack_tie`.
    """
    first, second = (token, other) if telling(token) <= telling(other) else (other, token)
    if value[:1] == _NO_WORD:
        return Tie(first, second, tuple(Span(*span) for span in _SPAN.iter_unpack(value[1:])))
    at = 1 + _WORD_KEY.size
    spans = tuple(Span(*span) for span in _SPAN.iter_unpack(value[at:]))
    return Tie(first, second, spans, _WORDS[value[0] - 1], _WORD_KEY.unpack(value[1:at]))


def pack_link(link: Link) -> bytes:
    """Returns the value of a link."""
    known = zip(link.edges, link.displaced, strict=True)
    pairs = [[*edge.pair, pack_tie(edge).hex(), _hex(was)] for edge, was in known]
    return json.dumps([link.said, pairs], separators=(",", ":")).encode()


def unpack_ties(token: str, flat: Iterable[bytes]) -> HeldTies:
    """Reads what is kept of an identifier.

    Args:
        token: The identifier.
        flat: Fields and values.
    """
    ties: list[Tie] = []
    links: dict[bytes, Link] = {}
    credited: list[bytes] = []
    version = 0
    pairs = iter(flat)
    for name, value in zip(pairs, pairs, strict=True):
        if name == VERSION:
            version = int(value)
        elif name[:1] == LINK:
            links[name] = _unpack_link(token, value)
            if value.endswith(_CREDITED):
                credited.append(name)
        elif name not in _OWN:
            ties.append(unpack_tie(token, name.decode(), value))
    return HeldTies(version, tuple(ties), links, frozenset(credited))


def _hex(tie: Tie | None) -> str | None:
    return None if tie is None else pack_tie(tie).hex()


def _unpack_link(home: str, value: bytes) -> Link:
    said, pairs = json.loads(value)
    edges: list[Tie] = []
    displaced: list[Tie | None] = []
    packed: Any
    for first, second, packed, was in pairs:
        edges.append(unpack_tie(first, second, bytes.fromhex(packed)))
        displaced.append(None if was is None else unpack_tie(first, second, bytes.fromhex(was)))
    return Link(home, Said(*said), tuple(edges), tuple(displaced))
