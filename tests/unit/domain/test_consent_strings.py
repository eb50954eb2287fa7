"""Consent strings are read as IAB's own code reads them, and what cannot be read is no permission."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.consent_strings import ALPHABET, NOBODY, encoded, naming
from tributary_domain.consent import DENIED, GRANTED, UNSAID
from tributary_domain.consent_bits import UnreadableStringError
from tributary_domain.consent_strings import NOTHING_SAID, said_by, vendors_by
from tributary_domain.gpp import read_gpp
from tributary_domain.tcf import Tcf, read_tcf

VECTORS = Path(__file__).parents[2] / "vectors" / "hashing_and_signing_others.json"
ROWS = [row for row in json.loads(VECTORS.read_text())["vectors"] if row["platform"] in {"tcf", "gpp"}]
MOST = "CQdZmkAQdZmkAAKACBENCWFgALIAAAAAABpYF5wAQF5gAAAA.IF5wAQF5gAAA.YAAAAAAAAAAA"
"""Purposes 1, 3, 4, 7, and vendor 755."""


def rows(platform: str, field: str) -> list[Any]:
    found = [row for row in ROWS if (row["platform"], row["field"]) == (platform, field)]
    return [pytest.param(row, id=str(row["normalized"] or row["input"])[:24]) for row in found]


def moment(text: str) -> int:
    read = datetime.fromisoformat(text.replace("Z", "+00:00"))
    return round((read if read.tzinfo else read.replace(tzinfo=UTC)).timestamp() * 1_000_000)


def test_every_consent_string_of_the_vectors_is_read() -> None:
    fields = {"decode", "decode (python)", "encode+decode", "encode usnat opt-out + Gpc", "encode usca"}
    assert {row["field"] for row in ROWS} == fields
    assert len(ROWS) == 8


@pytest.mark.parametrize("row", rows("tcf", "decode") + rows("tcf", "decode (python)"))
def test_a_tcf_string_is_read_as_others_read_it(row: dict[str, Any]) -> None:
    tcf, theirs = read_tcf(row["input"]), row["result"]
    second = 1 if "lastUpdated" in theirs else 1_000_000  # one of them leaves fractions out
    assert tcf.created_micros // second * second == moment(theirs["created"])
    assert tcf.last_updated_micros // second * second == moment(theirs.get("lastUpdated") or theirs["last_updated"])
    assert tcf.cmp_id == (theirs["cmpId"] if "cmpId" in theirs else theirs["cmp_id"])
    assert tcf.cmp_version == (theirs["cmpVersion"] if "cmpVersion" in theirs else theirs["cmp_version"])
    assert tcf.consent_language == "EN"
    assert tcf.vendor_list_version == (theirs.get("vendorListVersion") or theirs["vendor_list_version"])
    assert tcf.policy_version == (theirs.get("policyVersion") or theirs["tcf_policy_version"])
    assert tcf.is_service_specific is theirs.get("isServiceSpecific", False)
    if "purposeConsents" in theirs:
        assert sorted(tcf.purposes) == theirs["purposeConsents"]
        assert sorted(tcf.purposes_by_interest) == theirs["purposeLI"]
        assert sorted(tcf.special_features) == theirs["specialFeatures"]
        assert sorted(tcf.vendors) == theirs["vendorConsents"]
        assert tcf.publisher_country == theirs["publisherCC"]
    else:
        assert tcf.purposes == {int(name) for name, is_set in theirs["purposes_consent"].items() if is_set}


@pytest.mark.parametrize("row", rows("tcf", "encode+decode"))
def test_a_tcf_string_says_what_it_was_made_of(row: dict[str, Any]) -> None:
    asked, theirs = row["input"], row["result"]
    for tcf in (read_tcf(row["normalized"]), read_tcf(read_gpp(row["gpp"]).tcf_string)):
        assert sorted(tcf.purposes) == asked["purposeConsents"]
        assert sorted(tcf.vendors) == asked["vendorConsents"]
        assert sorted(tcf.disclosed_vendors or ()) == theirs["disclosed"]
        assert (tcf.publisher_country, tcf.cmp_id, tcf.cmp_version) == (asked["publisherCC"], 10, 2)
        assert (tcf.vendor_list_version, tcf.policy_version) == (150, 5)
        assert tcf.is_service_specific
        assert tcf.last_updated_micros == moment(theirs["lastUpdated"])


@pytest.mark.parametrize("row", rows("gpp", "decode"))
def test_a_gpp_string_has_the_sections_that_others_find(row: dict[str, Any]) -> None:
    gpp, theirs = read_gpp(row["input"]), row["result"]["obj"]
    assert sorted(gpp.sections) == row["result"]["sectionIds"]
    assert gpp.is_opted_out is False
    if "tcfeuv2" in theirs:
        tcf = read_tcf(gpp.tcf_string)
        assert (tcf.cmp_id, tcf.cmp_version, tcf.publisher_country) == (31, 640, "DE")
        assert tcf.created_micros == moment(theirs["tcfeuv2"]["Created"])
        assert not tcf.purposes
        assert theirs["uspv1"]["OptOutSale"] == "N"
    else:
        assert {theirs["usnat"][name] for name in ("SaleOptOut", "SharingOptOut", "TargetedAdvertisingOptOut")} == {2}


@pytest.mark.parametrize("row", rows("gpp", "encode usnat opt-out + Gpc") + rows("gpp", "encode usca"))
def test_an_opt_out_is_found_where_there_is_one(row: dict[str, Any]) -> None:
    assert read_gpp(row["normalized"]).is_opted_out is (row["input"]["SaleOptOut"] == 1)


def fibonacci(number: int) -> str:
    weights = [1, 2]
    while weights[-1] <= number:
        weights.append(weights[-1] + weights[-2])
    digits = ""
    for weight in reversed(weights[:-1]):
        digits, number = ("1" + digits, number - weight) if weight <= number else ("0" + digits, number)
    return digits + "1"


def gpp_of(section: int, text: str) -> str:
    header = f"{3:06b}{1:06b}{1:012b}0{fibonacci(section)}"
    return f"{encoded(header)}~{text}"


def fields(*values: int) -> str:
    return encoded(f"{1:06b}" + "".join(f"{value:02b}" for value in values))


@pytest.mark.parametrize(
    ("section", "text", "expected"),
    [
        pytest.param(6, "1YYN", True, id="usp: sale"),
        pytest.param(6, "1YNN", False, id="usp: none"),
        pytest.param(6, "1---", False, id="usp: does not apply"),
        pytest.param(7, fields(1, 1, 1, 1, 1, 1, 2, 2, 2), False, id="usnat: none"),
        pytest.param(7, fields(1, 1, 1, 1, 1, 1, 2, 2, 1), True, id="usnat: targeted advertising"),
        pytest.param(7, f"{fields(1, 1, 1, 1, 1, 1, 2, 2, 2)}.{encoded('011')}", True, id="usnat: the browser asks"),
        pytest.param(8, fields(1, 1, 1, 2, 1), True, id="usca: sharing"),
        pytest.param(9, fields(1, 1, 1, 1, 2), True, id="usva: sale"),
        pytest.param(11, fields(1, 1, 1, 1, 2, 1), True, id="usut: targeted advertising"),
        pytest.param(11, fields(1, 1, 1, 1, 2, 2), False, id="usut: a notice is no opt-out"),
        pytest.param(18, fields(1, 1, 1, 1, 2, 2), False, id="usia: a notice is no opt-out"),
        pytest.param(22, fields(1, 1, 1, 0, 1), True, id="ustn: targeted advertising"),
        pytest.param(5, "anything", False, id="another continent"),
        pytest.param(23, fields(1, 1, 1, 2, 2), True, id="a state that is not known here"),
        pytest.param(7, "B", True, id="a section that ends too early"),
    ],
)
def test_an_opt_out_by_a_law_of_the_united_states_restricts(section: int, text: str, expected: bool) -> None:
    assert said_by("", gpp_of(section, text)).is_opted_out is expected


def test_ranges_of_vendors_are_read() -> None:
    core = NOBODY.partition(".")[0]
    ranged = f"{800:016b}1{2:012b}0{5:016b}1{754:016b}{756:016b}"
    bits = "".join(f"{ALPHABET.index(one):06b}" for one in core)
    assert list(read_tcf(encoded(bits[:213] + ranged)).vendors) == [5, 754, 755, 756]


@pytest.mark.parametrize(
    ("tcf", "gpp", "expected"),
    [
        pytest.param("", "", (UNSAID, UNSAID), id="nothing"),
        pytest.param(MOST, "", (GRANTED, GRANTED), id="all"),
        pytest.param(NOBODY, "", (DENIED, DENIED), id="none"),
        pytest.param("", f"DBABMA~{MOST}", (GRANTED, GRANTED), id="all, in the other string"),
        pytest.param(MOST, f"DBABMA~{NOBODY}", (DENIED, DENIED), id="the stricter of two"),
        pytest.param(MOST[:30], "", (DENIED, DENIED), id="cut off"),
        pytest.param(
            "CO27L5XO27L5XDbACBENAtCAAIoAABQAAAIYAOBAhABAB5IAAAAA", "", (DENIED, DENIED), id="said to all sites"
        ),
        pytest.param("undefined", "null", (UNSAID, UNSAID), id="what means to be none"),
    ],
)
def test_strings_permit_what_they_say(tcf: str, gpp: str, expected: tuple[int, int]) -> None:
    said = said_by(tcf, gpp)
    assert (said.ad_user_data, said.ad_personalization) == expected


def test_personalisation_needs_what_sending_needs() -> None:
    said = said_by(with_purposes({3, 4, 7}), "")
    assert (said.ad_user_data, said.ad_personalization) == (DENIED, DENIED)
    said = said_by(with_purposes({1, 7}), "")
    assert (said.ad_user_data, said.ad_personalization) == (GRANTED, DENIED)


def with_purposes(purposes: set[int]) -> str:
    bits = "".join(f"{ALPHABET.index(one):06b}" for one in NOBODY.partition(".")[0])
    chosen = "".join("1" if place in purposes else "0" for place in range(1, 25))
    return encoded(bits[:152] + chosen + bits[176:])


def test_a_vendor_is_allowed_where_no_string_forbids_it() -> None:
    assert said_by(MOST, "").allows(755)
    assert not said_by(MOST, "").allows(756)
    assert not said_by(NOBODY, "").allows(755)
    assert NOTHING_SAID.allows(755)


@pytest.mark.parametrize(
    ("tcf", "gpp", "expected"),
    [
        pytest.param(naming(4), "", ((4,), (755,)), id="one of them"),
        pytest.param("", f"DBABMA~{naming(4)}", ((4,), (755,)), id="in the other string"),
        pytest.param(naming(4), f"DBABMA~{naming(755)}", ((), (4, 755)), id="each drops the other's"),
        pytest.param(MOST[:30], "", ((), (4, 755)), id="cut off"),
        pytest.param("", "DBABLA~CFAVAAAAAACA.YA", ((), ()), id="one that names no vendors"),
        pytest.param("undefined", "", ((), ()), id="none"),
    ],
)
def test_of_the_vendors_that_are_asked_for_strings_tell_whom_they_name(
    tcf: str, gpp: str, expected: tuple[tuple[int, ...], tuple[int, ...]]
) -> None:
    assert vendors_by(tcf, gpp, (4, 755)) == expected


@pytest.mark.parametrize("text", ["", "C", "C$", MOST.replace("C", "B", 1), "CQ" + "A" * 20])
def test_what_is_no_string_is_told(text: str) -> None:
    with pytest.raises(UnreadableStringError):
        read_tcf(text)


def test_a_string_without_a_second_segment_names_nobody() -> None:
    tcf = read_tcf(NOBODY.partition(".")[0])
    assert isinstance(tcf, Tcf)
    assert tcf.disclosed_vendors is None


def test_many_wide_ranges_cost_little() -> None:
    """Whoever sends an event writes the string: a set of all that it names would take minutes."""
    core = "".join(f"{ALPHABET.index(one):06b}" for one in NOBODY.partition(".")[0])[:213]
    everybody = f"1{1:016b}{65_535:016b}"
    tcf = read_tcf(encoded(core + f"{65_535:016b}1{4_000:012b}" + everybody * 4_000))
    assert 65_535 in tcf.vendors
    assert 0 not in tcf.vendors
    sections = f"{3:06b}{1:06b}{4_000:012b}" + f"1{fibonacci(1)}{fibonacci(60_000)}" * 4_000
    with pytest.raises(UnreadableStringError, match="sections"):
        read_gpp(encoded(sections) + "~1YNN")
