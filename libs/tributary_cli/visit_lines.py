"""JSON Lines of visits: what is known of each -> its channel, and whether a bot made it.

The rules are the door's own. A line that is no visit is said with its number and never stops the others; nothing is
kept of a line once it is answered.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Any, Final

from tributary_cli.json_lines import BadLineError, check_text, read_object
from tributary_domain.addresses import AddressBook, read_address
from tributary_domain.bots import AgentKind, Observer, judge_user_agent
from tributary_domain.channel import CHANNEL_RULES_VERSION, ChannelClassifier
from tributary_domain.channel_evidence import VISIT, Touch, click_ids_of
from tributary_domain.texts import CLICK_ID_CHARACTERS, CONTEXT
from tributary_domain.urls import read_referrer, read_url

FIELDS: Final = {
    **{name: CONTEXT.limit(name) for name in ("user_agent", "client_ip", "page_url", "referrer_url")},
    **dict.fromkeys(("utm_source", "utm_medium", "utm_campaign"), CLICK_ID_CHARACTERS),
}
"""What a line may have -> its most characters."""
_PLAIN: Final = {name.replace("_", ""): name for name in FIELDS}
_OTHER_NAMES: Final = {
    **dict.fromkeys(("referer", "referrer", "httpreferer", "httpreferrer", "documentreferrer", "ref"), "referrer_url"),
    **dict.fromkeys(("ua", "agent", "browser", "httpuseragent"), "user_agent"),
    **dict.fromkeys(("ip", "ipaddress", "clientipaddress", "remoteaddr", "remoteip", "userip"), "client_ip"),
    **dict.fromkeys(("url", "page", "pagelocation", "landingpage", "landingurl", "location"), "page_url"),
    **{name: f"utm_{name}" for name in ("source", "medium", "campaign")},
}
"""What others call a field, in small letters without what stands between them."""
_AS_GOOD_AS_SPELT: Final = 0.9
"""How near a name must be to a field's: `client_id` is another thing than `client_ip`."""


def read_visit(line: bytes) -> dict[str, str]:
    """Reads what is known of a visit; what is null is left out, and so is what has nothing to do with `FIELDS`.

    Raises:
        BadLineError: It is no JSON object, a field is no text or is too long, or is meant and has another name.
    """
    said = read_object(line)
    for name, value in said.items():
        meant = "" if name in FIELDS or value is None else _meant(name)
        if meant and said.get(meant) is None:
            message = f"is not known; did you mean {meant}?"
            raise BadLineError(message, name)
    if said and not said.keys() & FIELDS.keys():
        message = f"has none of the fields that are known: {', '.join(FIELDS)}"
        raise BadLineError(message)
    visit = {name: said[name] for name in FIELDS if said.get(name) is not None}
    for name, value in visit.items():
        check_text(value, name, FIELDS[name])
    return visit


def _meant(name: str) -> str:
    """Returns which field a name that is none stands for; empty: none of them, it is of something else.

    >>> _meant("referer"), _meant("pageUrl"), _meant("utm_sorce"), _meant("utm_term"), _meant("client_id")
    ('referrer_url', 'page_url', 'utm_source', '', '')
    """
    plain = "".join(filter(str.isalnum, name.lower()))
    if plain in _OTHER_NAMES:
        return _OTHER_NAMES[plain]
    return next((_PLAIN[near] for near in get_close_matches(plain, _PLAIN, n=1, cutoff=_AS_GOOD_AS_SPELT)), "")


def classify(
    visit: dict[str, str], channels: ChannelClassifier, addresses: AddressBook, *, details: bool
) -> dict[str, Any]:
    """Returns what is decided of a visit, as the door would; what is empty is `None`.

    Args:
        visit: As `read_visit` returns it.
        channels: Of the workspace.
        addresses: The workspace's lists of networks.
        details: Whether to add what a marketer rarely asks for.
    """
    utm = tuple(visit.get(f"utm_{name}", "") for name in ("source", "medium", "campaign"))
    page, referrer = read_url(visit.get("page_url", "")), read_referrer(visit.get("referrer_url", ""))
    touch = Touch(VISIT, page, referrer, utm if any(utm) else ())
    evidence = channels.classify(touch)
    user_agent = visit.get("user_agent", "")
    agent, reason = judge_user_agent(user_agent, Observer.BROWSER, is_touchpoint=bool(user_agent))
    address = read_address(visit.get("client_ip", ""))
    address_list = addresses.find(address) if address is not None else ""
    is_bot = agent.kind is AgentKind.BOT or bool(address_list)
    answer: dict[str, Any] = {
        "channel": evidence.channel or None,
        "source": evidence.source or None,
        "medium": evidence.medium or None,
        "campaign": evidence.campaign or None,
        "click_ids": dict(click_ids_of(touch)) or None,
        "bot": is_bot,
        "bot_name": ((agent.name if agent.kind is AgentKind.BOT else "") or address_list or None) if is_bot else None,
        "rule": evidence.rule,
    }
    if details:
        answer |= {
            "sub_channel": evidence.sub_channel or None,
            "campaign_id": evidence.campaign_id or None,
            "referrer_host": evidence.referrer_host or None,
            "referrer_recovered": evidence.referrer_recovered,
            "continues_session": evidence.continues_session,
            "agent_kind": agent.kind.value if user_agent else None,
            "agent_category": agent.category or None,
            "address_list": address_list or None,
            "warnings": [reason.code.value] if reason is not None and not is_bot else [],
            "rules_version": CHANNEL_RULES_VERSION,
        }
        if evidence.utm_ignored:
            answer["warnings"].append("UTM_ON_OWN_SITE")
    return answer
