"""The click ids that an event carries itself, in its fields or in the URL of its page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tributary.event.v1.event_pb2 import Event
from tributary_domain.channel_evidence import VISIT, Touch, click_ids_of
from tributary_domain.click_id_proofs import names_a_click
from tributary_domain.urls import read_url

NOT_ONE_CLICK: Final = frozenset(
    {"gbraid", "wbraid", "gad_source", "gad_campaignid", "gclsrc", "srsltid", "mc_cid", "hsenc", "igshid", "kx"}
)
"""Click ids that many clicks share, or that follow a person around."""

_NONE: Final[Mapping[str, str]] = {}


def own_click_ids(event: Event) -> Mapping[str, str]:
    """Returns them by family, in the order in which a visit to the page would have them.

    >>> event = Event()
    >>> event.context.page_url = "https://shop.example/thanks?gclid=a"
    >>> own_click_ids(event)
    {'gclid': 'a'}
    """
    page_url = event.context.page_url
    if not (page_url or event.HasField("click_ids")):
        return _NONE
    said = {field.name: value for field, value in event.click_ids.ListFields() if isinstance(value, str)}
    own = {family: value for family, value in said.items() if names_a_click(value)}
    return click_ids_of(Touch(VISIT, read_url(page_url), click_ids=own))
