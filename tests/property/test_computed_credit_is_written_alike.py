"""A credit that is written as it was computed is the one that is read from its message, in every column and byte."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.property.journeys import CONVERSION_TIME, conversions, journeys, settings_of
from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary_domain.attribution import attribute
from tributary_domain.data_driven import DataDrivenMethod, DataDrivenModel, with_data_driven
from tributary_domain.journey import JourneyTouch
from tributary_domain.settings import AttributionSettings
from tributary_domain.windows import CreditableConversion
from tributary_storage.clickhouse.conversion_rows import REVISION_COLUMNS, revision_row
from tributary_storage.clickhouse.names import timestamp
from tributary_storage.codec.conversion_states import credit_bytes
from tributary_storage.codec.credit_bytes import Credited, WrittenSources, state_bytes

SOURCES = {
    0: TouchSource(channel="Direct", source="(direct)", medium="(none)", rule="direct"),
    1: TouchSource(channel="Email", campaign="spring", term="shoes", rule="utm"),
    2: TouchSource(channel="Display", ad={"destination": "google", "campaign_id": "7"}, rule="click id"),
    3: TouchSource(channel="Referral", source="partner.example", rule="referrer"),
}
MODEL = DataDrivenModel(DataDrivenMethod.MARKOV, ("Direct", "Email"), (3, 1), (0.75, 0.25), 10, 5, 0.5, "m1:x")


@given(journeys(6), conversions(), settings_of(), st.booleans())
def test_the_row_of_a_credit_that_was_computed_is_that_of_its_message(
    entries: list[JourneyTouch],
    conversion: CreditableConversion,
    settings: AttributionSettings,
    has_model: bool,
) -> None:
    path: list[JourneyTouch] = []
    attribution = attribute(entries, conversion, settings, path=path)
    if has_model:
        attribution = with_data_driven(attribution, path, [SOURCES[touch.descriptor].channel for touch in path], MODEL)
    said = ConversionRevised(workspace="shop", revision=7)
    said.state.conversion_time.CopyFrom(timestamp(CONVERSION_TIME))
    sources = WrittenSources(SOURCES.__getitem__)
    credit = credit_bytes(attribution, sources, CONVERSION_TIME)
    state = said.state.SerializeToString(deterministic=True) + credit
    content = ConversionRevised(workspace="shop", revision=7).SerializeToString() + state_bytes(state)

    read = ConversionRevised.FromString(content)
    assert read.state == ConversionState.FromString(state)
    wanted = listed(revision_row(read, content))
    written = listed(revision_row(said, content, Credited(attribution, sources)))
    assert dict(zip(REVISION_COLUMNS, written, strict=True)) == dict(zip(REVISION_COLUMNS, wanted, strict=True))


def listed(row: tuple[Any, ...]) -> list[Any]:
    """Returns a row whose arrays are lists: for the driver one sequence is as good as another."""
    return [list(column) if isinstance(column, tuple) else column for column in row]
