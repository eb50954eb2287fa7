"""The texts of an event: which there are, how long each may be, and which of them say what the event is.

One table, read by validation (length) and by the payload digest (content), so that a field that is checked is never
forgotten in the digest. The one rule: the digest is kept with every claim, so a changed group is a new version of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from operator import attrgetter, gt
from typing import Any, Final

from tributary_domain.event_shape import EventLike
from tributary_domain.personal import holds_personal, may_hold_personal
from tributary_domain.reasons import Reason, ReasonCode

IDENTIFIER_CHARACTERS: Final = 256
CLICK_ID_CHARACTERS: Final = 512


class Personal(Enum):
    """What becomes of a text that holds an e-mail address or a phone number, of the choices that lose nothing."""

    SEALED = "sealed"
    """It is a place for one, or has rules of its own: taken out before anything is stored."""
    REFUSED = "refused"
    """Words for people: the event is REJECTED, to be mended and sent again."""
    REPLACED = "replaced"
    """An id: a keyed token stands for it, the same for the same id, so that it counts and matches as before."""
    CUT = "cut"
    """Nothing could be done with it: taken out."""


@dataclass(frozen=True, slots=True, eq=False)
class TextGroup:
    """The texts of one message. Compared by identity: there is one of each."""

    path: str
    """Where the message is in the event: "touchpoint.utm"; empty for the event itself."""
    names: tuple[str, ...]
    """The fields, in the order in which they are read."""
    limits: tuple[int, ...]
    """The most characters of each."""
    shortest: int
    """The smallest of the limits: where all texts together are no longer, none is too long."""
    read: Callable[[Any], tuple[str, ...]]
    """Reads them all from the message."""
    personal: Personal
    """What becomes of an e-mail address or a phone number in one of them."""

    def limit(self, name: str) -> int:
        """Returns the most characters of one of its fields."""
        return self.limits[self.names.index(name)]

    def field(self, position: int) -> str:
        """Returns the path of one of its fields."""
        return f"{self.path}.{self.names[position]}" if self.path else self.names[position]


Reading = tuple[tuple[str, ...], str]
"""What the texts of one message hold, in the order of the group's fields; and all of them joined by NULs."""


Readings = dict[TextGroup, Reading]
"""What the texts of an event hold, per message that is set, in the order of the tables below."""


def _group(path: str, personal: Personal, **limits: int) -> TextGroup:
    names, most = tuple(limits), tuple(limits.values())
    read = attrgetter(*names) if len(names) > 1 else _one_text(names[0])
    return TextGroup(path, names, most, min(most), read, personal)


def _one_text(name: str) -> Callable[[Any], tuple[str, ...]]:
    return lambda message: (getattr(message, name),)


def _words(text: str) -> list[str]:
    return text.split()


def _alike(path: str, limit: int, names: str, personal: Personal) -> TextGroup:
    return _group(path, personal, **dict.fromkeys(_words(names), limit))


EVENT = _group("", Personal.REPLACED, session_id=128)
TOUCHPOINT = _group("touchpoint", Personal.REFUSED, interaction_id=128, coupon_code=64, title=256)
UTM = _alike("touchpoint.utm", 512, "source medium campaign term content id source_platform", Personal.REFUSED)
AD = _group(
    "touchpoint.ad",
    Personal.REFUSED,
    destination=64,
    account_id=512,
    campaign_id=512,
    campaign_name=512,
    adset_id=512,
    ad_id=512,
    creative_id=512,
    keyword=512,
    match_type=512,
    network=512,
    placement=512,
)
CONVERSION = _group("conversion", Personal.REPLACED, name=64, order_id=128, store=64, pixel_event_id=128)
RECURRENCE = _group("conversion.recurrence", Personal.REPLACED, subscription_id=128, cycle=64)
LEAD = _group("conversion.lead", Personal.REPLACED, lead_id=128, root_order_id=128, stage=64)
ADJUSTMENT = _group(
    "adjustment",
    Personal.REPLACED,
    conversion_name=64,
    store=64,
    order_id=128,
    event_id=128,
    conversion_id=128,
    adjustment_id=128,
    cycle=64,
)
IDENTIFIERS = _alike(
    "identifiers",
    IDENTIFIER_CHARACTERS,
    "customer_id visitor_id email email_sha256 phone phone_sha256",
    Personal.SEALED,
)
ADDRESS = _alike(
    "identifiers.address",
    256,
    "given_name family_name street city region postal_code country_code",
    Personal.SEALED,
)
CLICK_IDS = _alike(
    "click_ids",
    CLICK_ID_CHARACTERS,
    "gclid gbraid wbraid gad_source gad_campaignid gclsrc dclid srsltid fbclid msclkid ttclid li_fat_id twclid epik "
    "sc_cid rdt_cid irclickid yclid awc cjevent ran_site_id sscid tblci dicbo qclid vmcid mc_cid hsenc igshid kx",
    Personal.CUT,
)
BROWSER_IDS = _alike(
    "browser_ids", 512, "fbp fbc ttp scid rdt_uuid ga_client_id ga_session_id gcl_aw hubspotutk uetvid", Personal.CUT
)
CONTEXT = _group(
    "context",
    Personal.SEALED,
    client_ip=64,
    user_agent=1024,
    page_url=4096,
    referrer_url=4096,
    language=35,
    app_id=128,
    app_version=64,
)
_FIRST_KEPT_OF_CONTEXT: Final = CONTEXT.names.index("language")
_KEPT_OF_CONTEXT: Final = range(_FIRST_KEPT_OF_CONTEXT, len(CONTEXT.names))
"""Of a context that is kept as it is: language, app and its version. The rest is taken out, or has rules of its own."""
CONSENT = _group("consent", Personal.CUT, tcf_string=4096, gpp_string=4096, region=16, source=64)
EXPERIMENT = _group("experiment", Personal.REPLACED, id=64, arm=64)
HUMAN_CHECK = _group("human_check", Personal.SEALED, token=4096)

_KINDS: Final[dict[str | None, tuple[TextGroup | None, tuple[tuple[str, TextGroup], ...]]]] = {
    "touchpoint": (TOUCHPOINT, (("utm", UTM), ("ad", AD))),
    "conversion": (CONVERSION, (("recurrence", RECURRENCE), ("lead", LEAD))),
    "adjustment": (ADJUSTMENT, ()),
}
"""Kind -> its own texts, and those of its parts."""

_NO_KIND: Final[tuple[None, tuple[tuple[str, TextGroup], ...]]] = (None, ())

_PARTS: Final = (
    ("identifiers", IDENTIFIERS),
    ("click_ids", CLICK_IDS),
    ("browser_ids", BROWSER_IDS),
    ("context", CONTEXT),
    ("consent", CONSENT),
    ("experiment", EXPERIMENT),
    ("human_check", HUMAN_CHECK),
)
"""The parts that any kind may have."""


def read_texts(event: EventLike, kind: str | None) -> Readings:
    """Reads every text of an event once; what is unset is not visited.

    Args:
        event: The event.
        kind: `event.WhichOneof("kind")`.
    """
    joined_by = "\0".join
    values = EVENT.read(event)
    readings: Readings = {EVENT: (values, values[0])}
    own, parts = _KINDS.get(kind, _NO_KIND)
    if own is not None and kind is not None:
        message = getattr(event, kind)
        values = own.read(message)
        readings[own] = values, joined_by(values)
        has = message.HasField
        for name, group in parts:
            if has(name):
                values = group.read(getattr(message, name))
                readings[group] = values, joined_by(values)
    has = event.HasField
    for name, group in _PARTS:
        if has(name):
            values = group.read(getattr(event, name))
            readings[group] = values, joined_by(values)
    if IDENTIFIERS in readings and event.identifiers.HasField("address"):
        values = ADDRESS.read(event.identifiers.address)
        readings[ADDRESS] = values, joined_by(values)
    return readings


def check_texts(readings: Readings, *, may_be_personal: bool = True) -> list[Reason]:
    """Returns a reason per text that is longer than its field allows, or that must not hold what is personal.

    Args:
        readings: The texts.
        may_be_personal: False where it is known that none of them holds an address or a phone number.
    """
    found: list[Reason] = []
    for group, (values, joined) in readings.items():
        if len(joined) > group.shortest and any(map(gt, map(len, values), group.limits)):
            for position, (value, limit) in enumerate(zip(values, group.limits, strict=True)):
                if len(value) > limit:
                    message = f"Longer than {limit} characters."
                    found.append(Reason(ReasonCode.FIELD_TOO_LONG, group.field(position), message))
        if may_be_personal and group.personal is Personal.REFUSED and may_hold_personal(joined):
            for position, (value, limit) in enumerate(zip(values, group.limits, strict=True)):
                if len(value) <= limit and holds_personal(value):  # else it is refused, and not kept, for its length
                    found.append(personal(group.field(position)))
    return found


def personal_texts(readings: Readings) -> list[tuple[TextGroup, int]]:
    """Returns each text (group, position) that holds an address or a phone number and is to be replaced or cut."""
    found: list[tuple[TextGroup, int]] = []
    for group, (values, joined) in readings.items():
        if group is CONTEXT:
            found += [(group, at) for at in _KEPT_OF_CONTEXT if holds_personal(values[at])]
        elif (group.personal is Personal.REPLACED or group.personal is Personal.CUT) and may_hold_personal(joined):
            found += [(group, at) for at, value in enumerate(values) if holds_personal(value)]
    return found


def may_be_personal(event_id: str, readings: Readings) -> bool:
    """Tells whether any text that is stored may hold an address or a phone number; false for nearly all, and quick.

    Args:
        event_id: The event's.
        readings: Its texts.
    """
    said = [joined for group, (_, joined) in readings.items() if group.personal is not Personal.SEALED]
    context = readings.get(CONTEXT)
    if context is not None:
        said += context[0][_FIRST_KEPT_OF_CONTEXT:]
    return may_hold_personal("\0".join([event_id, *said]))


def personal(field: str) -> Reason:
    """Returns why a text that looks like an e-mail address or a phone number is refused."""
    message = (
        "This looks like an e-mail address or a phone number in the clear: send it among identifiers, to be hashed."
    )
    return Reason(ReasonCode.PERSONAL_DATA_IN_CLEAR, field, message)
