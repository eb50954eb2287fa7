"""The destination types: what each is called in `workspaces.yaml`, and the module that speaks its language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tributary_delivery.destinations import google, hubspot, linkedin, microsoft, reddit
from tributary_delivery.destinations.adapter import Adapter
from tributary_delivery.destinations.destination import Destination, MakeDestination
from tributary_delivery.destinations.google import Google
from tributary_delivery.destinations.google_ads import GoogleAds
from tributary_delivery.destinations.hubspot import HubSpot
from tributary_delivery.destinations.linkedin import LinkedIn
from tributary_delivery.destinations.meta import Meta
from tributary_delivery.destinations.microsoft import Microsoft
from tributary_delivery.destinations.pinterest import Pinterest
from tributary_delivery.destinations.reddit import Reddit
from tributary_delivery.destinations.salesforce import Salesforce
from tributary_delivery.destinations.snap import Snap
from tributary_delivery.destinations.tiktok import TikTok
from tributary_delivery.destinations.webhook import Webhook

DESTINATIONS: Final[Mapping[str, MakeDestination]] = {
    "webhook": Webhook,
}
"""Type -> how one is made from what `workspaces.yaml` says of it: those that take one conversion per call."""

ADAPTERS: Final[Mapping[str, Callable[[Any], Adapter]]] = {
    "google": Google,
    "google_ads": GoogleAds,
    "hubspot": HubSpot,
    "linkedin": LinkedIn,
    "meta": Meta,
    "microsoft": Microsoft,
    "pinterest": Pinterest,
    "reddit": Reddit,
    "salesforce": Salesforce,
    "snap": Snap,
    "tiktok": TikTok,
}
"""The same, of those that take many."""

TOKEN_URLS: Final[Mapping[str, str]] = {
    "google": google.TOKEN_URL,
    "google_ads": google.TOKEN_URL,
    "hubspot": hubspot.TOKEN_URL,
    "linkedin": linkedin.TOKEN_URL,
    "microsoft": microsoft.TOKEN_URL,
    "reddit": reddit.TOKEN_URL,
}
"""Type -> where access tokens are obtained with a refresh token."""

__all__ = ["ADAPTERS", "DESTINATIONS", "TOKEN_URLS", "Destination", "MakeDestination"]
