"""What is personal where there is no place for it, taken out of an event that is right in all else.

An order whose number is the buyer's e-mail address is an order all the same: refusing it would lose it. The one rule:
what was an id is still one afterwards, the same for the same id, so that everything counts and matches as before; and
nothing that decides (digests, claims, keys) is made from what was put in its place.
"""

from collections.abc import Callable
from operator import attrgetter
from typing import Any, Final

from tributary.event.v1.event_pb2 import Event
from tributary_domain import texts
from tributary_domain.network_addresses import holds_address_of
from tributary_domain.personal import holds_email, holds_personal, may_hold_email, without_personal
from tributary_domain.personal_devices import holds_device, may_hold_device, number_holds_device
from tributary_domain.personal_names import is_personal_property
from tributary_domain.personal_texts import may_name_somebody, names_somebody, number_names_somebody
from tributary_domain.personal_values import may_hold_telling_word
from tributary_domain.property_values import clean_property
from tributary_domain.reasons import Reason, ReasonCode
from tributary_domain.redacted_ids import TOLD_APART, stored_event_id
from tributary_domain.url_parts import is_telling_campaign_part

Token = Callable[[str], str]
"""Text -> what stands for it: keyed, and the same for the same text."""

_WIDE: Final = tuple(sign.encode().decode("latin-1") for sign in "\uff20\ufe6b\uff0b")
_BEGINS_WIDE: Final = "\xef"
_WORDS: Final = ("name", "category", "brand")
"""Texts of an item that are for people."""
_CUT: Final = (
    "This held what looks like an e-mail address, a phone number, an IP address or a user agent, taken out: send it "
    "among identifiers, or in the context."
)
_ID: Final = (
    "This id holds what looks like an e-mail address, a phone number, an IP address or a user agent. A token is stored "
    "in its place; but what tells it apart is a digest without a key, and whoever reads the stores can try addresses "
    "against it: send an id that is nobody's."
)
_NAMED: Final = "A property was named as what is personal, and taken out: send it among identifiers, or in the context."

_TELLING: Final = (
    "A property held what looks like somebody's address, number, token or user agent, or a hash, taken out: send it "
    "among identifiers, or in the context; what is of a thing is kept where its name says so (order_id, app_version)."
)
_INNER: Final = (
    "A property was a link or JSON with what is personal in it, by its name or by what it looks like, and lost that "
    "part: send it among identifiers, or in the context."
)
_CAMPAIGN: Final = (
    "This held what looks like somebody's: an e-mail address in base64, the hash of one, an IP address, a user agent, "
    "a phone number or a token; taken out."
)
_CAMPAIGN_PARTS: Final = {
    texts.UTM: {name: name for name in texts.UTM.names},
    texts.AD: {"campaign_name": "campaign", "keyword": "term", "placement": "source"},
    texts.TOUCHPOINT: {"title": "content"},
}
"""Words for people, and which part of a campaign each is like: what looks like somebody's is found there as in a link.
All other texts are ids, in which a device is looked for."""
_CLIENT_IP, _APP_VERSION = map(texts.CONTEXT.names.index, ("client_ip", "app_version"))
_NO_CLIENT_IP: Final = ("",) * len(texts.CONTEXT.names), ""
_NUMBERS: Final = {
    texts.CONVERSION: {"order_id", "pixel_event_id"},
    texts.LEAD: {"lead_id", "root_order_id"},
    texts.ADJUSTMENT: {"order_id"},
}
"""Ids that destinations, tags in the browser and deals of a CRM match by: four numbers are seldom an address there."""
_KEPT_OF_CONTEXT: Final = tuple(map(texts.CONTEXT.names.index, ("language", "app_id")))


def redact(event: Event, kind: str | None, readings: texts.Readings, token: Token) -> list[Reason]:
    """Replaces or cuts every text of an event that holds an address or a phone number and is not refused for it.

    A property that is named as what is personal is cut, whatever it holds; and one that looks like somebody's. A link
    and an object of JSON lose only the part that does. So is what names a device: an address, a user agent.

    Args:
        event: As sent; changed in place.
        kind: `event.WhichOneof("kind")`.
        readings: Its texts.
        token: Makes what stands for an id.

    Returns:
        A warning per field; none if nothing was changed, and then `readings` still holds.
    """
    changed: list[str] = []
    event_id = stored_event_id(event.event_id, token)
    if event_id != event.event_id:
        event.event_id = event_id
        changed.append("event_id")
    for group, position in texts.personal_texts(readings):
        message = attrgetter(group.path)(event) if group.path else event
        name = group.names[position]
        value = getattr(message, name)
        setattr(message, name, token(value) if group.personal is texts.Personal.REPLACED else "")
        changed.append(group.field(position))
    campaign: list[str] = []
    for group, position in telling_texts(readings):
        field, name = group.field(position), group.names[position]
        if field in changed:
            continue
        message = attrgetter(group.path)(event) if group.path else event
        is_id = group.personal is texts.Personal.REPLACED or name == "interaction_id"
        setattr(message, name, token(readings[group][0][position]) if is_id else "")
        (campaign if name in _CAMPAIGN_PARTS.get(group, ()) else changed).append(field)
    client_ip = _client_ip(readings)
    if kind == "conversion" or (kind == "adjustment" and event.adjustment.items):
        _redact_lists(getattr(event, kind), kind, client_ip, token, changed)
    reasons = [_redacted(field) for field in changed]
    if event.properties:
        reasons.extend(_redact_properties(event, client_ip))
    reasons.extend(Reason(ReasonCode.PERSONAL_DATA_REDACTED, field, _CAMPAIGN) for field in campaign)
    return reasons


def is_telling(event_id: str, readings: texts.Readings) -> bool:
    """Tells whether an event's id or any of its texts is somebody's by what it looks like."""
    return holds_device(event_id) or bool(telling_texts(readings))


def telling_texts(readings: texts.Readings) -> list[tuple[texts.TextGroup, int]]:
    """Returns each text (group, position) that is somebody's by what it looks like: of words for people, and of ids."""
    found: list[tuple[texts.TextGroup, int]] = []
    for group, (values, joined) in readings.items():
        if group is texts.CONTEXT:
            found += [(group, at) for at in _KEPT_OF_CONTEXT if holds_device(values[at])]
            if (version := values[_APP_VERSION]) and _is_no_version(version, values[_CLIENT_IP]):
                found.append((group, _APP_VERSION))
            continue
        if group.personal is texts.Personal.SEALED or not joined:
            continue
        like = _CAMPAIGN_PARTS.get(group)
        numbers = _NUMBERS.get(group, ())
        if like is None and not (may_hold_device(joined) if numbers else holds_device(joined)):
            continue
        for at, (name, value) in enumerate(zip(group.names, values, strict=True)):
            if not value:
                continue
            part = like.get(name) if like is not None else None
            if part is not None:
                is_somebodys = is_telling_campaign_part(part, value)
            elif name in numbers:
                is_somebodys = number_holds_device(value, _client_ip(readings))
            else:
                is_somebodys = holds_device(value)
            if is_somebodys:
                found.append((group, at))
    return found


def _may_hold_personal(written: str) -> bool:
    """Tells whether any text of a message may hold an address, by its bytes, each a character."""
    if "+" in written or (_BEGINS_WIDE in written and any(spelling in written for spelling in _WIDE)):
        return True
    return may_hold_device(written) or may_hold_email(written)


def _redact_properties(event: Event, client_ip: str) -> list[Reason]:
    reasons = []
    named = [name for name in event.properties if is_personal_property(name) or holds_device(name)]
    if named:
        reasons.append(Reason(ReasonCode.PERSONAL_DATA_REDACTED, "properties", _NAMED))
    for name in named:
        del event.properties[name]
    cleaned = {
        name: kept
        for name, value in event.properties.items()
        if (kept := _clean_property(name, value, client_ip)) != value
    }
    telling = [name for name, kept in cleaned.items() if kept is None]
    if telling:
        reasons.append(Reason(ReasonCode.PERSONAL_DATA_REDACTED, "properties", _TELLING))
    if len(telling) < len(cleaned):
        reasons.append(Reason(ReasonCode.PERSONAL_DATA_REDACTED, "properties", _INNER))
    for name, kept in cleaned.items():
        if kept is None:
            del event.properties[name]
        else:
            event.properties[name] = kept
    return reasons


def _is_no_version(text: str, client_ip: str) -> bool:
    """Tells an app's version, which may have four numbers, from an agent, and from the address of the person."""
    return text == client_ip or (any(sign in text for sign in ":(%") and holds_device(text))


def _clean_property(name: str, value: str, client_ip: str) -> str | None:
    """Returns what may be kept of a property of an event: nothing that holds the address which the event came from."""
    kept = clean_property(name, value)
    return None if kept and client_ip and holds_address_of(kept, client_ip) else kept


def _client_ip(readings: texts.Readings) -> str:
    return readings.get(texts.CONTEXT, _NO_CLIENT_IP)[0][_CLIENT_IP]


def redacted_url(url: str, field: str) -> Reason | None:
    """Returns the warning that an e-mail address was cut out of a URL; `None` where what was cut is another thing."""
    return _redacted(field) if holds_email(url) else None


def _redact_lists(message: Any, kind: str, client_ip: str, token: Token, changed: list[str]) -> None:
    """Does the same for what there are several of: items, coupon codes, ids of pixel events."""
    written = message.SerializeToString().decode("latin-1")  # quicker asked than each of its texts
    may_be_telling = bool(message.items) and may_hold_telling_word(written)
    if not may_be_telling and not _may_hold_personal(written):
        return
    if kind == "conversion":
        _redact_conversion(message, client_ip, token, changed)
    for position, item in enumerate(message.items):
        words = f"{item.name}\n{item.category}\n{item.brand}"
        if may_name_somebody(f"{item.item_id}\n{words}") or (may_be_telling and may_hold_telling_word(words)):
            _redact_item(item, f"{kind}.items[{position}]", client_ip, token, changed)


def _redact_conversion(conversion: Any, client_ip: str, token: Token, changed: list[str]) -> None:
    codes = conversion.coupon_codes
    if codes and any(map(names_somebody, codes)):
        kept = [token(code) if names_somebody(code) else code for code in codes]
        del codes[:]
        codes.extend(kept)
        changed.append("conversion.coupon_codes")
    ids = conversion.pixel_event_ids
    if ids:
        personal = [
            name for name, value in ids.items() if number_names_somebody(value, client_ip) or names_somebody(name)
        ]
        for name in personal:
            value = ids.pop(name)
            if not names_somebody(name):  # a destination of that name there is not
                ids[name] = token(value)
        if personal:
            changed.append("conversion.pixel_event_ids")


def _redact_item(item: Any, field: str, client_ip: str, token: Token, changed: list[str]) -> None:
    if number_names_somebody(item.item_id, client_ip):
        item.item_id = token(item.item_id)
        changed.append(f"{field}.item_id")
    for name in _WORDS:
        word = getattr(item, name)
        is_somebodys = is_telling_campaign_part("content", word)
        if is_somebodys or holds_personal(word):
            setattr(item, name, "-" if is_somebodys else without_personal(word))
            changed.append(f"{field}.{name}")


def _redacted(field: str) -> Reason:
    return Reason(ReasonCode.PERSONAL_DATA_REDACTED, field, _ID if field in TOLD_APART else _CUT)
