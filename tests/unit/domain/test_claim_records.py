"""What the door tells dedup of an event, and what it is answered, in fixed bytes."""

from __future__ import annotations

import pytest

from tributary_domain import claim_records
from tributary_domain.claim_records import CLAIM_RECORD, NO_ORDER, OUTCOME_RECORD, order_part, payload_mark, read_order

DIGEST = bytes(range(16))


def test_a_mark_is_the_version_and_the_first_bits_of_the_digest() -> None:
    assert payload_mark(1, b"\xff\x01\x02tail!") == bytes([0b01_111111, 1, 2])
    assert payload_mark(3, b"\x03\x01\x02tail!") == bytes([0b11_000000, 1, 2])


@pytest.mark.parametrize("version", [0, 4, -1, 99])
def test_a_digest_of_an_unknown_version_says_nothing(version: int) -> None:
    assert payload_mark(version, b"\xff\x01\x02tail!") == b"\0\0\0"


def test_an_order_without_a_value_states_none() -> None:
    assert read_order(order_part(DIGEST, 2, b"")) == (DIGEST, 0, b"\0\0\0")


@pytest.mark.parametrize(("rank", "kept"), [(1, 1), (2, 2), (4, 4), (0, 1), (7, 1)])
def test_whoever_has_no_rank_ranks_as_a_browser(rank: int, kept: int) -> None:
    assert read_order(order_part(DIGEST, rank, b"abc")) == (DIGEST, kept, b"abc")


def test_records_are_laid_out_as_the_contract_says() -> None:
    record = CLAIM_RECORD.pack(DIGEST, b"abc", claim_records.QUARANTINED, 258, order_part(b"o" * 16, 2, b"xyz"))
    assert record == DIGEST + b"abcQ" + b"\0\0\1\2" + b"o" * 16 + b"xyz\2"
    assert record[claim_records.MARK_AT :][:3] == b"abc"
    assert record[claim_records.DECISION_AT :][:1] == b"Q"
    assert len(NO_ORDER) == len(record) - 24
    assert OUTCOME_RECORD.pack(2, 258, 1, 3) == b"\2" + b"\1\2" + b"\1" + bytes(7) + b"\3"
