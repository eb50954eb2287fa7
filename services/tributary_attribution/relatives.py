"""Who is to be computed with whom: conversions of one lead or subscription, as `families` related them. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from tributary_attribution.affected import Affected


def relatives(affected: Sequence[Affected], known: set[str]) -> list[Affected]:
    """Returns the conversions of their leads and subscriptions that may change when these do.

    Args:
        affected: Those that may have changed; what the families are to them is known. Those of them that were published
            before take over each other's causes.
        known: Keys of all that are computed anyway; takes those that are returned.
    """
    found = []
    computed = {one.key: one for one in affected}
    for one in affected:
        for conversion_id in one.kin.relatives:
            relative = Affected(one.workspace, conversion_id)
            if relative.key not in known:
                known.add(relative.key)
                found.append(relative)
                computed[relative.key] = relative
            other = computed.get(relative.key)
            if other is not None and (other.stored is None or other.stored.revision):
                other.take_over(one)
                other.known_causes |= one.known_causes
    return found


def heirs(computed: Sequence[Affected], moved: Sequence[Affected]) -> list[Affected]:
    """Returns those that have the credit of one that moved while it was computed: they are to be read again too."""
    origins = {one.key for one in moved}
    found: list[Affected] = []
    for one in computed:
        origin = one.kin.origin
        if one.stored is not None and origin is not None and origin.key in origins:
            one.stored, one.has_journey = None, False
            found.append(one)
    return found
