"""Keyword arguments -> events of the contract.

The one rule: what is said is passed on as it is. Only the server decides whether it is right, so that an old client
refuses nothing that a new server takes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC
from typing import Any, Final, TypeVar, cast

from google.protobuf.timestamp_pb2 import Timestamp

from tributary.event.v1 import adjustment_pb2, consent_pb2, context_pb2, conversion_pb2, event_pb2, touchpoint_pb2
from tributary.event.v1.adjustment_pb2 import Adjustment
from tributary.event.v1.click_ids_pb2 import BrowserIds, ClickIds
from tributary.event.v1.consent_pb2 import Consent
from tributary.event.v1.context_pb2 import Context
from tributary.event.v1.conversion_pb2 import Conversion
from tributary.event.v1.event_pb2 import Event, Experiment
from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary.event.v1.touchpoint_pb2 import Touchpoint, Utm
from tributary_client.amounts import to_money
from tributary_client.event_ids import new_event_id
from tributary_client.fields import AdjustmentFields, ConversionFields, EventFields, TouchpointFields, TouchpointKind

Made = TypeVar("Made")

_IDENTIFIERS: Final = frozenset(
    (
        "customer_id",
        "visitor_id",
        "device_ids",
        "apple_advertising_ids",
        "android_advertising_ids",
        "email",
        "email_sha256",
        "phone",
        "phone_sha256",
        "other_ids",
        "address",
    )
)
_CONTEXT: Final = frozenset(
    ("client_ip", "user_agent", "page_url", "referrer_url", "language", "app_id", "app_version", "observed_by")
)
_AS_THEY_ARE: Final = frozenset(("session_id", "human_check", "properties"))
_TOUCHPOINT: Final = frozenset(("ad", "interaction_id", "landing", "coupon_code", "title"))
_CONVERSION: Final = frozenset(
    (
        "order_id", "store", "amounts", "pixel_event_id", "pixel_event_ids", "recurrence", "lead", "coupon_codes",
        "items",
    )
)  # fmt: skip
_ADJUSTMENT: Final = frozenset(("order_id", "conversion_id", "store", "cycle", "adjustment_id", "amounts", "items"))
_LISTS: Final = frozenset(("device_ids", "apple_advertising_ids", "android_advertising_ids", "coupon_codes"))
_PURPOSES: Final = frozenset(field.name for field in Consent.DESCRIPTOR.fields if field.enum_type is not None)
_UTM: Final = "utm_"


def touchpoint(kind: TouchpointKind, fields: TouchpointFields, now_nanos: int) -> Event:
    """Returns a touchpoint.

    Args:
        kind: What kind of contact it was.
        fields: What else is known.
        now_nanos: Unix time, for an event without a time of its own.

    Raises:
        TypeError: A field that there is not, or of another type.
        ValueError: A value that cannot be written: an amount that is not exact, a time without zone.
    """
    given = cast("dict[str, Any]", dict(fields))
    made = _made(Touchpoint, _pick(given, _TOUCHPOINT))
    made.kind = _number(touchpoint_pb2.TouchpointKind, "TOUCHPOINT_KIND", kind)
    utm = {name.removeprefix(_UTM): given.pop(name) for name in list(given) if name.startswith(_UTM)}
    if utm:
        made.utm.CopyFrom(_made(Utm, utm, _UTM))
    if "cost" in given:
        made.cost.CopyFrom(to_money(given.pop("cost"), given.pop("currency", None)))
    return _event(given, now_nanos, touchpoint=made)


def conversion(name: str, fields: ConversionFields, now_nanos: int) -> Event:
    """Returns a conversion; arguments and errors as `touchpoint`."""
    given = cast("dict[str, Any]", dict(fields))
    made = _made(Conversion, {"name": name, **_pick(given, _CONVERSION)})
    if "value" in given:
        made.value.CopyFrom(to_money(given.pop("value"), given.pop("currency", None)))
    is_new = given.pop("is_new_customer", None)
    if is_new is not None:
        made.customer_type = conversion_pb2.CUSTOMER_TYPE_NEW if is_new else conversion_pb2.CUSTOMER_TYPE_RETURNING
    return _event(given, now_nanos, conversion=made)


def adjustment(reason: str, conversion_name: str, fields: AdjustmentFields, now_nanos: int) -> Event:
    """Returns a change to a conversion; other arguments and errors as `touchpoint`.

    Args:
        reason: "refund", "restatement", "retraction", "chargeback" or "reversal".
        conversion_name: The conversion's.
        fields: Which conversion, and what else is known.
        now_nanos: As for `touchpoint`.
    """
    given = cast("dict[str, Any]", dict(fields))
    made = _made(Adjustment, {"conversion_name": conversion_name, **_pick(given, _ADJUSTMENT)})
    made.reason = _number(adjustment_pb2.AdjustmentReason, "ADJUSTMENT_REASON", reason)
    if "conversion_event_id" in given:
        made.event_id = given.pop("conversion_event_id")
    if "value" in given:
        made.amount.CopyFrom(to_money(given.pop("value"), given.pop("currency", None)))
    return _event(given, now_nanos, adjustment=made)


def identify(fields: EventFields, now_nanos: int) -> Event:
    """Returns what says that identifiers are one person's; arguments and errors as `touchpoint`."""
    return _event(cast("dict[str, Any]", dict(fields)), now_nanos, identify=event_pb2.Identify())


def consent_change(fields: EventFields, now_nanos: int) -> Event:
    """Returns a decision about consent, made when the event happened; arguments and errors as `touchpoint`."""
    event = _event(cast("dict[str, Any]", dict(fields)), now_nanos, consent_change=event_pb2.ConsentChange())
    if not event.consent.HasField("consent_time"):
        event.consent.consent_time.CopyFrom(event.event_time)
    return event


def _event(given: dict[str, Any], now_nanos: int, **kind: Any) -> Event:
    given.pop("traceparent", None)  # travels beside the event
    event_id = given.pop("event_id", "") or new_event_id()
    event_time = _time(given.pop("event_time", None), now_nanos)
    event = _made(Event, {"event_id": event_id, "event_time": event_time, **_pick(given, _AS_THEY_ARE), **kind})
    identifiers = _pick(given, _IDENTIFIERS)
    if identifiers:
        event.identifiers.CopyFrom(_made(Identifiers, identifiers))
    context = _pick(given, _CONTEXT)
    if context:
        if "observed_by" in context:
            context["observed_by"] = _number(context_pb2.Observer, "OBSERVER", context["observed_by"])
        event.context.CopyFrom(_made(Context, context))
    for name, message in (("click_ids", ClickIds), ("browser_ids", BrowserIds)):
        if name in given:
            getattr(event, name).CopyFrom(_message(message, given.pop(name)))
    if "consent" in given:
        event.consent.CopyFrom(_consent(given.pop("consent")))
    if "origin" in given:
        event.origin = _number(event_pb2.Origin, "ORIGIN", given.pop("origin"))
    if "traffic" in given:
        event.traffic = _number(event_pb2.Traffic, "TRAFFIC", given.pop("traffic"))
    if "experiment" in given:
        experiment_id, arm = given.pop("experiment")
        event.experiment.CopyFrom(Experiment(id=experiment_id, arm=arm))
    if given:
        raise TypeError(f"Such an event has no field {sorted(given)[0]!r}.")
    return event


def _pick(given: dict[str, Any], names: frozenset[str]) -> dict[str, Any]:
    return {name: given.pop(name) for name in list(given) if name in names}


def _time(given: Any, now_nanos: int) -> Timestamp:
    if given is None:
        return Timestamp(seconds=now_nanos // 1_000_000_000, nanos=now_nanos % 1_000_000_000 // 1_000 * 1_000)
    if given.tzinfo is None:
        raise ValueError("event_time needs a time zone: datetime.now(UTC), not datetime.now().")
    time = Timestamp()
    time.FromDatetime(given.astimezone(UTC))
    return time


def _number(enum: Any, prefix: str, name: str) -> Any:
    try:
        return enum.Value(f"{prefix}_{name.upper()}")
    except ValueError:
        known = ", ".join(one.removeprefix(f"{prefix}_").lower() for one in enum.keys()[1:])
        raise ValueError(f"{name!r} is none of {known}.") from None


def _message(kind: type, given: Any) -> Any:
    return given if isinstance(given, kind) else _made(kind, given)


def _made(kind: Callable[..., Made], given: Mapping[str, Any], prefix: str = "") -> Made:
    """Returns a message of these fields.

    Raises:
        TypeError: A field is of another type; protobuf itself does not say which, and takes a text for a list of texts.
    """
    for name in _LISTS & given.keys():
        if isinstance(given[name], str | bytes):
            message = f"{prefix}{name} is a list: a text alone would be taken letter by letter."
            raise TypeError(message)
    try:
        return kind(**given)
    except TypeError:
        for name, value in given.items():
            try:
                kind(**{name: value})
            except TypeError as error:
                message = f"{prefix}{name} cannot be of type {type(value).__name__}."
                raise TypeError(message) from error
        raise


def _consent(given: Consent | Mapping[str, Any]) -> Consent:
    if isinstance(given, Consent):
        return given
    granted, denied = consent_pb2.CONSENT_STATE_GRANTED, consent_pb2.CONSENT_STATE_DENIED
    said: dict[str, Any] = dict(given)
    for purpose in _PURPOSES & said.keys():
        is_granted = said[purpose]
        if not isinstance(is_granted, bool):  # a text is true, "denied" as well
            message = f"consent[{purpose!r}] is True (granted) or False (denied), not {is_granted!r}."
            raise TypeError(message)
        said[purpose] = granted if is_granted else denied
    return _made(Consent, said)
