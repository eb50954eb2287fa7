"""Members of a family (a lead, a subscription) <-> what is kept of each: a field and a value beside the others."""

from __future__ import annotations

import json
from collections.abc import Iterable
from hashlib import blake2b

from tributary_domain.families import Member, Membership
from tributary_storage.redis.conversions import FAMILY

_FIELD_BYTES = 8
_NAME_BYTES = 16


def pack_member(member: Member) -> tuple[bytes, bytes]:
    """Returns field and value of a member: the same for the same, so that it is kept once."""
    value = json.dumps([member.conversion_id, int(member.role), *member.names], separators=(",", ":")).encode()
    return blake2b(value, digest_size=_FIELD_BYTES).digest(), value


def unpack_members(values: Iterable[bytes]) -> list[Member]:
    """Returns members, sorted."""
    found = []
    for value in values:
        conversion_id, role, *names = json.loads(value)
        found.append(Member(conversion_id, Membership(role), tuple(names)))
    return sorted(found)


def family_field(name: str) -> bytes:
    """Returns the field by which a conversion is told that it would be a lead's first."""
    return FAMILY + blake2b(name.encode(), digest_size=_NAME_BYTES).digest()
