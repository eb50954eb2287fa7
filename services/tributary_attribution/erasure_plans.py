"""What erasures are made of that nobody asked for, and what they count. Pure, but for the secrets."""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from hashlib import blake2b
from typing import Final

from tributary_domain.erasures import Erasure, ErasureState
from tributary_storage.redis.ties import person_key

GRACE_SECONDS: Final = 120
"""After how long what was on its way is looked for: longer than a batch, or the recorder, takes."""
OWN_SECONDS: Final = 300.0
"""How long, at most, whoever was asked works at it, and has it for himself; then any process goes on with it."""
AGAIN: Final = "again-"
"""Of the ids of erasures that nobody asked for: they look for what came back."""


def planned(
    workspace: str,
    tokens: tuple[str, ...],
    now_micros: int,
    *,
    removes: bool,
    reason: str,
    requested_by: str,
    own_seconds: float,
) -> Erasure:
    """Returns what erasing a person would be; of what happens from now on, nothing."""
    return Erasure(
        erasure_id=f"er-{secrets.token_hex(12)}",
        workspace=workspace,
        request_micros=now_micros,
        until_micros=now_micros,
        removes=removes,
        tokens=tokens,
        secret=(secrets.randbits(64), secrets.randbits(64)),
        due_micros=now_micros + round(own_seconds * 1e6),
        reason=reason,
        requested_by=requested_by,
    )


def buried(erasure: Erasure) -> list[tuple[str, int]]:
    """Returns the tombstones of whom an erasure is about: person key, and until when what happened is gone."""
    return [(person_key(erasure.workspace, token), erasure.until_micros) for token in erasure.tokens]


def is_again(erasure: Erasure) -> bool:
    """Tells whether nobody asked for it."""
    return erasure.erasure_id.startswith(AGAIN)


def is_of_same(one: Erasure, other: Erasure) -> bool:
    """Tells whether two erasures are of the same person, and not the same."""
    is_same = one.workspace == other.workspace and not set(one.tokens).isdisjoint(other.tokens)
    return is_same and one.erasure_id != other.erasure_id


def begun_before(erasure: Erasure, opened: Iterable[Erasure]) -> list[Erasure]:
    """Returns those of the same person that were asked for earlier and are not through, oldest first.

    Each copies conversions to random ids of its own: what one has copied and not deleted yet the next would copy too.
    """
    place = erasure.request_micros, erasure.erasure_id
    earlier = [
        one
        for one in opened
        if is_of_same(one, erasure)
        and one.state is ErasureState.REQUESTED
        and (one.request_micros, one.erasure_id) < place
    ]
    return sorted(earlier, key=lambda one: (one.request_micros, one.erasure_id))


def again(workspace: str, token: str, until_micros: int, now_micros: int) -> Erasure:
    """Returns the erasure that looks for what came back of an identifier, a little later; the same for the same."""
    name = blake2b(f"{workspace}|{token}".encode(), digest_size=12, person=b"trb again").hexdigest()
    return Erasure(
        erasure_id=AGAIN + name,
        workspace=workspace,
        request_micros=now_micros,
        until_micros=until_micros,
        removes=False,
        tokens=(token,),
        secret=(secrets.randbits(64), secrets.randbits(64)),
        state=ErasureState.DESTROYED,
        due_micros=now_micros + GRACE_SECONDS * 1_000_000,
    )


def counted(erasure: Erasure, counts: Mapping[str, int]) -> Erasure:
    """Returns the same with what was destroyed added; what a second run finds was destroyed by it."""
    destroyed = dict(erasure.destroyed)
    for name, number in counts.items():
        destroyed[name] = destroyed.get(name, 0) + number
    return replace(erasure, destroyed=destroyed)
