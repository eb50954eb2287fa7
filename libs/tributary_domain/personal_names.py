"""Whether a parameter is personal, told by its name, however a form or a framework spells it.

`email`, `user[email]`, `customerEmail`, `billing.e-mail` and `USER%5BEMAIL%5D` are one name to people. The one rule: a
name is taken apart into its words, and a word decides; what its value looks like is asked elsewhere.
"""

import re
from functools import lru_cache
from itertools import pairwise
from typing import Final
from urllib.parse import unquote_plus

ROUNDS: Final = 3
"""How often a text is decoded: a link within a link within a link."""


def _words(text: str) -> list[str]:
    return text.split()


_WORDS: Final = frozenset(
    _words(
        """
        email mail mailto emailaddress mailaddress useremail usermail correo courriel
        phone telephone telefon telefono phonenumber mobilenumber cellphone msisdn whatsapp handynummer
        firstname lastname fullname surname forename givenname familyname vorname nachname prenom fname lname username
        password passwd pwd passwort passphrase token secret apikey jwt otp authtoken
        birthdate birthday dob geburtsdatum geburtstag ssn iban cvv cvc cardnumber postcode postleitzahl zipcode
        """
    )
)
"""Any of these in a name makes it personal."""

_LAST_WORDS: Final = frozenset(
    _words("tel mobile session sessionid sid auth authorization address adresse street strasse ip")
)
"""These do where they are the last: `user[mobile]`, but not `mobile_menu`."""

_WHOSE: Final = _words("first last full given family middle user customer contact billing shipping")
_PAIRS: Final = frozenset(
    {
        *((who, "name") for who in _WHOSE),
        *(("e", "mail"), ("api", "key"), ("card", "number"), ("birth", "date"), ("post", "code"), ("zip", "code")),
        *(("postal", "code"), ("auth", "code"), ("mobile", "number"), ("pass", "word"), ("house", "number")),
        *(("address", "line"), ("of", "birth"), ("name", "first"), ("name", "last"), ("your", "name")),
    }
)
"""Two words in a row that do."""

_ENDS: Final = frozenset(
    _words(
        """
        email emailaddress mailaddress useremail usermail
        phone telephone telefon telefono phonenumber mobilenumber cellphone msisdn handynummer
        firstname lastname fullname surname forename givenname familyname vorname nachname prenom
        password passwd passwort birthdate birthday dob geburtsdatum geburtstag ssn iban cardnumber
        ip ipaddress useragent
        """
    )
)
_REGIONS: Final = frozenset({("post", "code"), ("postal", "code"), ("zip", "code")})
"""A region of many people, as a property of its own."""
_END_PAIRS: Final = _PAIRS - _REGIONS - {("address", "line"), ("auth", "code"), ("user", "name")} | {
    *(("ip", "address"), ("email", "address"), ("mail", "address"), ("user", "agent"), ("phone", "number")),
}
"""What the name of a property ends with that is somebody's: `customer_email`, but not `email_consent`."""

_WORD: Final = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def words_of(name: str) -> list[str]:
    """Returns the words of a name, in lower case.

    >>> words_of("user[hashedEmail]"), words_of("SHA256_of-Phone")
    (['user', 'hashed', 'email'], ['sha', 'of', 'phone'])
    """
    return [word.lower() for word in _WORD.findall(name)]


def is_personal_name(name: str) -> bool:
    """Tells whether a parameter of this name is personal.

    Args:
        name: Decoded, its case as it was: it tells words apart.

    >>> [is_personal_name(name) for name in ("user[email]", "customerEmail", "billing_last_name", "e-mail", "order_id")]
    [True, True, True, True, False]
    >>> [is_personal_name(name) for name in ("product_name", "mailing", "mobile_menu", "user.mobile", "PASSWORD2")]
    [False, False, False, True, True]
    """
    words = words_of(name)
    if not words:
        return False
    if words[-1] in _LAST_WORDS or not _WORDS.isdisjoint(words):
        return True
    return any(pair in _PAIRS for pair in pairwise(words))


@lru_cache(4_096)
def is_personal_property(name: str) -> bool:
    """Tells whether a property of this name can hold nothing but what is personal.

    Args:
        name: As sent.

    >>> [is_personal_property(name) for name in ("phone", "customerEmail", "client_ip", "user-agent", "first_name")]
    [True, True, True, True, True]
    >>> [is_personal_property(name) for name in ("email_consent", "phone_model", "name", "zip", "mobile", "mail")]
    [False, False, False, False, False, False]
    """
    words = words_of(name)
    return bool(words) and (words[-1] in _ENDS or tuple(words[-2:]) in _END_PAIRS)


def plainer(text: str) -> list[str]:
    """Returns a text as it stands, and as it is after each time of decoding it.

    >>> plainer("a%2540b")
    ['a%2540b', 'a%40b', 'a@b']
    """
    found = [text]
    while "%" in text and len(found) <= ROUNDS:
        decoded = unquote_plus(text)
        if decoded == text:
            break
        found.append(decoded)
        text = decoded
    return found
