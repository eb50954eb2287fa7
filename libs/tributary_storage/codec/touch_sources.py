"""Where a touch came from <-> the 64-bit number that stands for it in a journey.

The number is a digest of the text, so equal sources are equal numbers everywhere and for ever. Click ids are not part
of it: they are unique, and two clicks of one campaign came from one source.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary.dedup.v1.admitted_events_pb2 import ChannelEvidence
from tributary.event.v1.touchpoint_pb2 import Ad
from tributary_domain.journey import DIRECT_DESCRIPTOR
from tributary_storage.redis.descriptors import digest_of

DIRECT_SOURCE: Final = TouchSource(channel="Direct", source="(direct)", medium="(none)", rule="direct")
"""A direct visit; also what the core makes of an old click id that is seen again."""

DIRECT_TEXT: Final = DIRECT_SOURCE.SerializeToString(deterministic=True)

_CACHED: Final = 50_000
_Key = tuple[str, str, str, str, str, str, str, str, str, bytes]


class TouchSources:
    """Turns evidence into descriptors; remembers what it has seen, because sources repeat."""

    def __init__(self) -> None:
        """Remembers nothing yet."""
        self._seen: dict[_Key, tuple[int, bytes]] = {}

    def describe(self, evidence: ChannelEvidence, ad: Ad | None) -> tuple[int, bytes]:
        """Returns the descriptor of a touch and the text it stands for.

        Args:
            evidence: How the door decided.
            ad: The ad the caller named, if one.
        """
        key = (
            evidence.channel,
            evidence.sub_channel,
            evidence.source,
            evidence.medium,
            evidence.campaign,
            evidence.campaign_id,
            evidence.term,
            evidence.content,
            evidence.rule,
            b"" if ad is None else ad.SerializeToString(deterministic=True),
        )
        found = self._seen.get(key)
        if found is None:
            if len(self._seen) >= _CACHED:
                self._seen.clear()
            found = self._seen[key] = _describe(key, ad)
        return found


def _describe(key: _Key, ad: Ad | None) -> tuple[int, bytes]:
    channel, sub_channel, source, medium, campaign, campaign_id, term, content, rule, _ = key
    message = TouchSource(
        channel=channel,
        sub_channel=sub_channel,
        source=source,
        medium=medium,
        campaign=campaign,
        campaign_id=campaign_id,
        term=term,
        content=content,
        ad=ad,
        rule=rule,
    )
    return descriptor_of(message)


def descriptor_of(source: TouchSource) -> tuple[int, bytes]:
    """Returns the descriptor of a source, and its text.

    Args:
        source: Without click ids.
    """
    text = source.SerializeToString(deterministic=True)
    return (DIRECT_DESCRIPTOR if text == DIRECT_TEXT else digest_of(text)), text


class SourceTexts:
    """Descriptors -> sources, of one workspace, as far as their texts are known.

    Args:
        texts: Descriptor -> text.
    """

    def __init__(self, texts: Mapping[int, bytes]) -> None:
        self._texts = texts
        self._read: dict[int, TouchSource] = {DIRECT_DESCRIPTOR: DIRECT_SOURCE}

    def __call__(self, descriptor: int) -> TouchSource:
        """Returns the source; an empty one if its text was lost."""
        source = self._read.get(descriptor)
        if source is None:
            source = self._read[descriptor] = TouchSource.FromString(self._texts.get(descriptor, b""))
        return source
