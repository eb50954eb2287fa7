"""Where a command belongs on Redis Cluster: its first key, the slot of that, and the node that has the slot.

Pure: what is asked of a node is `cluster`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from redis.crc import key_slot
from redis.exceptions import ResponseError

SLOTS: Final = 16_384

_SECOND_WORD: Final = frozenset({"XINFO", "XGROUP", "OBJECT", "MEMORY"})
_SCRIPTS: Final = frozenset({"EVALSHA", "EVAL"})

Node = str
"""host:port."""


def slot_of(key: Any) -> int:
    """Returns the slot of a key: of its hash tag, if it has one.

    >>> slot_of("trb:{l3}:log:live") == slot_of(b"trb:{l3}:claims:0")
    True
    """
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def key_of(args: Sequence[Any]) -> Any:
    """Returns the first key of a command.

    >>> key_of(("EVALSHA", "sha", 1, "a", "b")), key_of(("XINFO GROUPS", "s")), key_of(("XGROUP", "CREATE", "s", "g"))
    ('a', 's', 's')

    Raises:
        ResponseError: It has none that we know of.
    """
    name, _, subcommand = words_of(args[:1])[0].partition(" ")
    if name == "XREADGROUP":
        return args[words_of(args).index("STREAMS") + 1]
    at = 3 if name in _SCRIPTS else 2 if name in _SECOND_WORD and not subcommand else 1
    if len(args) <= at:
        raise ResponseError(f"{name} names no key, and so no node of the cluster")
    return args[at]


def name_of(args: Sequence[Any]) -> str:
    """Returns the first word of a command, in capitals."""
    return words_of(args[:1])[0].partition(" ")[0]


def words_of(args: Sequence[Any]) -> list[str]:
    """Returns the arguments as words to be recognised; what is no text is none."""
    return [
        arg.upper() if isinstance(arg, str) else arg.decode("latin-1").upper() if isinstance(arg, bytes) else ""
        for arg in args
    ]


def slot_map(told: Any, asked: Node) -> list[Node]:
    """Returns the primary of each slot; empty where nobody has it."""
    slots = [""] * SLOTS
    for first, last, primary, *_ in told:
        host = primary[0].decode() if isinstance(primary[0], bytes) else primary[0]
        node = f"{host or asked.rpartition(':')[0]}:{int(primary[1])}"
        slots[int(first) : int(last) + 1] = [node] * (int(last) - int(first) + 1)
    return slots
