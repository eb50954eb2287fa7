"""The payload digest: whether two events of one id say the same.

It is taken over a listed set of fields *as sent*, never over protobuf bytes (they are not canonical) and never over
what the door adds. The one rule: it says what happened, not when it was told. No time is part of it, nor the human
check (its token can be spent only once): a client that retries with `event_time = now()`, the commonest bug of all,
must meet its own first attempt as a DUPLICATE. As CONFLICT, a flaky network would look like contradicting books. So are
the person's address and user agent no part of it: a phone tries again over another network, a browser is updated.
Nobody gains by that: what the door made of the first attempt stands, and a further one is stored nowhere.

The digest is keyed, because it is stored beside claims and short payloads could be guessed, and it is versioned: claims
made under another version compare as equal. Version 1 had the address and the user agent in it.
"""

from collections.abc import Callable, Mapping, Sequence
from hashlib import blake2b
from operator import attrgetter
from typing import Any, Final, NamedTuple

from tributary_domain.advertising_ids import ADVERTISING_ID_FIELDS
from tributary_domain.event_shape import EventLike, MessageLike
from tributary_domain.ids import encode_parts
from tributary_domain.texts import CONSENT, CONTEXT, HUMAN_CHECK, IDENTIFIERS, RECURRENCE, Readings

PAYLOAD_DIGEST_VERSION: Final = 2
PAYLOAD_DIGEST_BYTES: Final = 8
CONTENT_DIGEST_BYTES: Final = 16

_consent_states = attrgetter(
    "ad_storage", "analytics_storage", "ad_user_data", "ad_personalization", "sale_or_sharing", "gpc"
)
"""Five numbers and a truth value, written as Python does: (1, 1, 0, 0, 0, False)."""
_read_item = attrgetter("item_id", "name", "category", "brand", "quantity")
_MOST_READ: Final = 1_000
"""Of a list: no event may have one so long, and what is refused for it is not worth more than its length."""
_UNSTEADY: Final = CONTEXT.names.index("page_url")
"""The person's address and user agent are the first of `texts.CONTEXT`: what may differ when an event is sent again."""
_STEADY: Final = len(CONTEXT.names) - _UNSTEADY
_AMOUNTS = ("goods", "discount", "tax", "shipping", "fees", "gift_card", "cost_of_goods")

Digester = Callable[[EventLike, str | None, Readings], bytes]
"""(event, kind, its texts) -> digest."""


class PayloadDigester:
    """Makes the payload digests of a workspace, 8 bytes each.

    Args:
        key: Secret and never changed: 16 to 64 bytes.
    """

    __slots__ = ("_state",)

    def __init__(self, key: bytes) -> None:
        self._state = blake2b(digest_size=PAYLOAD_DIGEST_BYTES, key=key, person=b"trb payload 2")

    def __call__(self, event: EventLike, kind: str | None, readings: Readings) -> bytes:
        """Returns the digest of an event."""
        return self.of(_encode(event, kind, readings, _UNSTEADY))

    def of(self, encoded: bytes) -> bytes:
        """Returns the digest of an event whose words have been encoded."""
        hashed = self._state.copy()
        hashed.update(encoded)
        return hashed.digest()


class EncodedPart(NamedTuple):
    """What one part of a touchpoint adds to its payload, encoded: the same for every touchpoint that has that part."""

    text: str
    """Its texts, a separator before each; empty if it has none."""
    breaks: int
    """Separators in it."""
    numbers: str
    """What is no text."""


def encode_touch(event: EventLike, readings: Readings) -> EncodedPart:
    """Encodes the part `touchpoint` of an event that has nothing else."""
    chunks, breaks = _chunks(readings)
    numbers = _numbers(event, "touchpoint", readings)
    return EncodedPart("".join([f"\0{chunk}" for chunk in chunks]), breaks, numbers.removeprefix("0"))


def encode_visit(
    touch: EncodedPart, session_id: str, identifiers: str, context: Sequence[str], observed_by: int
) -> bytes | None:
    """Encodes a touchpoint as `PayloadDigester` does; `None` where a text holds a separator.

    Args:
        touch: Its part `touchpoint`.
        session_id: Empty if there is none.
        identifiers: Those of its identifiers, joined; some is set, and none is a list or a map.
        context: The texts of `texts.CONTEXT`.
        observed_by: Of its context.
    """
    session = f"\0\0{session_id}" if session_id else ""
    own, own_breaks, numbers = touch
    breaks = own_breaks + _VISIT_BREAKS + (2 if session_id else 0)
    said = "\0".join(context[_UNSTEADY:])
    if len(said) >= _STEADY:
        breaks += _STEADY + 1
        said = f"\0context\0{said}"
    else:
        said = ""
    text = f"touchpoint|0|0{session}{own}\0identifiers\0{identifiers}{said}\0{observed_by}{numbers}"
    return text.encode() if text.count("\0") == breaks else None


def encode_properties(properties: Mapping[str, str]) -> bytes:
    """Encodes what its properties add to a touchpoint that has no other list or map."""
    return b"\0" + _mapped("properties", properties)


_VISIT_BREAKS: Final = len(IDENTIFIERS.names) + 2
"""Separators of a visit's identifiers, and before its numbers."""


def content_digester(key: bytes) -> Digester:
    """Returns the function that tells events without an id apart: all that was sent, the event time included.

    Other than a payload it has no version: another digest would be another event.

    Args:
        key: As for `payload_digester`.

    Returns:
        A function that returns 16 bytes, for `ids.derived_event_id`.
    """
    state = blake2b(digest_size=CONTENT_DIGEST_BYTES, key=key, person=b"trb content 1")

    def digest(event: EventLike, kind: str | None, readings: Readings) -> bytes:
        hashed = state.copy()
        hashed.update(f"{event.event_time.seconds}.{event.event_time.nanos}|".encode())
        hashed.update(_encode(event, kind, readings, 0))
        return hashed.digest()

    return digest


def _encode(event: EventLike, kind: str | None, readings: Readings, unsteady: int) -> bytes:
    """Writes what an event says, injectively; what is unset and what is empty are one.

    Args:
        event: The event.
        kind: `event.WhichOneof("kind")`.
        readings: Its texts.
        unsteady: How many of the first texts of `texts.CONTEXT` are left out.
    """
    context = readings.get(CONTEXT)
    if unsteady and context is not None:
        values, joined = context
        skipped = sum(map(len, values[:unsteady])) + unsteady
        readings = {**readings, CONTEXT: (values[unsteady:], joined[skipped:])}
    chunks, breaks = _chunks(readings)
    chunks = [f"{kind}|{event.origin}|{event.traffic}", *chunks, _numbers(event, kind, readings)]
    text = "\0".join(chunks)
    if text.count("\0") != breaks + 1:
        # A text holds the separator. Otherwise it is unambiguous: each group has a fixed number of texts.
        said = (part for group, reading in readings.items() for part in (group.path, *reading[0]))
        text = "\0\0" + encode_parts(chunks[0], chunks[-1], *said).decode()
    collections = _collections(event, kind, readings)
    return b"\0".join((text.encode(), *collections)) if collections else text.encode()


def _chunks(readings: Readings) -> tuple[list[str], int]:
    """Returns the texts that are set, each group's after its path, and how many separators they bring."""
    chunks: list[str] = []
    breaks = 0
    for group, (values, joined) in readings.items():
        if len(joined) >= len(values) and group is not HUMAN_CHECK:  # more than its separators
            chunks.append(group.path)
            chunks.append(joined)
            breaks += len(values) + 1
    return chunks, breaks


def _numbers(event: EventLike, kind: str | None, readings: Readings) -> str:
    """Writes what is no text: kinds, states, amounts; each with its name, so that none is taken for another."""
    numbers = f"{event.context.observed_by}" if CONTEXT in readings else "0"
    if CONSENT in readings:
        states = _consent_states(event.consent)
        if any(states):
            numbers += f";consent={states}"
    if kind == "touchpoint":
        touchpoint = event.touchpoint
        numbers += f";kind={touchpoint.kind}"
        if touchpoint.HasField("landing"):
            numbers += f";landing={touchpoint.landing:d}"
        return numbers + _money(touchpoint, "cost")
    if kind == "conversion":
        conversion = event.conversion
        numbers += f";customer={conversion.customer_type};source={conversion.value_source}"
        if RECURRENCE in readings:
            recurrence = conversion.recurrence
            numbers += f";cycle={recurrence.kind},{recurrence.period.seconds},{recurrence.period.nanos}"
        return numbers + _money(conversion, "value") + _amounts(conversion)
    if kind == "adjustment":
        adjustment = event.adjustment
        numbers += f";reason={adjustment.reason};target={adjustment.WhichOneof('target')}"
        return numbers + _money(adjustment, "amount") + _amounts(adjustment)
    return numbers


def _money(message: MessageLike, field: str) -> str:
    if not message.HasField(field):
        return ""
    money = getattr(message, field)
    return f";{field}={money.amount_micros},{len(money.currency_code)}:{money.currency_code}"


def _amounts(message: Any) -> str:
    if not message.HasField("amounts"):
        return ""
    amounts = message.amounts
    names = (name for name in _AMOUNTS if amounts.HasField(f"{name}_micros"))
    return "".join([f";{name}={getattr(amounts, f'{name}_micros')}" for name in names])


def _collections(event: EventLike, kind: str | None, readings: Readings) -> list[bytes]:
    """Writes lists in their order and maps by key, each with its name and length."""
    found: list[bytes] = []
    if IDENTIFIERS in readings:
        identifiers = event.identifiers
        if identifiers.device_ids:
            found.append(_listed("device_ids", identifiers.device_ids))
        for name in ADVERTISING_ID_FIELDS:  # as if there were no such field where it is empty: digests of before stay
            if advertising_ids := getattr(identifiers, name):
                found.append(_listed(name, advertising_ids))
        if identifiers.other_ids:
            found.append(_mapped("other_ids", identifiers.other_ids))
    if event.properties:
        found.append(_mapped("properties", event.properties))
    if kind == "conversion":
        conversion = event.conversion
        if conversion.coupon_codes:
            found.append(_listed("coupon_codes", conversion.coupon_codes))
        if conversion.pixel_event_ids:
            found.append(_mapped("pixel_event_ids", conversion.pixel_event_ids))
        found.extend(_items(conversion.items))
    elif kind == "adjustment":
        found.extend(_items(event.adjustment.items))
    return found


def _listed(name: str, values: Sequence[str]) -> bytes:
    return encode_parts(name, str(len(values)), *(values if len(values) <= _MOST_READ else ()))


def _items(items: Sequence[Any]) -> list[bytes]:
    return list(map(_item, items)) if len(items) <= _MOST_READ else [_listed("items", items)]


def _mapped(name: str, values: Any) -> bytes:
    if len(values) > _MOST_READ:
        return encode_parts(name, str(len(values)))
    return encode_parts(name, str(len(values)), *(text for pair in sorted(values.items()) for text in pair))


def _item(item: Any) -> bytes:
    """Writes a line of an order, as `encode_parts` does; an order has many."""
    item_id, name, category, brand, number = _read_item(item)
    quantity = str(number)
    price = str(item.price_micros) if item.HasField("price_micros") else ""
    return (
        f"4:item{len(item_id)}:{item_id}{len(name)}:{name}{len(category)}:{category}{len(brand)}:{brand}"
        f"{len(quantity)}:{quantity}{len(price)}:{price}"
    ).encode()
