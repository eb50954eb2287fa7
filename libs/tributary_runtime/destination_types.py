"""Any destination of `workspaces.yaml`, told apart by its `type`."""

from typing import Annotated

from pydantic import Field

from tributary_runtime.ad_destinations import (
    GoogleDestination,
    LinkedInDestination,
    MetaDestination,
    TikTokDestination,
)
from tributary_runtime.crm_destinations import HubSpotDestination, SalesforceDestination
from tributary_runtime.destination_settings import WebhookDestination
from tributary_runtime.search_destinations import GoogleAdsDestination, MicrosoftDestination
from tributary_runtime.social_destinations import PinterestDestination, RedditDestination, SnapDestination
from tributary_runtime.warehouse_destinations import WarehouseDestination

Destination = Annotated[
    WebhookDestination
    | GoogleDestination
    | GoogleAdsDestination
    | HubSpotDestination
    | LinkedInDestination
    | MetaDestination
    | MicrosoftDestination
    | PinterestDestination
    | RedditDestination
    | SalesforceDestination
    | SnapDestination
    | TikTokDestination
    | WarehouseDestination,
    Field(discriminator="type"),
]
"""One of them."""
