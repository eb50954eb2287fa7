"""The destination types: what each is called in `workspaces.yaml`, and the module that speaks its language."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tributary_delivery.destinations.destination import Destination, MakeDestination
from tributary_delivery.destinations.webhook import Webhook

DESTINATIONS: Final[Mapping[str, MakeDestination]] = {
    "webhook": Webhook,
}
"""Type -> how one is made from what `workspaces.yaml` says of it."""

__all__ = ["DESTINATIONS", "Destination", "MakeDestination"]
