"""What thing a name speaks of whose number may look like somebody's: a version, a code, an order, a price.

Four numbers with dots may be an app's version or a network address, and digits behind "00" the number of an item or a
phone's. The one rule: a name says what its last word says (`os_version`, `build_number`, but not `build_users`); what
is of an app, or of a system, may be its version only where that is the whole name, and never as the key of an object.
"""

from functools import lru_cache
from typing import Final

from tributary_domain.network_addresses import VERSIONS
from tributary_domain.personal_names import words_of

_ALONE: Final = frozenset({"v", "os", "app"})
"""In a longer name these say whose it is, or nothing: `app_users`; in an id, before numbers, too."""
NAMES_OF_VERSIONS: Final = VERSIONS | _ALONE
PAGES_OF_VERSIONS: Final = NAMES_OF_VERSIONS | {"download", "doc", "changelog"}
CODES: Final = frozenset(
    words_of("id ref reference code sku ean gtin upc isbn barcode order invoice transaction item product batch serial")
)
PAGES_OF_CODES: Final = CODES | frozenset(
    words_of("p dp pd article artikel produkt bestellung checkout confirmation success receipt thank thanks")
)
"""What else a part of a path says of the next one."""
_NUMBERED: Final = frozenset(
    words_of(
        """
        order orderid ordernumber orderno transaction transactionid invoice item itemid product productid sku article
        receipt ticket batch serial price amount total subtotal tax discount shipping revenue cost
        """
    )
)
"""What has a number, or is a sum, that may be written as four numbers with dots: 25.11.27.104, 1.200.100.250."""
_OF_NUMBERS: Final = frozenset(words_of("id number no nr num ref reference code key"))
"""What the name of the number of one of these ends with."""
_OF_VERSIONS: Final = _OF_NUMBERS | {"name", "string", "note", "history"}
"""What may stand behind the word for a version: `version_name`, `release-notes`."""


def is_of_numbers(name: str) -> bool:
    """Tells whether the keys of an object of this name may be four numbers with dots: versions, numbers or prices.

    >>> [is_of_numbers(name) for name in ("versions", "item_ids", "order no", "seen", "cart", "app", "version_users")]
    [True, True, True, False, False, False, False]
    """
    return is_of_versions(name, VERSIONS) or is_numbered(name)


@lru_cache(4_096)
def is_of_versions(name: str, versions: frozenset[str]) -> bool:
    """Tells whether a name speaks of versions.

    Args:
        name: As sent; of a path, the part before, which may be a name and a value: "sdk_version=web/4.0.1.2".
        versions: The words that do: of names, of pages, or, of what is never a version by its whole name, `VERSIONS`.

    >>> [is_of_versions(name, NAMES_OF_VERSIONS) for name in ("os_version", "buildNumber", "sdk", "app", "apps", "v2")]
    [True, True, True, True, True, True]
    >>> [is_of_versions(name, NAMES_OF_VERSIONS) for name in ("app_users", "os_seen", "my_app", "build_user_id", "")]
    [False, False, False, False, False]
    """
    return any(_ends_with_version(part, versions) for part in name.split("="))


@lru_cache(4_096)
def is_of_codes(name: str, codes: frozenset[str]) -> bool:
    """Tells whether a name speaks of codes, which may be digits behind "00".

    >>> [is_of_codes(name, CODES) for name in ("order_id", "orderid", "itemIds", "productids", "order")]
    [True, True, True, True, True]
    >>> [is_of_codes(name, CODES) for name in ("paid_by", "valid_for", "said", "android", "seen")]
    [False, False, False, False, False]
    """
    return any(_is_of(word, codes) or word.removesuffix("s").removesuffix("id") in codes for word in words_of(name))


@lru_cache(4_096)
def is_numbered(name: str) -> bool:
    """Tells whether a name speaks of the number of a thing, or of a sum, which may be four numbers with dots.

    >>> [is_numbered(name) for name in ("order_id", "item_price", "order_address", "number")]
    [True, True, False, False]
    """
    words = [word.removesuffix("s") for word in words_of(name)]
    return bool(words) and words[-1] in _NUMBERED | _OF_NUMBERS and not _NUMBERED.isdisjoint(words)


def _ends_with_version(name: str, versions: frozenset[str]) -> bool:
    words = words_of(name)
    if len(words) > 1:
        versions -= _ALONE
        if words[-1].removesuffix("s") in _OF_VERSIONS:
            words.pop()
    return bool(words) and _is_of(words[-1], versions)


def _is_of(word: str, words: frozenset[str]) -> bool:
    return word in words or word.removesuffix("s") in words
