"""What the client of Google's Data Manager API sends of a conversion is what we send of it."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.ads import datamanager_v1 as datamanager
from google.ads.datamanager_v1.services.ingestion_service.transports import IngestionServiceRestTransport
from google.auth.credentials import AnonymousCredentials
from google.protobuf import json_format

from tests.oracles.fake import answering
from tests.support.outgoing import an_answer, an_outgoing, click_id, keys, said
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_RESTATE
from tributary_delivery.destinations.adapter import Pinned
from tributary_delivery.destinations.destination import PERMANENT
from tributary_delivery.destinations.google import Google
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_domain.match_keys.keys import digest
from tributary_runtime.ad_destinations import GoogleDestination

GOOGLE = Google(
    GoogleDestination.model_validate(
        {
            "id": "google",
            "type": "google",
            "operating_account": "1234567890",
            "login_account": "99",
            "access_token": {"value": "T"},
            "conversions": {"purchase": {"name": "42"}},
        }
    )
)


def outgoing(**own: Any) -> Any:
    person = keys(
        emails=("J.Doe+news@gmail.com",),
        phones=("+1 415-555-2671",),
        address={"given": "Mary Ann", "family": "Smith", "country": "US", "zip": "94035"},
        client_ip="203.0.113.7",
        user_agent="UA/1",
    )
    return an_outgoing(name="42", person=person, clicks=(click_id("gclid", "G-1"),), **own)


def ours(**own: Any) -> Any:
    body = GOOGLE.request([json_bytes(said(GOOGLE.event(outgoing(**own))))], "T", "42").body
    return json_format.Parse(body, datamanager.IngestEventsRequest.pb(datamanager.IngestEventsRequest()))


def theirs() -> datamanager.IngestEventsRequest:
    account = datamanager.ProductAccount
    ads = account.AccountType.GOOGLE_ADS
    destination = datamanager.Destination(
        reference="42",
        operating_account=account(account_type=ads, account_id="1234567890"),
        login_account=account(account_type=ads, account_id="99"),
        product_destination_id="42",
    )
    address = datamanager.AddressInfo(
        given_name=digest("maryann"), family_name=digest("smith"), region_code="US", postal_code="94035"
    )
    identifiers = [
        datamanager.UserIdentifier(email_address=digest("jdoe@gmail.com")),
        datamanager.UserIdentifier(phone_number=digest("+14155552671")),
        datamanager.UserIdentifier(address=address),
    ]
    granted = datamanager.ConsentStatus.CONSENT_GRANTED
    event = datamanager.Event(
        destination_references=["42"],
        event_timestamp="2026-01-02T03:04:05Z",
        transaction_id="order-1001",
        event_source=datamanager.EventSource.WEB,
        conversion_value=49.9,
        currency="USD",
        ad_identifiers=datamanager.AdIdentifiers(
            gclid="G-1",
            landing_page_device_info=datamanager.DeviceInfo(ip_address="203.0.113.7", user_agent="UA/1"),
        ),
        user_data=datamanager.UserData(user_identifiers=identifiers),
        consent=datamanager.Consent(ad_user_data=granted, ad_personalization=granted),
    )
    return datamanager.IngestEventsRequest(
        destinations=[destination], events=[event], encoding=datamanager.Encoding.HEX
    )


def test_our_request_is_what_its_client_posts() -> None:
    with answering({"requestId": "R"}) as fake:
        transport = IngestionServiceRestTransport(
            host=fake.url.removeprefix("http://"), url_scheme="http", credentials=AnonymousCredentials()
        )
        answer = datamanager.IngestionServiceClient(transport=transport).ingest_events(theirs(), retry=None)
    assert answer.request_id == "R"
    posted = datamanager.IngestEventsRequest.pb(datamanager.IngestEventsRequest())
    json_format.Parse(fake.bodies[0], posted)
    assert fake.paths[0].partition("?")[0] == GOOGLE.request([b"{}"], "T").path
    assert ours() == posted


def test_its_classes_understand_a_correction() -> None:
    pinned = Pinned("order-1001", "gclid", "G-1", 1_767_323_045_000_000)
    corrected = ours(operation=DELIVERY_OPERATION_RESTATE, amount_micros=30_000_000, pinned=pinned)
    first = ours()
    assert corrected.events[0].conversion_value == 30.0
    corrected.events[0].conversion_value = first.events[0].conversion_value
    corrected.events[0].ClearField("last_updated_timestamp")
    assert corrected == first


def test_its_classes_understand_what_is_only_tried_out() -> None:
    trial = GOOGLE.trial([said(GOOGLE.event(outgoing()))], "T", "")
    parsed = json_format.Parse(
        trial.request.body, datamanager.IngestEventsRequest.pb(datamanager.IngestEventsRequest())
    )
    assert parsed.validate_only
    parsed.ClearField("validate_only")
    assert parsed == ours()


def test_its_classes_read_what_is_reported_later_as_we_do() -> None:
    status = datamanager.RequestStatusPerDestination
    reason = datamanager.ProcessingErrorReason.PROCESSING_ERROR_REASON_EVENT_TOO_OLD
    answered = datamanager.RetrieveRequestStatusResponse(
        request_status_per_destination=[
            status(
                request_status=status.RequestStatus.PARTIAL_SUCCESS,
                error_info=datamanager.ErrorInfo(error_counts=[datamanager.ErrorCount(record_count=2, reason=reason)]),
                events_ingestion_status=status.IngestEventsStatus(record_count=5),
            )
        ]
    )
    said_later = json.loads(datamanager.RetrieveRequestStatusResponse.to_json(answered, use_integers_for_enums=False))
    report = GOOGLE.read_report(an_answer(200, said_later))
    assert report is not None
    assert (report.status, report.records) == ("PARTIAL_SUCCESS", 5)
    assert report.refused == {"EVENT_TOO_OLD": (PERMANENT, 2)}


@pytest.mark.parametrize("family", ["gclid", "gbraid", "wbraid"])
def test_its_classes_know_the_click_ids(family: str) -> None:
    body = GOOGLE.request(
        [json_bytes(said(GOOGLE.event(an_outgoing(name="42", clicks=(click_id(family, "C"),)))))], "T", "42"
    ).body
    parsed = json_format.Parse(body, datamanager.IngestEventsRequest.pb(datamanager.IngestEventsRequest()))
    assert getattr(parsed.events[0].ad_identifiers, family) == "C"
