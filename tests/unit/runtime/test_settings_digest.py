"""Settings of a destination are told apart by a digest that shows none of them."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.batches import a_batch_destination, oauth
from tests.support.delivery import a_destination
from tributary_runtime.settings_digest import settings_digest

KEY = b"a pepper"
TOKENS = "http://127.0.0.1:1"


def digest(key: bytes = KEY, **own: Any) -> str:
    return settings_digest(a_batch_destination("google", **own), key)


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({"operating_account": "4711"}, id="an account"),
        pytest.param({"conversions": {"purchase": {"name": "100"}}}, id="what a conversion is called"),
        pytest.param({"access_token": {"value": "another"}}, id="a secret"),
        pytest.param(oauth(TOKENS), id="how a token is obtained"),
        pytest.param(oauth(TOKENS, "another"), id="a secret within"),
    ],
)
def test_settings_that_differ_have_another_digest_and_the_same_have_one(own: dict[str, Any]) -> None:
    assert digest(**own) == digest(**own)
    assert digest(**own) not in (digest(), digest(**oauth(TOKENS, "a third")))
    assert digest(b"another pepper", **own) != digest(**own)


def test_a_secret_that_is_read_elsewhere_counts_as_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    found = []
    for secret in ("one", "two"):
        monkeypatch.setenv("A_SECRET_OF_TESTS", secret * 12)
        found.append(settings_digest(a_destination(secret={"env": "A_SECRET_OF_TESTS"}), KEY))
    assert len({*found}) == 2
    assert all(len(one) == 32 for one in found)
