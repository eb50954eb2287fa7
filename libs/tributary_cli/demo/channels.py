"""The eight channels of the demo, each as a browser's visit shows it: page, referrer, click id.

Only what a real visit carries; that it is "Paid Search" is for the door to find out.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from tributary.event.v1.event_pb2 import Event

SHOP: Final = "https://shop.example"
"""The advertiser's own site."""

DIRECT: Final = "Direct"


def _direct(event: Event, click: str) -> None:
    event.context.page_url = f"{SHOP}/"


def _organic_search(event: Event, click: str) -> None:
    event.context.page_url = f"{SHOP}/guides/running-shoes"
    event.context.referrer_url = "https://www.google.com/"


def _paid_search(event: Event, click: str) -> None:
    event.context.page_url = f"{SHOP}/sale?utm_source=google&utm_medium=cpc&utm_campaign=brand&gclid=G{click}"
    event.context.referrer_url = "https://www.google.com/"


def _paid_social(event: Event, click: str) -> None:
    event.context.page_url = f"{SHOP}/new?utm_source=facebook&utm_medium=paid_social&utm_campaign=spring"
    event.context.referrer_url = "https://l.facebook.com/"
    event.click_ids.fbclid = f"F{click}"


def _email(event: Event, click: str) -> None:
    event.context.page_url = f"{SHOP}/offer?utm_source=newsletter&utm_medium=email&utm_campaign=week-{click[:2]}"


def _display(event: Event, click: str) -> None:
    event.context.page_url = f"{SHOP}/?utm_source=dv360&utm_medium=display&utm_campaign=reach&dclid=D{click}"


def _referral(event: Event, click: str) -> None:
    event.context.page_url = f"{SHOP}/review"
    event.context.referrer_url = "https://blog.runners.example/best-shoes"


def _affiliates(event: Event, click: str) -> None:
    event.context.page_url = f"{SHOP}/deal?utm_source=awin&utm_medium=affiliate&utm_campaign=partner&awc=A{click}"


CHANNELS: Final[dict[str, Callable[[Event, str], None]]] = {
    DIRECT: _direct,
    "Organic Search": _organic_search,
    "Paid Search": _paid_search,
    "Paid Social": _paid_social,
    "Email": _email,
    "Display": _display,
    "Referral": _referral,
    "Affiliates": _affiliates,
}
"""Channel -> what makes an event look like a visit through it; the second argument is a text unique per click."""

WEIGHTS: Final = (22, 20, 18, 12, 10, 8, 6, 4)
"""How common each channel is, in the order of `CHANNELS`."""
