"""What a lead is called at a destination is read by who knows the lead's name, and by nobody else."""

from __future__ import annotations

import pytest

from tributary_domain.lead_claims import ObjectKind, opened, seal
from tributary_domain.sealing import SealError

NAME, CALLED = "lead:L-1", "berlin/1001"


def test_the_same_words_give_the_same_bytes_and_show_no_name() -> None:
    sealed = seal(NAME, CALLED)
    assert sealed == seal(NAME, CALLED)
    assert opened(NAME, sealed) == CALLED
    assert not any(word.encode() in sealed for word in ("L-1", "1001", "berlin"))


@pytest.mark.parametrize(
    ("name", "sealed"),
    [
        pytest.param("lead:L-2", seal(NAME, CALLED), id="another lead's"),
        pytest.param(NAME, seal(NAME, CALLED)[:-1] + b"\0", id="changed"),
        pytest.param(NAME, b"\x02" + seal(NAME, CALLED)[1:], id="of a later version"),
        pytest.param(NAME, b"", id="nothing"),
    ],
)
def test_what_is_not_a_lead_s_own_is_refused(name: str, sealed: bytes) -> None:
    with pytest.raises(SealError):
        opened(name, sealed)


def test_objects_of_another_account_or_kind_are_others() -> None:
    kinds = [ObjectKind("a", "b"), ObjectKind("ab", ""), ObjectKind("", "ab"), ObjectKind("a", "")]
    assert len({one.field for one in kinds}) == len(kinds)
