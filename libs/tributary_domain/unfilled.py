"""What stands where nothing was filled in: a place in a template, or the word that a program writes for nothing.

The one rule: a template's place names nothing wherever it stands and whatever stands beside it. A word ("undefined")
may be part of a real name, and is looked at by who knows what kind of id it stands in.
"""

import re
from typing import Final
from urllib.parse import unquote

LONGEST: Final = 256
"""Of ids: what is longer is refused for it, and is not looked through."""

TEMPLATE: Final = re.compile(
    r"\{\{.*?\}\}|\{%.*?%\}|\$\{.*?\}|\{[a-z_.]+\}|%%.*?%%|%(?![0-9a-f]{2}[a-z]*%)[a-z_]+%(?![0-9a-f]{2})|"
    r"\[\[.*?\]\]|<%.*?%>|\*\|.*?\|\*|(?<![^\W_])__(?-i:[A-Z]+(?:_[A-Z]+)*)__(?![^\W_])",
    re.DOTALL | re.IGNORECASE,
)
"""A place in a template that nothing was put into, wherever it stands; but no letters between two bytes of a URL."""

_WORD: Final = r"(?<![^\W_])(?:(?i:undefined|null)|NaN|None)(?![^\W_])|\[(?i:object) \w*\]"
"""What programs write where there is nothing. In lower case, "nan" and "none" are people's names and words."""
NOTHING: Final = re.compile(rf"{_WORD}|(?i:\[[a-z_]+\]|<[a-z_ ]+>)")
"""Such a word, or the name of a field in brackets, as a part of a longer text."""
_ENDS_IN_PLACE: Final = re.compile(r"(?i:\[object \w*\]|\[[a-z]+(?:_[a-z]+)+\]|<[a-z]+(?:_[a-z]+)+>)[\W_]*\Z")
has_digit: Final = re.compile(r"\d").search


def may_be_unfilled(text: str) -> bool:
    """Tells whether it is worth to look closer: nearly all ids have a digit, and none of the signs of a template."""
    if "{" in text or "%" in text or "[" in text or "<" in text or "*|" in text or "__" in text:
        return True
    return has_digit(text) is None


def decoded(text: str) -> str:
    """Returns a text as it was before it was written into a URL, and that into another."""
    return unquote(unquote(text)) if "%" in text else text


def holds_template(text: str) -> bool:
    """Tells whether a text has a template's place in it, also as URLs write it.

    >>> [holds_template(text) for text in ("S2-{{order_id}}", "id:%USER_ID%", "u-%7B%7Bid%7D%7D-1", "v-__CLICKID__")]
    [True, True, True, True]
    >>> [holds_template(text) for text in ("{b7f1-22}", "M%fcnchen%20Ost", "50% off", "a__b__c", "[12]")]
    [False, False, False, False, False]
    """
    return TEMPLATE.search(text) is not None or ("%" in text and TEMPLATE.search(decoded(text)) is not None)


def ends_in_place(text: str) -> bool:
    """Tells whether an id is only what was put before a field's name in brackets: it has no number, and ends in it.

    >>> [ends_in_place(text) for text in ("user-[object Object]", "user-[user_id]", "ann-<user_id>")]
    [True, True, True]
    >>> [ends_in_place(text) for text in ("ann [web]", "shop-7-[user_id]", "christopher.null")]
    [False, False, False]
    """
    plain = decoded(text)
    return has_digit(plain) is None and _ENDS_IN_PLACE.search(plain) is not None
