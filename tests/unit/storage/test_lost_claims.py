"""What claims may lack after a loss, and until when."""

from __future__ import annotations

import pytest

from tributary_storage.redis.lost_claims import Lacking, lacking

DAY = 86_400 * 1_000_000
LOSS = 20_000 * DAY


@pytest.mark.parametrize(
    ("loss", "now", "expected"),
    [
        pytest.param(0, LOSS, Lacking.NOTHING, id="never-lost"),
        pytest.param(LOSS, LOSS - 5, Lacking.ALL, id="clocks-differ"),
        pytest.param(LOSS, LOSS + 37 * DAY, Lacking.ALL, id="ids-still-matter"),
        pytest.param(LOSS, LOSS + 37 * DAY + 1, Lacking.ORDERS, id="ids-are-past-their-life"),
        pytest.param(LOSS, LOSS + 400 * DAY, Lacking.ORDERS, id="orders-still-matter"),
        pytest.param(LOSS, LOSS + 400 * DAY + 1, Lacking.NOTHING, id="over"),
    ],
)
def test_a_lost_claim_matters_as_long_as_it_would_have_lived(loss: int, now: int, expected: Lacking) -> None:
    assert lacking(loss, now) is expected
