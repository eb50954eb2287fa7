"""E-mail addresses are found where they do not belong, in every spelling, and never at a price."""

from __future__ import annotations

from time import process_time

import pytest

from tributary_domain.personal import (
    holds_email,
    holds_personal,
    may_hold_email,
    may_hold_personal,
    without_personal,
)

SPELLINGS = [
    "ann@example.com",
    "Ann.Smith+shop@mail.example.co.uk",
    "to:ann%40example.com",
    "ann%2540example.com",
    "ann%252540example%25252Ecom",
    "ann%u0040example.com",
    "ann\\u0040example.com",
    "ann\\x40example.com",
    "ann&#64;example.com",
    "ann&#x40;example.com",
    "ann&amp;#64;example.com",
    "ann&commat;example.com",
    "ann\uff20example.com",
    "ann%EF%BC%A0example.com",
    "ann%ef%bc%a0example.com",
    "ann@example%2ecom",
    "ann@bücher.de",
    "ann@b%C3%BCcher.de",
    "ann@xn--bcher-kva.de",
    "анна@почта.рф",
    "ann@%D0%BF%D0%BE%D1%87%D1%82%D0%B0.%D1%80%D1%84",
    "ann@почта。中国",
    "o-1/ann@example.com/2",
]

HARMLESS = [
    "",
    "5 @ 3.99",
    "sold @ 5.99",
    "@ann",
    "https://x.org/@ann",
    "https://maps.example/@48.1,11.5",
    "order-40-2026",
    "40% off",
    "a@b",
    "me@home",
    "v@1.2",
    "Bücher & Musik 100%",
]


@pytest.mark.parametrize("text", SPELLINGS)
def test_an_address_is_found_however_it_is_spelt(text: str) -> None:
    assert may_hold_email(text)
    assert may_hold_personal(text)
    assert holds_email(text)
    assert holds_email(f"some words {text} and more")
    assert not holds_email(without_personal(f"some words {text} and more"))


@pytest.mark.parametrize("text", HARMLESS)
def test_what_only_looks_a_little_like_one_is_left_alone(text: str) -> None:
    assert not holds_email(text)
    assert without_personal(text) == text


def test_what_stands_around_an_address_stays() -> None:
    assert without_personal("Mug (ann@example.com), blue") == "Mug (-), blue"


@pytest.mark.parametrize(
    "text",
    [
        "+1 " * 1365,
        "%2B1" * 1024,
        "+1" + " 1" * 2047,
        "@" * 4096,
        "a@" * 2048,
        "a%40" * 1024,
        "a" * 4090 + " @",
        "%40" * 1365,
        "a@b." * 1024,
        "\uff20" * 4096,
        "a\ufe6b" * 2048,
        "\\u0040" * 682,
        "\\x40" * 1024,
        "%EF%BC%A0" * 455,
        "&commat;" * 512,
        "&#64;" * 819,
    ],
)
def test_a_hostile_text_costs_little(text: str) -> None:
    started = process_time()
    holds_email(text)
    without_personal(text)
    holds_personal(text)
    assert process_time() - started < 0.05
