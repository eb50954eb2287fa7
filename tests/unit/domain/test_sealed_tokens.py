"""What is sealed with a credential is read with that credential, unchanged, and tells nothing without it."""

from __future__ import annotations

import pytest

from tributary_domain.sealed_tokens import NONCE_BYTES, TokenSeal

NONCE = bytes(NONCE_BYTES)
SEAL = TokenSeal("https://token.example", "app", "secret", "refresh")


def test_what_was_sealed_is_read_by_all_that_have_the_credential() -> None:
    sealed = SEAL.seal(b"a token", NONCE)
    assert b"a token" not in sealed
    assert TokenSeal("https://token.example", "app", "secret", "refresh").open(sealed) == b"a token"


@pytest.mark.parametrize("place", range(4))
def test_another_secret_is_another_credential(place: int) -> None:
    parts = ["https://token.example", "app", "secret", "refresh"]
    parts[place] += "2"
    other = TokenSeal(*parts)
    assert other.name != SEAL.name
    assert other.open(SEAL.seal(b"a token", NONCE)) is None


@pytest.mark.parametrize("sealed", [b"", b"short", SEAL.seal(b"a token", NONCE)[:-1]])
def test_what_was_changed_is_not_read(sealed: bytes) -> None:
    assert SEAL.open(sealed) is None
