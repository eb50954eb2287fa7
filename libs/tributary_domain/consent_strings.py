"""What consent strings say of the purposes that data may leave for.

The one rule: what was said and cannot be read restricts. A text that does not even mean to be such a string says
nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from tributary_domain.consent import DENIED, GRANTED, NOTHING, UNSAID, packed
from tributary_domain.consent_bits import Ids, UnreadableStringError
from tributary_domain.gpp import read_gpp
from tributary_domain.tcf import Tcf, is_tcf, read_tcf

_STORE: Final = 1
_MEASURE_ADS: Final = 7
_PERSONALIZE: Final = frozenset({3, 4})
_GPP_MARK: Final = "DB"
"""What every string of GPP's version 1 begins with."""


@dataclass(frozen=True, slots=True)
class Said:
    """What strings say."""

    ad_user_data: int = UNSAID
    """UNSAID where there is no TCF string."""
    ad_personalization: int = UNSAID
    ad_storage: int = UNSAID
    is_opted_out: bool = False
    """Of selling, sharing or targeted advertising, by a law of the United States."""
    vendors: Ids | None = None
    """Vendors that a TCF string allows; None: there is none."""

    def allows(self, vendor: int) -> bool:
        """Tells whether a vendor of the TCF may be told: no string forbids it."""
        return self.vendors is None or vendor in self.vendors


NOTHING_SAID: Final = Said()
_NO: Final = Said(DENIED, DENIED, DENIED, vendors=Ids())


def said_by(tcf_string: str, gpp_string: str) -> Said:
    """Returns what strings say, both as they came; "": none.

    >>> said_by("undefined", "") == NOTHING_SAID, said_by("", "DBABLA~CFAVAAAAAACA.YA").is_opted_out
    (True, True)
    """
    if not tcf_string and not gpp_string:
        return NOTHING_SAID
    own, is_opted_out = _of_tcf(tcf_string), False
    if gpp_string.startswith(_GPP_MARK):
        try:
            gpp = read_gpp(gpp_string)
            own = _stricter(own, _of_tcf(gpp.tcf_string))
            is_opted_out = gpp.is_opted_out
        except UnreadableStringError:
            is_opted_out = True
    return Said(own.ad_user_data, own.ad_personalization, own.ad_storage, is_opted_out, own.vendors)


def states_by(tcf_string: str, gpp_string: str, *, gpc: bool) -> int:
    """Returns the states of all purposes as strings and the browser's signal say them, packed; NOTHING: they say none.

    Of being measured they say nothing. A law's opt-out and Global Privacy Control deny selling and sharing; that there
    is neither allows nothing.

    Args:
        tcf_string: As it came; "": none.
        gpp_string: Likewise.
        gpc: Whether the browser asks for Global Privacy Control.

    >>> states_by("undefined", "", gpc=True) == packed([UNSAID, UNSAID, UNSAID, UNSAID, DENIED])
    True
    """
    if not tcf_string and not gpp_string and not gpc:
        return NOTHING
    return _states_by(tcf_string, gpp_string, gpc)


@lru_cache(maxsize=1024)
def _states_by(tcf_string: str, gpp_string: str, gpc: bool) -> int:
    said = said_by(tcf_string, gpp_string)
    sale = DENIED if gpc or said.is_opted_out else UNSAID
    return packed([said.ad_storage, UNSAID, said.ad_user_data, said.ad_personalization, sale])


@lru_cache(maxsize=1024)
def vendors_by(tcf_string: str, gpp_string: str, vendors: tuple[int, ...]) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Returns which of some vendors strings name, and which they do not; of none where no string names vendors.

    >>> vendors_by("undefined", "", (755,)), vendors_by("C-cut-off", "", (4, 755))
    (((), ()), ((), (4, 755)))
    """
    named = said_by(tcf_string, gpp_string).vendors
    if named is None:
        return (), ()
    allowed = tuple(vendor for vendor in vendors if vendor in named)
    return allowed, tuple(vendor for vendor in vendors if vendor not in named)


def strictness(tcf_string: str = "", gpp_string: str = "") -> tuple[int, int, int]:
    """Returns how much strings hold back: of two, the greater is the stricter."""
    said = said_by(tcf_string, gpp_string)
    return said.ad_user_data, said.ad_personalization, said.is_opted_out


def _of_tcf(text: str) -> Said:
    if not is_tcf(text):
        return NOTHING_SAID
    try:
        tcf = read_tcf(text)
    except UnreadableStringError:
        return _NO
    return _of(tcf) if tcf.is_service_specific else _NO


def _of(tcf: Tcf) -> Said:
    may_send = {_STORE, _MEASURE_ADS} <= tcf.purposes
    may_personalize = may_send and tcf.purposes >= _PERSONALIZE
    return Said(
        GRANTED if may_send else DENIED,
        GRANTED if may_personalize else DENIED,
        GRANTED if _STORE in tcf.purposes else DENIED,
        vendors=tcf.vendors,
    )


def _stricter(one: Said, other: Said) -> Said:
    vendors = one.vendors if other.vendors is None else other.vendors
    if one.vendors is not None and other.vendors is not None:
        vendors = one.vendors & other.vendors
    return Said(
        max(one.ad_user_data, other.ad_user_data),
        max(one.ad_personalization, other.ad_personalization),
        max(one.ad_storage, other.ad_storage),
        vendors=vendors,
    )
