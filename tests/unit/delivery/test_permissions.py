"""What may leave is the strictest of states, consent strings, the browser's wish and later decisions."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.outgoing import an_outgoing, why
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_NO_CONSENT
from tributary.event.v1.consent_pb2 import CONSENT_STATE_DENIED, CONSENT_STATE_GRANTED
from tributary_delivery.destinations import google_ads_event, google_event
from tributary_delivery.destinations.adapter import Mapped, Permits
from tributary_delivery.permissions import permits_of
from tributary_domain.consent import DENIED, GRANTED, UNSAID, Assumed, Decision, packed
from tributary_runtime.ad_destinations import GoogleDestination
from tributary_runtime.search_destinations import GoogleAdsDestination

NOBODY = "CQdZmkAQdZmkAAKACBENCWFgAAAAAAAAAAqIAAAAAAAA.IAAA.YAAAAAAAAAAA"
GOOGLE = "CQdZmkAQdZmkAAKACBENCWFgALIAAAAAABpYF5wAQF5gAAAA.IF5wAQF5gAAA.YAAAAAAAAAAA"
OPTED_OUT = "DBABLA~CFAVAAAAAACA.YA"
CONVERTED = 1_767_323_045_000_000


def permitted(*decisions: Decision, assumed: Assumed | None = None, **said: Any) -> Permits:
    revised = ConversionRevised()
    revised.state.conversion_time.FromMicroseconds(CONVERTED)
    for name, value in said.items():
        setattr(revised.match.consent, name, value)
    return permits_of(revised, decisions, assumed or Assumed())


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        pytest.param({}, Permits(UNSAID, UNSAID), id="nothing"),
        pytest.param({"tcf_string": GOOGLE}, Permits(GRANTED, GRANTED), id="a string that grants"),
        pytest.param({"tcf_string": NOBODY}, Permits(DENIED, DENIED), id="a string that denies"),
        pytest.param(
            {"tcf_string": NOBODY, "ad_user_data": CONSENT_STATE_GRANTED},
            Permits(DENIED, DENIED),
            id="a string is stricter",
        ),
        pytest.param(
            {"tcf_string": GOOGLE, "ad_user_data": CONSENT_STATE_DENIED},
            Permits(DENIED, GRANTED),
            id="a state is stricter",
        ),
        pytest.param({"gpp_string": OPTED_OUT}, Permits(UNSAID, UNSAID, is_opted_out=True), id="an opt-out"),
        pytest.param({"gpc": True}, Permits(UNSAID, UNSAID, is_opted_out=True), id="the browser's wish"),
        pytest.param(
            {"sale_or_sharing": CONSENT_STATE_DENIED}, Permits(UNSAID, UNSAID, is_opted_out=True), id="a state of sale"
        ),
    ],
)
def test_the_strictest_that_was_said_holds(said: dict[str, Any], expected: Permits) -> None:
    assert permitted(**said) == expected


def test_a_later_denial_holds_back_what_a_string_granted() -> None:
    denied = Decision(CONVERTED + 1, packed([UNSAID, UNSAID, DENIED, UNSAID, UNSAID]))
    assert permitted(denied, tcf_string=GOOGLE).ad_user_data == DENIED


def test_what_is_assumed_of_a_region_never_overrules_a_string() -> None:
    assumed = Assumed({"US": ["ad_user_data"]}, "US")
    assert permitted(assumed=assumed).ad_user_data == GRANTED
    assert permitted(assumed=assumed, tcf_string=NOBODY).ad_user_data == DENIED


@pytest.mark.parametrize("kind", ["google", "google_ads"])
def test_google_is_told_nothing_where_a_string_names_vendors_and_not_google(kind: str) -> None:
    token = {"value": "not a secret"}
    google = GoogleDestination.model_validate(
        {"id": "g", "type": "google", "operating_account": "1", "access_token": token}
    )
    ads = GoogleAdsDestination.model_validate(
        {"id": "g", "type": "google_ads", "customer_id": "1", "developer_token": token, "access_token": token}
    )
    outgoing = an_outgoing()
    for string, is_told in ((GOOGLE, True), (NOBODY, False), ("", True)):
        outgoing.revised.match.consent.tcf_string = string
        said = google_event.event(outgoing, google) if kind == "google" else google_ads_event.event(outgoing, ads)
        assert isinstance(said, Mapped) is is_told
        if not is_told:
            assert why(said) == INELIGIBLE_REASON_NO_CONSENT
