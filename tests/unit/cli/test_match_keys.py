"""`tributary match-keys` shows what a destination is sent, by the rules of its adapter.

The answers are `tests/vectors/hashing_*.json`: what the destinations' own code, documentation or other people's
connectors make of a value. A row that we answer otherwise stands in `OTHERWISE`, with our answer and why.
"""

from __future__ import annotations

import json
import unicodedata
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tests.support.outgoing import an_outgoing
from tributary_cli.command_line import cli
from tributary_cli.json_lines import MAX_LINE_BYTES
from tributary_delivery.destinations.adapter import PersonKeys
from tributary_delivery.destinations.person_fields import person_fields
from tributary_domain.match_keys.tables import DESTINATIONS

VECTORS = Path(__file__).parents[2] / "vectors"

IDFA, GAID = "EA7583CD-A667-48BC-B806-42ECB2B48606", "cdda802e-fb9c-47ad-9866-0794d394c912"

NO_VALUES = {
    "__event_wire__": "a whole request: tests/unit/delivery/test_meta.py",
    "fbc/fbp": "how a browser's cookies come to be: the same",
    "format_external_id": "how a URL is written: tests/unit/delivery/test_crm_destinations.py",
    "format_soql": "how a query is written, and we write none: the same",
    "request signature v2": "a signature of what HubSpot calls, and it calls nothing of ours: the same",
}
"""Fields of the vectors that are no match keys: what they are instead, and where it stands what ours are."""

NO_COUNTRY = "a national number is no key without its country: cut to digits it would be a stranger's"
INNER_BLANK = "an address has no blanks: closing them up guesses whose it is"
NOT_SNIFFED = "what is hashed is sent as email_sha256, never guessed at"
TRUNK_ZERO = "the zero in brackets is not dialled from abroad"

OTHERWISE: dict[tuple[str, str, str], tuple[str | None, str]] = {
    ("meta", "em", "a b@example.com"): (None, INNER_BLANK),
    ("meta", "em", "62A14E44F765419D10FEA99367361A727C12365E2520F32218D505ED9AA0F62F"): (None, NOT_SNIFFED),
    ("meta", "ph", "(650)555-1212"): (None, NO_COUNTRY),
    ("meta", "ph", "+49 (0)30 123456"): ("4930123456", TRUNK_ZERO),
    ("meta", "db", "1997-02-16"): ("19970216", "the documentation asks for YYYYMMDD, and this is one date"),
    ("google_data_manager", "phone", "(800)555-0100"): (None, NO_COUNTRY),
    ("microsoft", "em", "+x@contoso.com"): (None, "nothing is left before the @"),
    ("microsoft", "em", "a@b@c.com"): (None, "an address has one @"),
    ("microsoft", "ph", "+1 (413) 555-2671"): ("+14135552671", "E.164 has digits only"),
    ("microsoft", "ph", "+44 20 7946 0958"): ("+442079460958", "E.164 has digits only"),
    ("microsoft", "ph", "(413) 555-2671"): (None, NO_COUNTRY),
    ("pinterest", "em", "a b@example.com"): (None, INNER_BLANK),
    ("pinterest", "ph", "+44 (0)20 7946 0958"): ("442079460958", TRUNK_ZERO),
    ("pinterest", "fn", "Mary Ann"): (
        "mary ann",
        "the specification only lowers; the connector's form is sent beside it",
    ),
    ("pinterest", "ln", "Smith Jr."): ("smith jr.", "the specification only lowers"),
    ("pinterest", "zp", "94035-1234"): ("940351234", "the specification asks for digits"),
    ("pinterest", "country", "USA"): (None, "the specification asks for two letters"),
    ("tiktok", "email", " jane@example.com "): ("jane@example.com", "blanks around an address are not its own"),
    ("tiktok", "phone", "0044 844 412 4653"): ("+448444124653", "two zeros stand for the +"),
    ("snap", "em", " Jane Doe@Example.com "): (None, INNER_BLANK),
    ("snap", "ph", "+44 (0)844 412 4653"): ("448444124653", TRUNK_ZERO),
    ("snap", "phone", "(415) 555-2671"): (None, NO_COUNTRY),
    ("snap", "phone", "4155552671"): (None, NO_COUNTRY),
    ("snap", "phone", "0151 23456"): (None, NO_COUNTRY),
}
"""(destination, field, value) -> what it is to us (None: no key), and why."""


def run(destination: str, *lines: Any, arguments: tuple[str, ...] = ()) -> Result:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return CliRunner().invoke(cli, ["match-keys", destination, *arguments], input=text)


def ask(destination: str, field: str, value: Any, **more: Any) -> dict[str, Any]:
    result = run(destination, {"field": field, "value": value, **more}, arguments=("--json",))
    (line,) = result.stdout.splitlines()
    answer: dict[str, Any] = json.loads(line)
    return answer


@cache
def rows() -> dict[str, list[dict[str, Any]]]:
    """Returns the values in the vectors, by destination."""
    first = json.loads((VECTORS / "hashing_google_meta_microsoft_pinterest.json").read_text())
    others = json.loads((VECTORS / "hashing_and_signing_others.json").read_text())["vectors"]
    found: dict[str, list[dict[str, Any]]] = {}
    for row in first + others:
        is_value = row["field"] not in NO_VALUES and not row["field"].startswith("REQUEST")
        if is_value and row["platform"] not in {"webhook", "tcf", "gpp"}:
            found.setdefault(row["platform"], []).append(row)
    return found


@cache
def answers(platform: str) -> list[dict[str, Any]]:
    result = run(platform, *({"field": row["field"], "value": row["input"]} for row in rows()[platform]))
    assert result.exit_code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()]


PLATFORMS = ["google_data_manager", "meta", "microsoft", "pinterest", "linkedin", "tiktok", "reddit", "snap"]


def test_the_vectors_hold_these_destinations() -> None:
    assert sorted(rows()) == sorted(PLATFORMS)
    assert sum(map(len, rows().values())) == 131


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_value_is_what_the_vectors_say_or_what_is_said_here(platform: str) -> None:
    for row, answer in zip(rows()[platform], answers(platform), strict=True):
        theirs = (row["normalized"], row["sha256"])
        ours = OTHERWISE.get((platform, row["field"], row["input"]), (None, None))
        if (answer["normalized"], answer["sha256"]) != theirs:
            assert (platform, row["field"], row["input"]) in OTHERWISE, (row, answer)
            assert answer["normalized"] == ours[0], row
            assert ("error" in answer) == (ours[0] is None), row


@pytest.mark.parametrize("platform", PLATFORMS)
def test_nothing_stands_here_that_is_as_the_vectors_say(platform: str) -> None:
    differing = {
        (platform, row["field"], row["input"])
        for row, answer in zip(rows()[platform], answers(platform), strict=True)
        if (answer["normalized"], answer["sha256"]) != (row["normalized"], row["sha256"])
    }
    assert differing == {key for key in OTHERWISE if key[0] == platform}


@pytest.mark.parametrize(
    ("destination", "field", "value", "country", "expected"),
    [
        pytest.param("meta", "ph", "(650)555-1212", "US", "16505551212", id="meta: a number and its country"),
        pytest.param("snap", "ph", "0151 23456789", "de", "4915123456789", id="snap: a country in lower case"),
        pytest.param("google", "phone", "(800)555-0100", "US", "+18005550100", id="google: with its plus"),
        pytest.param("tiktok", "phone", "0171 2345678", "DE", "+491712345678", id="tiktok: without its trunk zero"),
        pytest.param("reddit", "phone_number", "+44 20 7946 0958", "US", "+442079460958", id="a plus comes first"),
        pytest.param("meta", "ph", "011 44 20 7946 0958", "US", "442079460958", id="dialled as from the United States"),
        pytest.param("meta", "ph", "06 698 12345", "IT", "390669812345", id="an Italian zero is the number's own"),
        pytest.param("meta", "zp", "94035-1234", "US", "94035", id="a zip is cut"),
        pytest.param("meta", "zp", "1229-076", "PT", "1229-076", id="a code of another country is not"),
        pytest.param("meta", "zp", "12345-6789", "SA", "12345-6789", id="nor where it looks like a zip"),
        pytest.param("meta", "zp", "94035 1234", "US", "94035", id="a zip is cut however it is parted"),
        pytest.param("snap", "zp", "940351234", "US", "94035", id="snap: likewise"),
        pytest.param("google", "postal_code", "94035-1234", "US", "94035-1234", id="google: five and four"),
        pytest.param("google", "postal_code", "94035 1234", "US", "94035-1234", id="google: however they are parted"),
        pytest.param("google", "postal_code", "SW1A 1AA", "GB", "SW1A 1AA", id="google: of another country"),
        pytest.param("snap", "st", "New York", "US", "ny", id="snap: a state's code"),
        pytest.param("snap", "st", "Georgia", "GE", "georgia", id="snap: of the United States only"),
    ],
)
def test_a_value_is_read_by_its_country(destination: str, field: str, value: str, country: str, expected: str) -> None:
    assert ask(destination, field, value, country=country)["normalized"] == expected


def test_a_postal_code_that_its_country_has_not_is_no_key() -> None:
    assert ask("google", "postal_code", "9403", country="US")["error"]


@pytest.mark.parametrize("destination", ["meta", "tiktok", "pinterest", "snap", "reddit"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("apple_advertising_ids", IDFA.lower(), id="apple"),
        pytest.param("android_advertising_ids", GAID.upper(), id="android"),
        pytest.param("apple_advertising_ids", "vendor-1", id="a vendor's id"),
        pytest.param("android_advertising_ids", "00000000-0000-0000-0000-000000000000", id="nobody's"),
    ],
)
def test_an_advertising_id_is_shown_as_its_destination_is_sent_it(destination: str, field: str, value: str) -> None:
    answer = ask(destination, field, value)
    outgoing = an_outgoing(person=PersonKeys(**{field: (value,)}))
    sent = [key for keys in person_fields(destination, outgoing).values.values() for key in keys]
    assert sent == [key for key in [answer["sha256"] or answer["normalized"]] if key]
    assert ("error" in answer) is (not sent)


def test_a_field_of_one_system_is_written_as_that_writes_it() -> None:
    names = {"idfa": IDFA, "aaid": IDFA.lower(), "gaid": IDFA.lower()}
    assert {name: ask("reddit", name, IDFA.swapcase())["normalized"] for name in names} == names


def test_a_line_without_a_country_is_read_by_the_command_s() -> None:
    lines = ({"field": "ph", "value": "030 123456"}, {"field": "ph", "value": "(650)555-1212", "country": "US"})
    result = run("meta", *lines, arguments=("--country", "de"))
    assert [json.loads(line)["normalized"] for line in result.stdout.splitlines()] == ["4930123456", "16505551212"]


@pytest.mark.parametrize(
    ("destination", "field", "value", "expected"),
    [
        pytest.param("google", "givenName", "Mrs. Mary Ann", ("mary ann", "maryann"), id="google: no title"),
        pytest.param("google", "family_name", "O'Brien, Jr.", ("obrien", "obrien"), id="google: no suffix"),
        pytest.param("google", "family_name", "Jr.", ("jr", "jr"), id="google: but not nothing"),
        pytest.param("google", "given_name", "Mrs.Mary", ("mary", "mary"), id="google: a title without a blank"),
        pytest.param("google", "family_name", "Smith,Jr.", ("smith", "smith"), id="google: a suffix without one"),
        pytest.param("google", "given_name", "J.R.", ("jr", "jr"), id="google: initials are a name"),
        pytest.param("meta", "ph", "1 415-555-2671 ext 12", ("14155552671",) * 2, id="an extension is no digit of it"),
        pytest.param("meta", "ph", "+49 30 123456 / 7", ("4930123456",) * 2, id="nor is another ending"),
        pytest.param("meta", "ph", "44 20 7946 0958", ("442079460958",) * 2, id="too long for a national number"),
        pytest.param("tiktok", "last_name", "de la Cruz-Núñez", ("delacruznúñez",) * 2, id="tiktok: no punctuation"),
        pytest.param("snap", "fn", "정 우성", ("정우성",) * 2, id="snap: any script"),
        pytest.param("meta", "ct", "Þórshöfn 2", ("þórshöfn",) * 2, id="meta: any script"),
        pytest.param("meta", "fn", unicodedata.normalize("NFD", "Valéry"), ("valéry",) * 2, id="accents are composed"),
        pytest.param("meta", "dobd", "5", ("05", "05"), id="meta: two digits"),
        pytest.param("meta", "external_id", " User-42 ", ("User-42",) * 2, id="meta: case kept"),
        pytest.param("reddit", "email", "Jane.Doe+x@GMAIL.com", ("janedoe@gmail.com",) * 2, id="reddit: E3"),
        pytest.param("google_ads", "hashedEmail", "J.D+x@gmail.com", ("jd@gmail.com",) * 2, id="google_ads: E2"),
        pytest.param("microsoft", "HashedEmailAddress", "A.B@x.com", ("ab@x.com",) * 2, id="its older name"),
        pytest.param("pinterest", "ge", "non-binary", ("n", "n"), id="pinterest: neither"),
        pytest.param("reddit", "ip_address", "203.0.113.7", ("203.0.113.7",) * 2, id="reddit: an address is hashed"),
    ],
)
def test_a_value_is_hashed_in_the_form_its_destination_wants(
    destination: str, field: str, value: str, expected: tuple[str, str]
) -> None:
    answer = ask(destination, field, value)
    assert (answer["normalized"], answer["sha256"]) == (expected[0], sha256(expected[1].encode()).hexdigest())


@pytest.mark.parametrize(
    ("destination", "field", "value", "expected"),
    [
        pytest.param("google", "regionCode", "de", "DE", id="google: region"),
        pytest.param("google", "postalCode", " 94035-1234 ", "94035-1234", id="google: postal code"),
        pytest.param("tiktok", "city", "St. Louis", "stlouis", id="tiktok: city"),
        pytest.param("tiktok", "city", "Köln", "koln", id="tiktok: a city's accents"),
        pytest.param("tiktok", "country", "DE", "de", id="tiktok: country"),
        pytest.param("tiktok", "ttclid", "E.C.P.AbC", "E.C.P.AbC", id="tiktok: a click id keeps its case"),
        pytest.param("snap", "madid", IDFA, IDFA.lower(), id="snap: advertising id"),
        pytest.param("linkedin", "firstName", " Jane ", "Jane", id="linkedin: name"),
        pytest.param("linkedin", "li_fat_id", "df5gf5-GH6", "df5gf5-GH6", id="linkedin: click id by its parameter"),
        pytest.param("hubspot", "email", " Jane@Example.com", "jane@example.com", id="hubspot: address"),
        pytest.param("salesforce", "Phone", "+1 415-555-2671", "+14155552671", id="salesforce: phone"),
        pytest.param("meta", "fbp", "fb.1.1558571054389.55", "fb.1.1558571054389.55", id="meta: cookie"),
    ],
)
def test_what_is_not_hashed_is_shown_as_it_is_sent(destination: str, field: str, value: str, expected: str) -> None:
    answer = ask(destination, field, value)
    assert (answer["normalized"], answer["sha256"]) == (expected, None)


HASH = sha256(b"jane@example.com").hexdigest()


@pytest.mark.parametrize("destination", ["meta", "linkedin", "tiktok", "pinterest", "snap"])
def test_a_hashed_address_is_sent_in_lower_case_where_its_form_is_hashed(destination: str) -> None:
    assert ask(destination, "email_sha256", HASH.upper())["sha256"] == HASH


@pytest.mark.parametrize("destination", ["google", "google_ads", "microsoft", "reddit", "hubspot", "salesforce"])
def test_a_hashed_address_is_no_key_where_another_form_is_hashed(destination: str) -> None:
    answer = ask(destination, "email_sha256", HASH)
    assert answer["sha256"] is None
    assert answer["error"]


def test_a_hashed_number_fits_where_the_plus_is_hashed() -> None:
    fitting = {
        destination
        for destination, fields in DESTINATIONS.items()
        if any(field.holds is not None and field.holds.value == "phone" for field in fields)
        and ask(destination, "phone_sha256", HASH)["sha256"] == HASH
    }
    assert fitting == {"google", "google_ads", "microsoft", "tiktok", "reddit"}


@pytest.mark.parametrize(
    ("destination", "field", "value"),
    [
        pytest.param("meta", "em_sha256", HASH[:-1], id="a hash of 63 digits"),
        pytest.param("meta", "email_sha256", sha256(b"").hexdigest(), id="the hash of nothing"),
        pytest.param("tiktok", "phone_sha256", "+14155552671", id="a number that is not hashed"),
        pytest.param("linkedin", "SHA256_EMAIL", HASH, id="a hash where a value is asked for"),
        pytest.param("meta", "em", "ann@localhost", id="a domain without a dot"),
        pytest.param("google", "email", "ann@localhost", id="wherever it is hashed"),
        pytest.param("tiktok", "email", "ann@example..com", id="two dots"),
        pytest.param("meta", "em", "ann\0@example.com", id="a character that is none"),
        pytest.param("google", "email", "an\u00adn@example.com", id="a place where it may be divided"),
        pytest.param("linkedin", "email", "ann@example.com.", id="a dot behind it"),
        pytest.param("reddit", "email", "ann@-example.com", id="a host that is none"),
        pytest.param("snap", "em", "<ann@example.com>", id="in brackets"),
        pytest.param("microsoft", "em", "mailto:ann@example.com", id="as in a link"),
        pytest.param("hubspot", "email", "ann@example.com,", id="a comma behind it"),
        pytest.param("meta", "ph", "479-555-1212", id="in Norway it would be another's"),
        pytest.param("google", "phone", "(514) 234-1567", id="in Peru"),
        pytest.param("tiktok", "phone", "2612341567", id="in Madagascar"),
        pytest.param("tiktok", "country", "UK", id="tiktok: no country code"),
        pytest.param("google", "regionCode", "UK", id="google: no country code"),
        pytest.param("tiktok", "country", "United States", id="tiktok: a country's name"),
        pytest.param("tiktok", "city", "Łódź", id="tiktok: a letter it has no form for"),
        pytest.param("google", "email", "ann@example@com", id="two at signs"),
        pytest.param("tiktok", "phone", "call me", id="no digits"),
        pytest.param("google", "phone", "12", id="too few digits"),
        pytest.param("meta", "ph", "000-0000", id="nobody's number"),
        pytest.param("meta", "country", "UK", id="no country code"),
        pytest.param("meta", "db", "16.02.1997", id="a date in another order"),
        pytest.param("meta", "db", "19970230", id="a day that never was"),
        pytest.param("meta", "external_id", "null", id="nobody"),
        pytest.param("meta", "client_ip_address", "localhost", id="no address"),
        pytest.param("meta", "fbc", "AbCdEf", id="a click id that is no cookie"),
        pytest.param("pinterest", "zp", "SW1A 1AA", id="letters where digits are asked for"),
        pytest.param("tiktok", "city", "東京", id="nothing is left"),
        pytest.param("snap", "fn", "---", id="no letter"),
        pytest.param("meta", "em", None, id="null"),
    ],
)
def test_a_value_that_is_no_key_is_told_why(destination: str, field: str, value: Any) -> None:
    answer = ask(destination, field, value)
    assert (answer["normalized"], answer["sha256"]) == (None, None)
    assert answer["error"]


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_no_field_takes_nothing_for_a_key(destination: str) -> None:
    lines = [{"field": field.name, "value": value} for field in DESTINATIONS[destination] for value in ("", " \t ")]
    result = run(destination, *lines)
    assert result.exit_code == 0
    assert [json.loads(line).get("error") for line in result.stdout.splitlines()] == ["is empty"] * len(lines)


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_a_key_made_of_a_key_is_the_same(destination: str) -> None:
    values = ["Jane.Doe+x@Gmail.com", "+44 (0)20 7946 0958", "Mrs. Ann-Marie O'Neil", "New York", "94035-1234", "us"]
    values += ["19970216", "Female", "203.0.113.7", "fb.1.1558571054389.Ab", "12"]
    for field in DESTINATIONS[destination]:
        for value in values:
            first = ask_field(field.name, destination, value)
            assert first is None or ask_field(field.name, destination, first) == first, (field.name, value)


@pytest.mark.parametrize("destination", DESTINATIONS)
def test_what_is_not_seen_around_a_value_is_not_its_own(destination: str) -> None:
    """As it comes along from spreadsheets, web pages and address books."""
    values = ["jane@example.com", "+44 20 7946 0958", "Ann", "New York", "94035", "us", "19970216", "Female"]
    for field in DESTINATIONS[destination]:
        for value in (*values, "203.0.113.7", "fb.1.1558571054389.Ab"):
            for copied in (f"\ufeff{value}", f"\u202a{value}\u202c", f" \u200b {value}\u00ad\u200e\n"):
                assert field.key(copied) == field.key(value), (field.name, value)
        assert field.key("\u200b \ufeff") == field.key("")
        assert field.key_of_digest(f"\ufeff{HASH} ") == field.key_of_digest(HASH)


def ask_field(name: str, destination: str, value: str) -> str | None:
    field = next(field for field in DESTINATIONS[destination] if field.name == name)
    return getattr(field.key(value), "normalized", None)


@pytest.mark.parametrize(
    ("destination", "field", "value", "expected"),
    [
        pytest.param("meta", "ln", "O'Brien", ["o'brien", "obrien"], id="a name"),
        pytest.param("meta", "ct", "St. John's", ["stjohn's", "stjohns"], id="a city"),
        pytest.param("pinterest", "zp", "94035-1234", ["940351234", "94035"], id="a zip"),
    ],
)
def test_a_form_that_a_destination_s_client_and_its_documentation_write_otherwise_is_shown_twice(
    destination: str, field: str, value: str, expected: list[str]
) -> None:
    answer = ask(destination, field, value, country="US")
    assert [answer["normalized"], *(form["normalized"] for form in answer["also"])] == expected


@pytest.mark.parametrize(
    ("line", "field"),
    [
        pytest.param("nonsense", None, id="no JSON"),
        pytest.param('["em", "x"]', None, id="no object"),
        pytest.param({"value": "x"}, "field", id="no field"),
        pytest.param({"field": "em"}, "value", id="no value"),
        pytest.param({"field": "em", "value": 7}, "value", id="a number"),
        pytest.param({"field": "em", "value": ["x"]}, "value", id="a list"),
        pytest.param({"field": "em", "value": "x", "country": "Germany"}, "country", id="no country code"),
        pytest.param({"field": "em", "value": "x", "country": ["DE"]}, "country", id="a list of countries"),
        pytest.param({"field": "shoe_size", "value": "x"}, "shoe_size", id="no field of the destination"),
        pytest.param('{"field": "em", "value": "\\ud800"}', "value", id="half a character"),
        pytest.param({"field": "em", "value": "x" * 5_000}, "value", id="a long value"),
        pytest.param("x" * (MAX_LINE_BYTES + 10), None, id="a long line"),
    ],
)
def test_a_line_that_cannot_be_read_is_said_and_stops_no_other(line: Any, field: str | None) -> None:
    good = {"field": "em", "value": "jane@example.com"}
    result = run("meta", good, line, "", good)
    first, bad, last = (json.loads(text) for text in result.stdout.splitlines())
    assert first == last == {"field": "em", "normalized": "jane@example.com", "sha256": HASH}
    assert (bad["line"], bad["field"], bad["normalized"], bad["sha256"]) == (2, field, None, None)
    assert bad["error"]
    assert result.exit_code == 1


def test_what_is_read_is_written_nowhere_but_in_the_answer() -> None:
    result = run("meta", '{"field": "em", "value": "ann@example.com"', {"field": "x", "value": "ann@example.com"})
    assert "ann@" not in result.output


def test_an_unknown_destination_is_told_with_those_there_are() -> None:
    result = run("myspace", {"field": "em", "value": "x"})
    assert result.exit_code == 1
    assert "meta" in result.stderr
    assert not result.stdout
