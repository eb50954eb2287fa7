"""Ids, addresses and agents: what is sent as it stands, or hashed as it stands."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Final

from tributary_domain.advertising_ids import advertising_ids
from tributary_domain.match_keys.keys import EMPTY, Forms, NoKey
from tributary_domain.normalization import is_blocked

_FBC: Final = re.compile(r"fb\.[0-9]+\.[0-9]{1,16}\.[^.\s]+(?:\.[A-Za-z0-9_-]{2,8})?", re.ASCII)
_NOBODY: Final = NoKey("stands for nobody")
_NO_DEVICE: Final = NoKey("is no advertising id of 32 hexadecimal digits in groups of 8-4-4-4-12")


def trimmed(value: str, _region: str) -> Forms:
    """As sent, its case too: of click ids and cookies it counts."""
    text = value.strip()
    return (text,) if text else EMPTY


def lower(value: str, _region: str) -> Forms:
    """In lower case, dashes kept."""
    text = value.strip().lower()
    return (text,) if text else EMPTY


def person_id(value: str, _region: str) -> Forms:
    """The advertiser's id of a person, its case kept; what stands for nobody ("null", "anonymous") is none.

    >>> person_id(" User-42 ", ""), person_id("null", "")
    (('User-42',), NoKey(reason='stands for nobody'))
    """
    text = value.strip()
    if not text:
        return EMPTY
    return _NOBODY if is_blocked(text) else (text,)


def person_id_lower(value: str, region: str) -> Forms:
    """The advertiser's id of a person in lower case."""
    forms = person_id(value, region)
    return forms if isinstance(forms, NoKey) else (forms[0].lower(),)


def device_id(value: str, _region: str) -> Forms:
    """The advertising id of a device, its case kept; zeros are given by who limits ad tracking.

    >>> device_id(" EA7583CD-A667-48BC-B806-42ECB2B48606 ", ""), device_id("00000000-0000-0000-0000-000000000000", "")
    (('EA7583CD-A667-48BC-B806-42ECB2B48606',), NoKey(reason='stands for nobody'))
    """
    forms = person_id(value, _region)
    if isinstance(forms, NoKey):
        return forms
    return forms if advertising_ids(forms, ()).apple else _NO_DEVICE


def device_id_lower(value: str, region: str) -> Forms:
    """The advertising id of a device in lower case, dashes kept."""
    forms = device_id(value, region)
    return forms if isinstance(forms, NoKey) else (forms[0].lower(),)


def apple_device_id(value: str, region: str) -> Forms:
    """What was sent as Apple's advertising id, as Apple writes it."""
    forms = device_id(value, region)
    return forms if isinstance(forms, NoKey) else advertising_ids(forms, ()).apple


def android_device_id(value: str, region: str) -> Forms:
    """What was sent as Android's advertising id, as Android writes it."""
    forms = device_id(value, region)
    return forms if isinstance(forms, NoKey) else advertising_ids((), forms).android


def address(value: str, _region: str) -> Forms:
    """An IP address, as written."""
    text = value.strip()
    if not text:
        return EMPTY
    try:
        ip_address(text)
    except ValueError:
        return NoKey("is no IP address")
    return (text,)


def meta_cookie(value: str, _region: str) -> Forms:
    """A cookie of Meta's: `fb.<index>.<milliseconds>.<id>`, and perhaps what its own builder adds.

    >>> meta_cookie("fb.1.1554763741205.AbCdEfGh", ""), meta_cookie("AbCdEfGh", "")
    (('fb.1.1554763741205.AbCdEfGh',), NoKey(reason='is no fb.<index>.<milliseconds>.<id>'))
    """
    text = value.strip()
    if not text:
        return EMPTY
    return (text,) if _FBC.fullmatch(text) else NoKey("is no fb.<index>.<milliseconds>.<id>")
