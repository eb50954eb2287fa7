"""Any destination of `workspaces.yaml`, told apart by its `type`."""

from typing import Annotated

from pydantic import Field

from tributary_runtime.ad_destinations import (
    GoogleDestination,
    LinkedInDestination,
    MetaDestination,
    TikTokDestination,
)
from tributary_runtime.destination_settings import WebhookDestination

Destination = Annotated[
    WebhookDestination | GoogleDestination | MetaDestination | LinkedInDestination | TikTokDestination,
    Field(discriminator="type"),
]
"""One of them."""
