"""A match key of somebody else leaves only where they allow as much as those whose conversion it is."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.support.batches import a_batch_destination
from tributary_delivery.destinations.adapter import Permits
from tributary_delivery.key_consents import is_withheld
from tributary_domain.consent import DENIED, GRANTED, UNSAID

OWN = Permits(GRANTED, GRANTED)


@pytest.mark.parametrize(
    ("theirs", "own", "of_ads", "of_a_crm"),
    [
        pytest.param({}, OWN, False, False, id="nothing"),
        pytest.param({"ad_user_data": DENIED}, OWN, True, True, id="denied"),
        pytest.param({"is_vendor_denied": True}, OWN, True, True, id="it is not named in their string"),
        pytest.param({"is_opted_out": True}, OWN, True, False, id="they object to sharing"),
        pytest.param({"is_opted_out": True}, replace(OWN, is_opted_out=True), False, False, id="both do"),
        pytest.param({"ad_personalization": DENIED}, OWN, True, False, id="they object to personalisation"),
        pytest.param({"ad_personalization": DENIED}, Permits(GRANTED, DENIED), False, False, id="both do to that"),
    ],
)
def test_whose_a_match_key_is_may_allow_less_than_whose_conversion_it_is(
    theirs: dict[str, Any], own: Permits, of_ads: bool, of_a_crm: bool
) -> None:
    asked = replace(own, names={"somebody": replace(Permits(UNSAID, UNSAID), **theirs)})
    for kind, expected in (("meta", of_ads), ("hubspot", of_a_crm)):
        assert is_withheld("somebody", asked, a_batch_destination(kind, "http://127.0.0.1:1")) == expected
    assert not is_withheld("who decided nothing", asked, a_batch_destination("meta", "http://127.0.0.1:1"))
