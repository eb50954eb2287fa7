"""Where a touch came from <-> the 64-bit number that stands for it in a journey.

The number is a digest of the text, so equal sources are equal numbers everywhere and for ever. Click ids are not part
of it: they are unique, and two clicks of one campaign came from one source.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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


class TouchSources:
    """Turns evidence into descriptors; remembers what it has seen, because sources repeat."""

    def __init__(self) -> None:
        """Remembers nothing yet."""
        self._seen: dict[tuple[bytes, bytes], tuple[int, bytes]] = {}

    def describe(self, evidence: ChannelEvidence, ad: Ad | None) -> tuple[int, bytes]:
        """Returns the descriptor of a touch and the text it stands for.

        Args:
            evidence: How the door decided; loses its click ids here.
            ad: The ad the caller named, if one.
        """
        evidence.ClearField("click_ids")
        key = evidence.SerializeToString(), b"" if ad is None else ad.SerializeToString()
        found = self._seen.get(key)
        if found is None:
            if len(self._seen) >= _CACHED:
                self._seen.clear()
            found = self._seen[key] = descriptor_of(_source(evidence, ad))
        return found


def _source(evidence: ChannelEvidence, ad: Ad | None) -> TouchSource:
    return TouchSource(
        channel=evidence.channel,
        sub_channel=evidence.sub_channel,
        source=evidence.source,
        medium=evidence.medium,
        campaign=evidence.campaign,
        campaign_id=evidence.campaign_id,
        term=evidence.term,
        content=evidence.content,
        ad=ad,
        rule=evidence.rule,
    )


def descriptor_of(source: TouchSource) -> tuple[int, bytes]:
    """Returns the descriptor of a source, and its text.

    Args:
        source: Without click ids.
    """
    text = source.SerializeToString(deterministic=True)
    return (DIRECT_DESCRIPTOR if text == DIRECT_TEXT else digest_of(text)), text


class SourceCache:
    """Texts of sources -> sources, each parsed once. Only speed: what it forgets is parsed again."""

    def __init__(self) -> None:
        """Remembers nothing yet."""
        self._parsed: dict[bytes, TouchSource] = {}

    def reading(self, texts: Mapping[tuple[str, int], bytes]) -> Callable[[str, int], TouchSource | None]:
        """Returns what leads from (workspace, descriptor) to a source, not to be changed; None: not among the texts.

        Args:
            texts: (workspace, descriptor) -> text, of a batch; as `Descriptors.read` answers.
        """
        sources = {place: self._parse(text) for place, text in texts.items()}

        def source_of(workspace: str, descriptor: int) -> TouchSource | None:
            return DIRECT_SOURCE if descriptor == DIRECT_DESCRIPTOR else sources.get((workspace, descriptor))

        return source_of

    def _parse(self, text: bytes) -> TouchSource:
        source = self._parsed.get(text)
        if source is None:
            if len(self._parsed) >= _CACHED:
                self._parsed.clear()
            source = self._parsed[text] = TouchSource.FromString(text)
        return source
