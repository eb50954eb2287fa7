"""IAB's Global Privacy Platform: one string with a section per law; which sections, and who opted out by them.

| section            | id            | holds                                                         |
|--------------------|---------------|---------------------------------------------------------------|
| tcfeuv2            | 2             | a TCF string                                                  |
| uspv1              | 6             | "1YNN": version, notice, opt-out of sale, covered by agreement |
| usnat              | 7             | opt-outs of sale, sharing, targeted advertising               |
| usca               | 8             | opt-outs of sale, sharing                                     |
| the other states'  | 9 to 22       | opt-outs of sale, targeted advertising                        |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Final

from tributary_domain.consent_bits import Bits, UnreadableStringError

TCF_EU: Final = 2
USP: Final = 6
_FIRST_STATE: Final = 7
_TYPE, _VERSION = 3, 1
_OPT_OUTS: Final[Mapping[int, tuple[int, ...]]] = {
    7: (6, 7, 8),
    8: (3, 4),
    11: (4, 5),
    18: (4, 5),
    **dict.fromkeys((9, 10, 12, 13, 14, 15, 16, 17, 19, 20, 21, 22), (3, 4)),
}
"""Section -> places of its opt-outs among the fields of two bits that follow the version: after its notices."""
_OPTED_OUT: Final = 1
_FIELDS_AT: Final = 6
_GPC_SEGMENT: Final = 1
_USP_CHARACTERS: Final = 4
_MOST_SECTIONS: Final = 64


@dataclass(frozen=True, slots=True)
class Gpp:
    """What a string says."""

    sections: Mapping[int, str]
    """By id, as they stand."""

    @property
    def tcf_string(self) -> str:
        """Of the European section; "": there is none."""
        return self.sections.get(TCF_EU, "")

    @property
    def is_opted_out(self) -> bool:
        """Whether a section of the United States holds an opt-out, or that the browser asks for one.

        Raises:
            UnreadableStringError: One of them cannot be read: nobody can tell.
        """
        return any(_is_opt_out(number, section) for number, section in self.sections.items())


def read_gpp(text: str) -> Gpp:
    """Reads a string.

    Raises:
        UnreadableStringError: It is none, or broken.

    >>> sorted(read_gpp("DBABLA~BVQqAAAAAgA.QA").sections)
    [7]
    """
    header, *sections = text.split("~")
    bits = Bits(header)
    if (bits.number(0, 6), bits.number(6, 6)) != (_TYPE, _VERSION):
        raise UnreadableStringError("is no such string, or of another version")
    ids = list(islice(bits.fibonacci_range(12), _MOST_SECTIONS + 1))
    if len(ids) != len(sections):
        raise UnreadableStringError("has not the sections that it names")
    return Gpp(dict(zip(ids, sections, strict=True)))


def _is_opt_out(number: int, section: str) -> bool:
    if number == USP:
        if len(section) != _USP_CHARACTERS:
            raise UnreadableStringError("has a section that is none")
        return section[2] in "Yy"
    if number < _FIRST_STATE:
        return False
    places = _OPT_OUTS.get(number)
    if places is None:
        raise UnreadableStringError("has a section that is not known here")
    core, *segments = section.split(".")
    bits = Bits(core)
    if any(bits.number(_FIELDS_AT + 2 * place, 2) == _OPTED_OUT for place in places):
        return True
    return any(_asks_gpc(Bits(segment)) for segment in segments)


def _asks_gpc(bits: Bits) -> bool:
    return bits.number(0, 2) == _GPC_SEGMENT and bool(bits.number(2, 1))
