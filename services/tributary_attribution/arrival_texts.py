"""The texts that events refer to and journeys do not hold."""

from __future__ import annotations

from tributary_attribution.arrivals import ArrivalReader
from tributary_attribution.steps import together
from tributary_storage.redis.click_ids import ClickIds
from tributary_storage.redis.descriptors import Descriptors


async def keep_texts(reader: ArrivalReader, descriptors: Descriptors, click_ids: ClickIds, life_seconds: int) -> None:
    """Writes the texts of what a reader has met, which journeys are about to refer to.

    Batches read events side by side: what another has met may be among them, and is forgotten only once it is written,
    so that whoever refers to it has written it, or knows that it was.

    Args:
        reader: Has met them.
        descriptors: Keeps the texts of sources.
        click_ids: Keeps the texts of click ids.
        life_seconds: How long the former live after this.

    Raises:
        StorageUnavailableError: The state store did not answer; run the same again.
    """
    texts, clicks = dict(reader.new_texts), dict(reader.new_clicks)
    await together(descriptors.write(texts, life_seconds), click_ids.write(clicks))
    for text in texts:
        reader.new_texts.pop(text, None)
    for click in clicks:
        reader.new_clicks.pop(click, None)
