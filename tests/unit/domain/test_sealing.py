"""What is sealed can be read with its key, in its workspace, unchanged; and in no other way."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

from tributary_domain.sealing import KEY_BYTES, NONCE_BYTES, DataKey, SealError, key_name, name_of, wrap

WORKSPACE_KEY = bytes(range(KEY_BYTES))
NONCE = bytes(NONCE_BYTES)
NAME = key_name("shop", "customer:1")
WRAPPED = wrap(b"k" * KEY_BYTES, WORKSPACE_KEY)
PLAIN = b"ann@example.com"


def a_key(
    workspace: str = "shop", name: bytes = NAME, wrapped: bytes = WRAPPED, wrapping: bytes = WORKSPACE_KEY
) -> DataKey:
    return DataKey(workspace, name, wrapped, [wrapping])


def test_what_was_sealed_is_read_with_the_same_key() -> None:
    sealed = a_key().seal(PLAIN, NONCE)
    assert PLAIN not in sealed
    assert name_of(sealed) == NAME
    assert a_key().open(sealed) == PLAIN


def test_the_bytes_are_those_of_aes_256_gcm_with_workspace_and_header_as_associated_data() -> None:
    sealed = a_key().seal(PLAIN, NONCE)
    reader = Cipher(algorithms.AES256(b"k" * KEY_BYTES), modes.GCM(NONCE, tag=sealed[-16:])).decryptor()
    reader.authenticate_additional_data(b"shop\0" + sealed[:21])
    assert reader.update(sealed[21:-16]) + reader.finalize() == PLAIN


def test_a_key_is_made_again_of_its_bytes_alone() -> None:
    again = DataKey("shop", NAME, b"", (), a_key().plain)
    assert a_key().open(again.seal(PLAIN, NONCE)) == PLAIN
    assert again.rewrapped is None


@pytest.mark.parametrize("at", [0, 1, 9, 21, -1], ids=["version", "name", "nonce", "ciphertext", "tag"])
def test_what_was_changed_is_not_read(at: int) -> None:
    sealed = bytearray(a_key().seal(PLAIN, NONCE))
    sealed[at] ^= 1
    with pytest.raises(SealError):
        a_key().open(bytes(sealed))


@pytest.mark.parametrize("length", [0, 1, 20, 21, 36])
def test_what_is_cut_short_is_not_read(length: int) -> None:
    with pytest.raises(SealError):
        a_key().open(a_key().seal(PLAIN, NONCE)[:length])


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(a_key(workspace="blog"), id="another workspace"),
        pytest.param(a_key(name=key_name("shop", "customer:2")), id="another person"),
        pytest.param(a_key(wrapped=wrap(b"l" * KEY_BYTES, WORKSPACE_KEY)), id="another data key"),
    ],
)
def test_another_key_does_not_read_it(other: DataKey) -> None:
    with pytest.raises(SealError):
        other.open(a_key().seal(PLAIN, NONCE))


def test_a_data_key_is_not_unwrapped_with_another_workspace_key() -> None:
    with pytest.raises(SealError):
        a_key(wrapping=bytes(KEY_BYTES))


def test_an_earlier_workspace_key_still_unwraps_and_is_to_be_replaced() -> None:
    renewed = DataKey("shop", NAME, WRAPPED, [bytes(KEY_BYTES), WORKSPACE_KEY])
    assert renewed.open(a_key().seal(PLAIN, NONCE)) == PLAIN
    assert renewed.rewrapped == wrap(b"k" * KEY_BYTES, bytes(KEY_BYTES))
    assert a_key().rewrapped is None


@pytest.mark.parametrize("sealed", [b"", b"\x01" * 21, b"\x02" + bytes(60)])
def test_what_is_no_sealed_field_has_no_name(sealed: bytes) -> None:
    with pytest.raises(SealError):
        name_of(sealed)
