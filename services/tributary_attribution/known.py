"""All that is known of a conversion: what it is computed from (`assessment`)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tributary.attribution.v1.conversion_pb2 import SameOrder
from tributary_attribution.models import Models
from tributary_attribution.pinned_settings import PinnedSettings
from tributary_attribution.rates import Rates
from tributary_domain.lead_stages import StageStanding
from tributary_domain.revision import Cause
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_parts import ConversionPart
from tributary_storage.redis.conversions import StoredConversion
from tributary_storage.redis.firsts import FirstConversion
from tributary_storage.redis.journey_layout import Journey

MAX_CAUSING_EVENTS: Final = 16


class CausingEvent(NamedTuple):
    """An event that may have changed a conversion; the first two decide which of many are named."""

    accept_time_micros: int
    event_id: str
    traceparent: str


@dataclass(frozen=True, slots=True)
class Known:
    """All that is known of a conversion."""

    workspace: Workspace
    conversion_id: str
    stored: StoredConversion
    """What is published, and when that was read."""
    parts: Sequence[ConversionPart]
    """In event order."""
    journey: Journey | None
    """Of its person; None if it is nobody's, or the journey has expired."""
    causing: Sequence[CausingEvent]
    """Events that may have changed it, at least the first `MAX_CAUSING_EVENTS`."""
    arrived: Collection[int]
    """Hashes of all of these."""
    known_causes: Collection[Cause]
    """What a comparison of states cannot see."""
    released: Collection[int] = ()
    """Hashes of those of `arrived` that were in quarantine until now."""
    models: Models | None = None
    """The models of data_driven; None: it is not credited."""
    model_version: str = ""
    """The model that it is moved to on purpose; empty: it keeps its own."""
    must_publish: bool = False
    """Whether it is published again even if nothing changed."""
    is_replayed: bool = False
    """Whether all that is recorded of its person was brought to its journey once more."""
    recounts: bool = False
    """Whether its path is counted, though it was published before and is not."""
    retracted: frozenset[str] = frozenset()
    """Other conversions of its name in the journey that were taken back, or are another's, as far as that matters."""
    told_as: Mapping[str, str] = field(default_factory=dict)
    """Conversions that would end its path -> which they count as, where that is another or none (`path_ends`)."""
    ending_names: frozenset[str] = frozenset()
    """Names of conversions that may end its path, under any settings that it may be credited under."""
    takes_place_of: frozenset[str] = frozenset()
    """Those of its lead, or its order as told otherwise, that it counts for: from the place of the earliest on."""
    first: FirstConversion | None = None
    """The first of its name and person, where one counts per person and the journey has forgotten it."""
    elsewhere: Sequence[Journey] = ()
    """Journeys of others, who may have been the same person: what is there was not forgotten."""
    pinned: PinnedSettings | None = None
    """Knows the settings that it was credited under; None: it is credited under those of today."""
    is_reattributed: bool = False
    """Whether it is credited under the settings of today on purpose."""
    rates: Rates | None = None
    """The exchange rates; None: a conversion that has none yet is not converted."""
    origin: Known | None = None
    """Whose credit it has instead of its own path's."""
    is_lead: bool = False
    """Whether it is of a lead."""
    standing: StageStanding | None = None
    """Among the stages of its lead; None: it is of none, or no good."""
    superseded_by: str = ""
    """The id of the stage that counts in its place; empty: none does."""
    merged_into: SameOrder | None = None
    """Which counts in its place: the same order, told as a first cycle; None: it counts itself."""
    merged_from: SameOrder | None = None
    """In whose place it counts, likewise."""
    told_plainly: Sequence[ConversionPart] = ()
    """What was observed of the same order without its cycle: destinations recognise its person by that, too."""
    valued_plainly: Sequence[ConversionPart] = ()
    """What was observed of it so, of which the value counts, too."""
    changes: Sequence[ConversionPart] = ()
    """What changes it though it names its order without a cycle, all of it: of several first cycles each has its part
    among `parts`."""
    is_severed: bool = False
    """Whether its order counts already, as what is left of a conversion whose person was erased."""
    is_one_order: bool = False
    """Whether it has the credit of the same order as somebody else told it."""
