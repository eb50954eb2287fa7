"""Two spellings of one identifier are one; values that stand for nobody are nobody."""

from __future__ import annotations

import hashlib
import json
import random
from pathlib import Path

import phonenumbers
import pytest

from tributary.event.v1.identifiers_pb2 import Identifiers
from tributary_domain.identifiers import Identification, Identity
from tributary_domain.normalization import is_blocked, normalize_email, read_sha256
from tributary_domain.phone_numbers import NoNumber, read_phone
from tributary_domain.reasons import ReasonCode

PEERS = json.loads((Path(__file__).parents[2] / "vectors" / "sessions_and_identity.json").read_text())


def identify(**fields: object) -> Identity:
    return Identification(b"pepper", "DE").identify(Identifiers(**fields))  # type: ignore[arg-type]


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    "value", [*PEERS["identity_posthog"]["illegal_ci"], *PEERS["identity_posthog"]["illegal_cs"], "", " ", '"null"']
)
def test_what_posthog_refuses_to_link_by_is_blocked(value: str) -> None:
    assert is_blocked(value)


@pytest.mark.parametrize("value", ["-1", "null", "anonymous", "0", "000", "0000-0000", "---", "GUEST", " 'None' "])
def test_what_segment_blocks_is_blocked(value: str) -> None:
    assert is_blocked(value)


@pytest.mark.parametrize(
    "value",
    [
        *("{{customer.id}}", "{{ visitor_id }}", "${userId}", "{user_id}", "%%CONTACT_ID%%", "%user_id%", "[[id]]"),
        *("[user_id]", "<%= user.id %>", "<user id>", "__CLIENT_ID__", "{% id %}", "\u200b", "\0", "\ufeffnull"),
        *("ffffffff-ffff-ffff-ffff-ffffffffffff", "FFFFFFFF"),
    ],
)
def test_a_place_that_nothing_was_put_into_is_nobody(value: str) -> None:
    assert is_blocked(value)


@pytest.mark.parametrize(
    "value",
    [
        *("user-undefined", "cust_null", "user:undefined", "web/app/null", "undefined_undefined", "Käufer-undefined"),
        *("user-(null)", "user-NaN", "cust_None", "_null", "user[object Object]", "user-[user_id]", "null@undefined"),
        *("userId=undefined", "contact@null", "user-null-null", "crm_user_id:None", "cust_null)", "ann-[user_id]"),
        *("user-none", "customer_nan", "visitor:anonymous", "guest-unknown", "crm-user-nil", "device-none"),
        *("WEB-{{customer.id}}", "shop7-{{ id }}-2", "v-${userId}", "12-%%CONTACT_ID%%", "id:%USER_ID%", "7[[id]]"),
        *("user-{user_id}", "u-<%= user.id %>", "*|UNIQID|*-9", "c-__CLICKID__", "{{customer.name}}@shop.example"),
        *("user-%7B%7Bid%7D%7D", "1-%257B%257Bid%257D%257D", "user%20undefined", " 'shop-{{id}}-1' "),
    ],
)
def test_what_was_put_around_nothing_is_nobody(value: str) -> None:
    assert is_blocked(value)


@pytest.mark.parametrize(
    "value",
    [
        *("null-pointer-shop@example.com", "Undefined Records Ltd 77", "nullriver42", "null-pointer-shop", "annull"),
        *("undefined-1001", "shop-7-null", "user2-undefined", "bar.none", "li-nan", "second-to-none", "judy.guest"),
        *("none.such@example.com", "nil-garcia", "user-ann", "user-nullo", "contact@web.test", "null@shop.example"),
        *("christopher.null", "d.null", "o'null", "null.christopher", "ann_undefined", "null-user", "a@undefined"),
        *("christopher.null@example.com", "Ann-None", "shop:None", "d-NaN", "null%20ann"),
        *("M%fcnchen%20Ost%20", "caf%e9%e8s%20", "50% off", "100%", "a__b__c", "ann [web]", "{b7f1-22}-1", "a{1}b"),
        *("%E2%82%AC%C3%A9", "web__DE__9", "c3ab8ff13720e8ad9047dd39466b3c8974e592c2fa383d4a3960714caef0c4f2"),
    ],
)
def test_an_id_that_holds_such_a_word_or_sign_may_be_somebody(value: str) -> None:
    assert not is_blocked(value)


@pytest.mark.parametrize("value", ["{7f2b-11}", "ff", "f-1", "fff", "_ann", "$1", "[12]", "%20ann", "{b1a2c3d4-0001}"])
def test_an_id_with_signs_around_it_may_be_somebody(value: str) -> None:
    assert not is_blocked(value)


@pytest.mark.parametrize("value", ["10", "k-1", "ann", "nobody@example.com", "007x"])
def test_what_may_be_somebody_is_not_blocked(value: str) -> None:
    assert not is_blocked(value)


@pytest.mark.parametrize("value", ["Ann@Example.com", " ann@example.com\n"])
def test_an_e_mail_is_normalised_once_and_for_all(value: str) -> None:
    email = normalize_email(value)
    assert email == "ann@example.com"
    assert normalize_email(email) == email


@pytest.mark.parametrize("value", ["ann", "ann@", "@example.com", "a b@example.com", ""])
def test_what_is_no_e_mail_is_none(value: str) -> None:
    assert normalize_email(value) is None


@pytest.mark.parametrize(
    ("value", "region"),
    [
        ("+49 171 2345678", None),
        ("0171/2345678", "DE"),
        ("+49 (0)171 2345678", None),
        ("0049 171 2345678", "DE"),
        ("01712345678", "DE"),
    ],
)
def test_spellings_of_a_phone_number_are_one(value: str, region: str | None) -> None:
    assert read_phone(value, region) == "+491712345678"


@pytest.mark.parametrize(("value", "region"), [("0171 2345678", None), ("12", "DE"), ("call me", "DE"), ("", "DE")])
def test_a_number_that_cannot_be_read_is_none(value: str, region: str | None) -> None:
    assert isinstance(read_phone(value, region), NoNumber)


def test_an_address_and_its_hash_are_one_token() -> None:
    plain, hashed = identify(email=" Ann@Example.com"), identify(email_sha256=sha256("ann@example.com").upper())
    assert plain.tokens == hashed.tokens
    assert identify(email="ann@example.com", email_sha256=sha256("ann@example.com")).tokens == plain.tokens


def test_a_phone_number_and_its_hash_are_one_token() -> None:
    assert identify(phone="0171 2345678").tokens == identify(phone_sha256=sha256("+491712345678")).tokens


def test_tokens_come_most_telling_first() -> None:
    identity = identify(
        customer_id="k",
        visitor_id="v",
        device_ids=["D"],
        email="a@b.de",
        phone="0171 2345678",
        other_ids={"loyalty": "1"},
    )
    kinds = [token.partition(":")[0] for token in identity.tokens]
    assert kinds == ["customer", "email", "phone", "visitor", "device", "other"]


def test_a_device_is_one_whichever_field_names_it() -> None:
    plain = identify(device_ids=["ea7583cd-a667-48bc-b806-42ecb2b48606"]).tokens
    upper = ["EA7583CD-A667-48BC-B806-42ECB2B48606"]
    assert identify(apple_advertising_ids=upper).tokens == identify(android_advertising_ids=upper).tokens == plain


def test_two_workspaces_share_no_token() -> None:
    identifiers = Identifiers(customer_id="k")
    mine, theirs = (Identification(pepper, None).identify(identifiers).tokens for pepper in (b"mine", b"theirs"))
    assert mine != theirs


def test_who_is_looked_for_has_a_token_whatever_is_blocked_now() -> None:
    fields = {"customer_id": "anonymous", "visitor_id": "user-null", "email_sha256": sha256("null"), "phone": ""}
    identifiers = Identifiers(**fields)  # type: ignore[arg-type]
    assert Identification(b"pepper", "DE").identify(identifiers).tokens == []
    kinds = [token.partition(":")[0] for token in Identification(b"pepper", "DE", None).identify(identifiers).tokens]
    assert kinds == ["customer", "email", "visitor"]
    assert Identification(b"pepper", "DE", None).identify(Identifiers(customer_id=" ")).tokens == []


def test_other_ids_of_two_kinds_are_two_people() -> None:
    assert identify(other_ids={"loyalty": "1"}).tokens != identify(other_ids={"household": "1"}).tokens


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"customer_id": "anonymous"}, ReasonCode.IDENTIFIER_BLOCKED),
        ({"customer_id": "user-undefined"}, ReasonCode.IDENTIFIER_BLOCKED),
        ({"visitor_id": "id:%USER_ID%"}, ReasonCode.IDENTIFIER_BLOCKED),
        ({"email": "{{customer.name}}@shop.example"}, ReasonCode.IDENTIFIER_BLOCKED),
        ({"email_sha256": sha256("")}, ReasonCode.IDENTIFIER_BLOCKED),
        ({"email": "nonsense"}, ReasonCode.EMAIL_UNREADABLE),
        ({"phone": "call me"}, ReasonCode.PHONE_UNREADABLE),
        ({"phone": "000-0000"}, ReasonCode.IDENTIFIER_BLOCKED),
        ({"apple_advertising_ids": ["00000000-0000-0000-0000-000000000000"]}, ReasonCode.IDENTIFIER_BLOCKED),
    ],
)
def test_what_names_nobody_is_ignored_with_a_warning(fields: dict[str, str], code: ReasonCode) -> None:
    identity = identify(**fields)
    assert identity.tokens == []
    assert [warning.code for warning in identity.warnings] == [code]


def test_a_malformed_hash_is_rejected() -> None:
    assert read_sha256("xyz") is None
    assert [reason.code for reason in identify(email_sha256="xyz").rejections] == [ReasonCode.HASH_MALFORMED]


def by_the_library(number: str) -> str | None:
    try:
        parsed = phonenumbers.parse(number, "DE")
    except phonenumbers.NumberParseException:
        return None
    e164 = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return e164 if len(e164) > 7 and phonenumbers.is_valid_number(parsed) else None


def test_a_number_that_is_e164_already_is_read_as_the_library_reads_it() -> None:
    rng = random.Random(7)
    codes = sorted(phonenumbers.COUNTRY_CODE_TO_REGION_CODE)
    as_written = 0
    for number in range(4_000):
        code = rng.choice(codes) if number % 3 else rng.randrange(1, 1_000)
        text = f"+{code}" + "".join(rng.choices("0123456789", k=rng.randrange(2, 13)))
        found = read_phone(text, "DE")
        assert (None if isinstance(found, NoNumber) else found) == by_the_library(text), text
        as_written += found == text
    assert as_written > 100


def test_what_is_not_seen_around_an_address_or_a_number_makes_nobody_else_of_it() -> None:
    plain = identify(email="ann@example.com", phone="+49 30 123456")
    assert len(plain.tokens) == 2
    for before, after in (("\ufeff", ""), ("\u202a", "\u202c"), (" \u200b ", "\u00ad\n"), ("\u2068", "\u2069")):
        copied = identify(email=f"{before}Ann@Example.com{after}", phone=f"{before}+49 30 123456{after}")
        assert (copied.tokens, copied.warnings) == (plain.tokens, [])
