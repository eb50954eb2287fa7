"""Which phone numbers the countries give out, as the phone library knows it.

The one rule: what is told here is what the library would tell, in a tenth of the time: it reads all that it knows of a
country again for every number.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final, NamedTuple

import phonenumbers

_OF_THE_WORLD: Final = "001"
_KINDS: Final = (
    "mobile",
    "fixed_line",
    "toll_free",
    "shared_cost",
    "voip",
    "personal_number",
    "premium_rate",
    "pager",
    "uan",
    "voicemail",
)
"""Of the numbers that a country gives out, the commonest first."""


class _Shape(NamedTuple):
    """How numbers look."""

    pattern: re.Pattern[str]
    lengths: frozenset[int]
    """Empty: as long as the pattern says."""

    def has(self, national: str) -> bool:
        return (not self.lengths or len(national) in self.lengths) and self.pattern.fullmatch(national) is not None


class _Plan(NamedTuple):
    """Which numbers one region of a country code gives out."""

    beginning: re.Pattern[str] | None
    """Of all its numbers, and of no other region's."""
    all_kinds: _Shape
    kinds: tuple[_Shape, ...]

    def has(self, national: str) -> bool:
        return self.all_kinds.has(national) and any(kind.has(national) for kind in self.kinds)


def gives_out(country_code: int, national: str) -> bool:
    """Tells whether a country gives out such numbers: what `phonenumbers.is_valid_number` tells.

    Args:
        country_code: 49.
        national: The national (significant) number: digits, without what is dialled before it.
    """
    plans = _plans_of(country_code)
    if plans is None:
        number = phonenumbers.PhoneNumber(country_code=country_code, national_number=int(national))
        return phonenumbers.is_valid_number(number)
    for plan in plans:
        if plan.beginning is None:
            if plan.has(national):
                return True
        elif plan.beginning.match(national):
            return plan.has(national)
    return False


def is_as_written(e164: str) -> bool:
    """Tells whether the library would read just this number: nothing to strip, and one that its country gives out.

    Most callers send numbers in E.164. False may also be: ask the library.
    """
    for digits in (1, 2, 3):
        code, national = int(e164[1 : 1 + digits]), e164[1 + digits :]
        if _plans_of(code) is not None:
            prefix = _national_prefix(code)
            is_bare = national[:1] not in {"", "0"} and (prefix is None or prefix.match(national) is None)
            return is_bare and gives_out(code, national)
    return False


@lru_cache(1_000)
def _plans_of(country_code: int) -> tuple[_Plan, ...] | None:
    """Returns the plans of the regions of a country code; `None` if it is no country's code."""
    regions = phonenumbers.COUNTRY_CODE_TO_REGION_CODE.get(country_code, ())
    if not regions or _OF_THE_WORLD in regions:  # of the whole world: rare
        return None
    known = [phonenumbers.PhoneMetadata.metadata_for_region(region) for region in regions]
    plans = [_plan_of(one, is_alone=len(known) == 1) for one in known if one is not None]
    found = tuple(plan for plan in plans if plan is not None)
    return found if len(found) == len(regions) else None


def _plan_of(metadata: phonenumbers.PhoneMetadata, *, is_alone: bool) -> _Plan | None:
    all_kinds = _shape_of(metadata.general_desc)
    if all_kinds is None:
        return None
    kinds = tuple(shape for name in _KINDS if (shape := _shape_of(getattr(metadata, name))) is not None)
    beginning = None if is_alone else metadata.leading_digits
    return _Plan(re.compile(beginning) if beginning else None, all_kinds, kinds)


def _shape_of(numbers: phonenumbers.PhoneNumberDesc | None) -> _Shape | None:
    if numbers is None or not numbers.national_number_pattern:
        return None
    return _Shape(re.compile(numbers.national_number_pattern), frozenset(numbers.possible_length))


@lru_cache(1_000)
def _national_prefix(country_code: int) -> re.Pattern[str] | None:
    """Returns what a national number is stripped of; `None`: nothing."""
    region = phonenumbers.region_code_for_country_code(country_code)
    metadata = phonenumbers.PhoneMetadata.metadata_for_region(region)
    prefix = None if metadata is None else metadata.national_prefix_for_parsing
    return re.compile(prefix) if prefix else None
