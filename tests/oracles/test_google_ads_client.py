"""What the Google Ads client sends of a conversion, and of what adjusts it, is what we send."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import grpc
from google.ads.googleads.v26.common.types.consent import Consent
from google.ads.googleads.v26.common.types.offline_user_data import UserIdentifier
from google.ads.googleads.v26.enums.types.consent_status import ConsentStatusEnum
from google.ads.googleads.v26.enums.types.conversion_adjustment_type import ConversionAdjustmentTypeEnum
from google.ads.googleads.v26.enums.types.conversion_environment_enum import ConversionEnvironmentEnum
from google.ads.googleads.v26.services.services.conversion_adjustment_upload_service import (
    ConversionAdjustmentUploadServiceClient,
)
from google.ads.googleads.v26.services.services.conversion_adjustment_upload_service.transports import (
    ConversionAdjustmentUploadServiceGrpcTransport,
)
from google.ads.googleads.v26.services.services.conversion_upload_service import ConversionUploadServiceClient
from google.ads.googleads.v26.services.services.conversion_upload_service.transports import (
    ConversionUploadServiceGrpcTransport,
)
from google.ads.googleads.v26.services.types.conversion_adjustment_upload_service import (
    ConversionAdjustment,
    RestatementValue,
    UploadConversionAdjustmentsRequest,
    UploadConversionAdjustmentsResponse,
)
from google.ads.googleads.v26.services.types.conversion_upload_service import (
    ClickConversion,
    UploadClickConversionsRequest,
    UploadClickConversionsResponse,
)
from google.protobuf import json_format

from tests.support.outgoing import an_outgoing, click_id, keys, said
from tributary.delivery.v1.delivery_pb2 import DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RETRACT
from tributary_delivery.destinations.adapter import Mapped
from tributary_delivery.destinations.google_ads import GoogleAds
from tributary_delivery.destinations.json_bytes import json_bytes
from tributary_domain.match_keys.keys import digest
from tributary_runtime.search_destinations import GoogleAdsDestination

ADS = GoogleAds(
    GoogleAdsDestination.model_validate(
        {
            "id": "ads",
            "type": "google_ads",
            "customer_id": "123",
            "developer_token": {"value": "D"},
            "access_token": {"value": "T"},
            "conversions": {"purchase": {"name": "42"}},
        }
    )
)
ACTION = "customers/123/conversionActions/42"


def ours(message: Any, **own: Any) -> Any:
    """Returns our request, parsed by their class; the customer is in its path."""
    person = keys(emails=("jane@example.com",), phones=("+14155552671",))
    mapped = ADS.event(an_outgoing(name="42", person=person, clicks=(click_id("gclid", "G"),), **own))
    assert isinstance(mapped, Mapped)
    request = ADS.request([json_bytes(said(mapped))], "T", mapped.group)
    return json_format.Parse(request.body, message.pb(message(customer_id="123")))


@contextmanager
def listening(method: str, request: Any, answer: Any) -> Iterator[tuple[grpc.Channel, list[Any]]]:
    """Answers one method, and keeps what came."""
    came: list[Any] = []

    def handle(message: Any, _context: Any) -> Any:
        came.append(request.pb(message))
        return answer

    service, name = method.rsplit("/", 1)
    handler = grpc.unary_unary_rpc_method_handler(handle, request.deserialize, type(answer).serialize)
    server = grpc.server(ThreadPoolExecutor(1))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, {name: handler}),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel, came
    finally:
        server.stop(None).wait()


def test_our_upload_is_what_its_client_sends() -> None:
    conversion = ClickConversion(
        gclid="G",
        conversion_action=ACTION,
        conversion_date_time="2026-01-02 03:04:05+00:00",
        conversion_value=49.9,
        currency_code="USD",
        order_id="order-1001",
        conversion_environment=ConversionEnvironmentEnum.ConversionEnvironment.WEB,
        user_identifiers=[
            UserIdentifier(hashed_email=digest("jane@example.com")),
            UserIdentifier(hashed_phone_number=digest("+14155552671")),
        ],
        consent=Consent(ad_user_data=ConsentStatusEnum.ConsentStatus.GRANTED),
    )
    method = "google.ads.googleads.v26.services.ConversionUploadService/UploadClickConversions"
    with listening(method, UploadClickConversionsRequest, UploadClickConversionsResponse()) as (channel, came):
        client = ConversionUploadServiceClient(transport=ConversionUploadServiceGrpcTransport(channel=channel))
        client.upload_click_conversions(
            UploadClickConversionsRequest(customer_id="123", conversions=[conversion], partial_failure=True)
        )
    assert ours(UploadClickConversionsRequest) == came[0]


def test_our_adjustments_are_what_its_client_sends() -> None:
    kinds = ConversionAdjustmentTypeEnum.ConversionAdjustmentType
    named = {
        "order_id": "order-1001",
        "conversion_action": ACTION,
        "adjustment_date_time": "2026-01-02 04:04:05+00:00",
    }
    restated = ConversionAdjustment(
        adjustment_type=kinds.RESTATEMENT,
        restatement_value=RestatementValue(adjusted_value=30.0, currency_code="USD"),
        **named,
    )
    retracted = ConversionAdjustment(adjustment_type=kinds.RETRACTION, **named)
    method = "google.ads.googleads.v26.services.ConversionAdjustmentUploadService/UploadConversionAdjustments"
    answer = UploadConversionAdjustmentsResponse()
    with listening(method, UploadConversionAdjustmentsRequest, answer) as (channel, came):
        transport = ConversionAdjustmentUploadServiceGrpcTransport(channel=channel)
        client = ConversionAdjustmentUploadServiceClient(transport=transport)
        for adjustment in (restated, retracted):
            client.upload_conversion_adjustments(
                UploadConversionAdjustmentsRequest(
                    customer_id="123", conversion_adjustments=[adjustment], partial_failure=True
                )
            )
    request = UploadConversionAdjustmentsRequest
    assert ours(request, operation=DELIVERY_OPERATION_RESTATE, amount_micros=30_000_000) == came[0]
    assert ours(request, operation=DELIVERY_OPERATION_RETRACT, amount_micros=0) == came[1]
