import pytest

from tributary_domain.event_order import event_hash, order_key


@pytest.mark.parametrize(
    ("event_id", "expected"),
    # SELECT xxHash64('…') in ClickHouse; the first is also the published test value of XXH64 with seed 0.
    [
        ("", 0xEF46DB3751D8E999),
        ("a", 0xD24EC4F1A98C6E5B),
        ("abc", 0x44BC2CF5AD770999),
        ("bestellung-ü-1", 0x17F9D1DCC4862C28),
    ],
    ids=repr,
)
def test_the_hash_is_clickhouses_xxhash64_of_the_utf_8_text(event_id: str, expected: int) -> None:
    assert event_hash(event_id) == expected


def test_case_and_leading_zeros_count() -> None:
    assert len({event_hash(text) for text in ("1", "000001", "a", "A")}) == 4


def test_time_decides_before_the_hash() -> None:
    assert order_key(1, "zzz") < order_key(2, "aaa")
    assert sorted([order_key(5, "b"), order_key(5, "a")], key=lambda key: key[1]) == sorted(
        [order_key(5, "b"), order_key(5, "a")]
    )
