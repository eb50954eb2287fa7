"""A type of destination is known everywhere or nowhere."""

from __future__ import annotations

import re
from typing import Any, get_args

import pytest

from tests.support.batches import NAMES, a_batch_destination
from tests.support.delivery import a_destination
from tests.support.outgoing import an_answer, an_outgoing, keys, said
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_TEST
from tributary_delivery.destinations import ADAPTERS, DESTINATIONS, TOKEN_URLS
from tributary_delivery.destinations.destination import RETRY
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_domain.match_keys import tables
from tributary_runtime.destination_types import Destination
from tributary_runtime.metrics import DestinationType

CRMS = ("hubspot", "salesforce")
LIMITS = {
    "google": (2_000, 240, None, 100_000, 90, 72),
    "google_ads": (2_000, 60, None, None, 90, 72),
    "hubspot": (100, 540, 90, 250_000, 400, 72),
    "linkedin": (5_000, 300, None, None, 90, 0),
    "meta": (1_000, 600, None, None, 62, 47),
    "microsoft": (1_000, 60, None, None, 90, 72),
    "pinterest": (1_000, 600, None, None, 7, 47),
    "reddit": (1_000, 60, None, None, 7, 47),
    "salesforce": (200, 60, None, None, 400, 72),
    "snap": (2_000, 600, None, None, 37, 47),
    "tiktok": (1_000, 600, None, None, 7, 47),
}
"""Type -> conversions in a request, requests in a minute, in ten seconds and in a day, days, and hours of doubt."""
UNION = get_args(get_args(Destination)[0])
DECLARED = {get_args(model.model_fields["type"].annotation)[0]: model for model in UNION}


def test_what_can_be_declared_can_be_spoken_to_measured_and_looked_into() -> None:
    exported = {kind for kind, model in DECLARED.items() if not model.is_sent_each}
    assert {*ADAPTERS, *DESTINATIONS, *exported} == set(DECLARED) == {kind.value for kind in DestinationType}
    assert exported == {"warehouse"}
    assert set(tables.DESTINATIONS) == set(ADAPTERS)


def test_who_gives_out_tokens_has_an_address_for_them() -> None:
    refreshing = {kind for kind, model in DECLARED.items() if getattr(model, "grants", {})}
    assert refreshing - {"salesforce"} == set(TOKEN_URLS), "Salesforce's is the customer's own"


@pytest.mark.parametrize("kind", ADAPTERS)
def test_the_limits_are_those_of_the_documentation_unless_the_file_says_others(kind: str) -> None:
    settings = a_batch_destination(kind)
    quota = type(settings).model_fields["quota"].default
    rates = (quota.requests_per_minute, quota.requests_per_ten_seconds, quota.requests_per_day)
    assert (settings.batch_size, *rates, settings.most_age_days, settings.resend_hours) == LIMITS[kind]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({}, id="nothing"),
        pytest.param({"requests_per_minute": 7}, id="of a minute"),
        pytest.param({"requests_per_ten_seconds": 7}, id="of ten seconds"),
        pytest.param({"requests_per_day": 7}, id="of a day"),
        pytest.param({"requests_per_ten_seconds": None, "requests_per_day": None}, id="no limit"),
    ],
)
@pytest.mark.parametrize("kind", [*ADAPTERS, *DESTINATIONS])
def test_what_a_quota_leaves_out_is_as_the_type_has_it(kind: str, given: dict[str, int | None]) -> None:
    settings = a_batch_destination(kind, quota=given) if kind in ADAPTERS else a_destination("http://x", quota=given)
    of_type = LIMITS[kind][1:4] if kind in LIMITS else (600, None, None)
    names = ("requests_per_minute", "requests_per_ten_seconds", "requests_per_day")
    assert settings.quota.model_dump() == {**dict(zip(names, of_type, strict=True)), **given}


@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_destination_is_told_corrections_where_its_settings_say_that_it_takes_them(kind: str) -> None:
    settings = a_batch_destination(kind)
    operations = ADAPTERS[kind](settings).policy.operations
    assert (DELIVERY_OPERATION_RESTATE in operations) == settings.restates
    assert (DELIVERY_OPERATION_TEST in operations) == settings.has_test_mode
    assert NAMES.get(kind, "Purchase") == settings.name_of("purchase")


@pytest.mark.parametrize("kind", ADAPTERS)
def test_no_representation_shows_a_person_or_a_credential(kind: str) -> None:
    person = keys(
        emails=("secret@example.com",), phones=("+14155552671",), client_ip="203.0.113.7", user_agent="secret"
    )
    adapter = ADAPTERS[kind](
        a_batch_destination(kind, properties={"email": "email"}) if kind in CRMS else a_batch_destination(kind)
    )
    outgoing = an_outgoing(name="42", person=person)
    mapped = adapter.event(outgoing)
    request = adapter.request([json_bytes(said(mapped))], "secret")
    answer = an_answer(400, {"message": "secret@example.com"})
    shown = f"{outgoing}{mapped}{request}{answer}{person}{adapter.classify(answer, 1)}"
    assert not re.search("secret|developer|4155552671|203.0.113", shown)


@pytest.mark.parametrize("body", [None, "a page of somebody's", []], ids=["no JSON", "a text", "a list of nothing"])
@pytest.mark.parametrize("kind", ADAPTERS)
def test_a_success_that_is_no_answer_of_the_destination_s_own_leaves_all_in_doubt(kind: str, body: Any) -> None:
    verdict = ADAPTERS[kind](a_batch_destination(kind)).classify(an_answer(200, body, "a page of somebody's"), 2)
    assert [(verdict.of(place).outcome, verdict.of(place).is_untaken) for place in range(2)] == [(RETRY, False)] * 2
