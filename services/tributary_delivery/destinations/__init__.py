"""The destination types: what each is called in `workspaces.yaml`, and the module that speaks its language."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from tributary_delivery.destinations import google, linkedin
from tributary_delivery.destinations.adapter import Adapter
from tributary_delivery.destinations.destination import Destination, MakeDestination
from tributary_delivery.destinations.google import Google
from tributary_delivery.destinations.linkedin import LinkedIn
from tributary_delivery.destinations.meta import Meta
from tributary_delivery.destinations.tiktok import TikTok
from tributary_delivery.destinations.webhook import Webhook

DESTINATIONS: Final[Mapping[str, MakeDestination]] = {
    "webhook": Webhook,
}
"""Type -> how one is made from what `workspaces.yaml` says of it: those that take one conversion per call."""

ADAPTERS: Final[Mapping[str, Callable[[Any], Adapter]]] = {
    "google": Google,
    "linkedin": LinkedIn,
    "meta": Meta,
    "tiktok": TikTok,
}
"""The same, of those that take many."""

TOKEN_URLS: Final[Mapping[str, str]] = {
    "google": google.TOKEN_URL,
    "linkedin": linkedin.TOKEN_URL,
}
"""Type -> where access tokens are obtained with a refresh token."""

__all__ = ["ADAPTERS", "DESTINATIONS", "TOKEN_URLS", "Destination", "MakeDestination"]
