"""Names of people as destinations hash them.

| form   | is                                                                              |
|--------|---------------------------------------------------------------------------------|
| N1     | trimmed, in lower case                                                          |
| N2     | N1 without blanks and punctuation: letters, their marks, and digits             |
| Google | N1 without punctuation, "Mrs." and "Jr."; its blanks go only when it is hashed  |
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from tributary_domain.match_keys.keys import EMPTY, Forms, NoKey

_PREFIXES: Final = frozenset({"mr", "mrs", "ms", "miss", "mx", "dr", "prof", "sir", "madam", "rev"})
_SUFFIXES: Final = frozenset({"jr", "sr", "ii", "iii", "iv", "phd", "esq"})
_GLUED_PREFIX: Final = re.compile(rf"(?<!\S)(?:{'|'.join(sorted(_PREFIXES))})\.(?=\S)")
"""A title and its dot, with no blank behind it: "Mrs.Mary"."""
_BLANKS: Final = re.compile(r"\s+")
_KEPT: Final = frozenset("LMN")
"""Of Unicode's general categories: letters, marks, numbers."""
_NO_NAME: Final = NoKey("is no name: it has no letter")


def lowered(value: str) -> str:
    """Returns a text trimmed and in lower case, its accents composed: one spelling has one hash."""
    return unicodedata.normalize("NFC", value.strip().lower())


def without_marks(text: str) -> str:
    """Returns a text without blanks, punctuation, symbols and what cannot be seen.

    >>> without_marks("o'brien-smith jr.")
    'obriensmithjr'
    """
    return "".join(character for character in text if unicodedata.category(character)[0] in _KEPT)


def without_blanks(text: str) -> str:
    """Returns a text without blanks."""
    return _BLANKS.sub("", text)


def bare(value: str, _region: str) -> Forms:
    """N2.

    >>> bare(" Mary Ann ", "")
    ('maryann',)
    """
    if not value.strip():
        return EMPTY
    name = without_marks(lowered(value))
    return (name,) if name else _NO_NAME


def as_written(value: str, _region: str) -> Forms:
    """N1, and N2 where it differs: destinations' own clients hash the one, their documentation asks for the other.

    >>> as_written("O'Neil", "")
    ("o'neil", 'oneil')
    """
    name = lowered(value)
    if not name:
        return EMPTY
    stripped = without_marks(name)
    if not stripped:
        return _NO_NAME
    return (name,) if stripped == name else (name, stripped)


def as_google_reads(value: str, _region: str) -> Forms:
    """A given or family name of Google's.

    >>> as_google_reads("Mrs. Mary Ann", ""), as_google_reads("Dr.Mary", ""), as_google_reads("O'Brien,Jr.", "")
    (('mary ann',), ('mary',), ('obrien',))
    """
    if not value.strip():
        return EMPTY
    parted = _GLUED_PREFIX.sub(r"\g<0> ", lowered(value))
    words = [word for word in map(without_marks, parted.replace(",", " ").split()) if word]
    while len(words) > 1 and words[0] in _PREFIXES:
        del words[0]
    while len(words) > 1 and words[-1] in _SUFFIXES:
        del words[-1]
    return (" ".join(words),) if words else _NO_NAME


def first_five(value: str, _region: str) -> Forms:
    """The first five letters of a name, in lower case."""
    return _first(value, 5)


def first_letter(value: str, _region: str) -> Forms:
    """The first letter of a name, in lower case."""
    return _first(value, 1)


def _first(value: str, most: int) -> Forms:
    name = lowered(value)[:most].rstrip()
    return (name,) if name else EMPTY
