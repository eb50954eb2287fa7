"""Erasures under way, as they are kept: all that is needed to go on with them."""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any, Final

from tributary_domain.erasures import Erasure, ErasureState

_LISTS: Final = (
    *("relatives", "joined", "touches", "deal_numbers", "severed_orders", "orders_over", "families", "own_names"),
    "adjusted",
)
"""Of an erasure, what an older release may have kept without."""


def pack_erasure(erasure: Erasure) -> str:
    """Returns an erasure as it is kept."""
    return json.dumps(asdict(erasure))


def unpack_erasure(content: bytes) -> Erasure:
    """Returns what was kept."""
    kept: dict[str, Any] = json.loads(content)
    known = {one.name for one in fields(Erasure)}
    held = {name: value for name, value in kept.items() if name in known}  # an older release kept numbers as they are
    lists = {name: tuple(held[name]) for name in ("tokens", "conversion_ids", "secret")}
    rows = ("memberships", "places", "told_with", "told_again")
    lists |= {name: tuple(tuple(one) for one in held.get(name, ())) for name in rows}
    lists["members"] = tuple((one, role, tuple(names)) for one, role, names in held.get("members", ()))
    lists |= {name: tuple(held.get(name, ())) for name in _LISTS}
    return Erasure(**{**held, **lists, "state": ErasureState(held["state"])})
