"""A correction names what was sent first, or is not told: anything else would be a conversion of its own."""

from __future__ import annotations

import pytest

from tests.support.outgoing import an_outgoing, click_id
from tributary_delivery.corrections import Pin, sent_click_ids
from tributary_delivery.destinations.adapter import Mapped, Pinned

WHO = {"em": "hash"}


@pytest.mark.parametrize(
    ("sent", "said", "is_repeated"),
    [
        pytest.param(("gclid", "G", WHO), ("gclid", "G", WHO), True, id="the same"),
        pytest.param(("", "", WHO), ("", "", WHO), True, id="no click"),
        pytest.param(("", "", {}), ("gclid", "G", {}), False, id="a click that is known since"),
        pytest.param(("gclid", "G", WHO), ("gclid", "G", {}), False, id="a hash is gone"),
        pytest.param(("gclid", "", {}), ("gclid", "", {}), False, id="the click was of somebody who was erased"),
        pytest.param(("", "", {"em": ""}), ("", "", {"em": ""}), False, id="so was the hash"),
    ],
)
def test_a_correction_repeats_what_was_sent(
    sent: tuple[str, str, dict[str, str]], said: tuple[str, str, dict[str, str]], *, is_repeated: bool
) -> None:
    first = Pinned("o-1", sent[0], sent[1], 5, sent[2])
    mapped = Mapped({}, said[0], said[1], said[2], 5)
    assert Pin(an_outgoing().revised, first).is_repeated_by(mapped) is is_repeated


def test_no_click_is_made_up_for_one_that_is_forgotten() -> None:
    revised = an_outgoing(clicks=(click_id("gclid", "theirs"),)).revised
    assert sent_click_ids(revised, Pinned("o-1", "msclkid", "")).keys() == {"gclid"}
    assert sent_click_ids(revised, Pinned("o-1", "msclkid", "M"))["msclkid"].value == "M"
