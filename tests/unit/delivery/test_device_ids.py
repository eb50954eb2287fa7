"""Advertising ids are told to whoever knows people by them, as each wants them written; the stand-ins take them.

A vendor id looks the same, and is told to nobody.
"""

from __future__ import annotations

from hashlib import sha256
from typing import Any

import pytest

from tests.support.batches import TOKEN, a_batch_destination
from tests.support.outgoing import an_outgoing, said, why
from tributary.delivery.v1.delivery_pb2 import INELIGIBLE_REASON_NO_MATCH_KEY
from tributary.event.v1.event_pb2 import ORIGIN_APP
from tributary_cli.demo.fakes import FAKES
from tributary_cli.demo.fakes.fake import Ask
from tributary_delivery.destinations import ADAPTERS
from tributary_delivery.destinations.adapter import Adapter, PersonKeys
from tributary_delivery.destinations.json_bytes import json_bytes

IDFA, GAID = "EA7583CD-A667-48BC-B806-42ECB2B48606", "cdda802e-fb9c-47ad-9866-0794d394c912"
ZEROS = "00000000-0000-0000-0000-000000000000"
NAMES = {"meta": "AppInstall", "tiktok": "Lead", "pinterest": "lead", "snap": "SIGN_UP", "reddit": "LEAD"}


def digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def adapter_of(kind: str) -> Adapter:
    adapter: Adapter = ADAPTERS[kind](a_batch_destination(kind))
    return adapter


def user_of(event: dict[str, Any]) -> dict[str, Any]:
    user: dict[str, Any] = event.get("user_data") or event["user"]
    return user


@pytest.mark.parametrize(
    ("kind", "apple", "android"),
    [
        pytest.param("meta", {"madid": IDFA}, {"madid": GAID}, id="meta: plain"),
        pytest.param("tiktok", {"idfa": IDFA}, {"gaid": GAID}, id="tiktok: plain, by system"),
        pytest.param(
            "pinterest",
            {"hashed_maids": [digest(IDFA.lower())]},
            {"hashed_maids": [digest(GAID)]},
            id="pinterest: hashed in lower case",
        ),
        pytest.param("snap", {"madid": IDFA.lower()}, {"madid": GAID}, id="snap: plain in lower case"),
        pytest.param(
            "reddit", {"idfa": digest(IDFA)}, {"aaid": digest(GAID)}, id="reddit: hashed by system, as that writes it"
        ),
    ],
)
def test_an_advertising_id_alone_is_enough(kind: str, apple: dict[str, Any], android: dict[str, Any]) -> None:
    fake, adapter = FAKES[kind](TOKEN), adapter_of(kind)
    micros = int(fake.unix_seconds()) * 1_000_000
    events = []
    for device_id, expected in ((IDFA, apple), (GAID, android)):
        kinds = ("apple_advertising_ids", "android_advertising_ids")
        ids = dict.fromkeys(kinds, ("vendor-1", ZEROS)) | {kinds[device_id == GAID]: (ZEROS, device_id.swapcase())}
        outgoing = an_outgoing(
            name=NAMES[kind],
            visible_id=device_id,
            person=PersonKeys(**ids),
            origin=ORIGIN_APP,
            micros=micros,
            now_micros=micros,
        )
        event = said(adapter.event(outgoing))
        assert user_of(event) == expected
        events.append(json_bytes(event))
    request = adapter.request(events, TOKEN)
    credential = {"authorization": f"Bearer {TOKEN}", "access-token": TOKEN}
    fake.take(Ask(request.path, {**request.query, "access_token": TOKEN}, credential, request.body))
    assert fake.counted == {IDFA: 1, GAID: 1}


@pytest.mark.parametrize("kind", NAMES)
@pytest.mark.parametrize("device_id", ["vendor-1", ZEROS, ""])
def test_what_is_no_advertising_id_names_nobody(kind: str, device_id: str) -> None:
    person = PersonKeys(apple_advertising_ids=(device_id,), android_advertising_ids=(device_id,))
    outgoing = an_outgoing(name=NAMES[kind], person=person, origin=ORIGIN_APP)
    assert why(adapter_of(kind).event(outgoing)) == INELIGIBLE_REASON_NO_MATCH_KEY
