"""A conversion is found by its order as the door has read it."""

from __future__ import annotations

import asyncio

import pytest

from tributary.query.v1.query_service_pb2 import GetConversionRequest, OrderReference
from tributary_domain.ids import conversion_id, event_digest, order_digest
from tributary_query.naming import ConversionNames
from tributary_runtime.errors import InvalidRequestError


class NoEvents:
    """Knows no event of any conversion."""

    async def conversion_of_event(self, workspace: str, event_id: str) -> str:
        return ""


def find(**order: str) -> str:
    request = GetConversionRequest(order=OrderReference(**{"conversion_name": "purchase", **order}))
    return asyncio.run(ConversionNames(NoEvents(), lambda _, ids: ids).find(request, "shop"))


@pytest.mark.parametrize(
    ("order", "read"),
    [
        ({"order_id": "1001\n"}, ("", "1001")),
        ({"order_id": " 1001", "store": "de "}, ("de", "1001")),
        ({"order_id": "1001", "conversion_name": "purchase\t"}, ("", "1001")),
        ({"order_id": "1001", "store": "undefined"}, ("", "1001")),
        ({"order_id": "s-1", "cycle": " 0 "}, ("", "s-1", "0")),
        ({"order_id": "s-1", "cycle": "null"}, ("", "s-1")),
        ({"order_id": "L-1", "cycle": "stage:won"}, ("", "L-1", "stage:won")),
    ],
)
def test_an_order_is_read_as_the_door_reads_it(order: dict[str, str], read: tuple[str, ...]) -> None:
    assert find(**order) == conversion_id(order_digest("shop", "purchase", *read))


def test_a_blank_names_no_order() -> None:
    with pytest.raises(InvalidRequestError):
        find(order_id=" \n")
    with pytest.raises(InvalidRequestError):
        find(order_id="1001", conversion_name=" ")


@pytest.mark.parametrize("stored", ["x1:token", "203.0.113.7-1"])
def test_an_event_is_found_by_its_token_and_as_an_earlier_version_stored_it(stored: str) -> None:
    class OneEvent:
        async def conversion_of_event(self, workspace: str, event_id: str) -> str:
            return "c1:merged" if event_id == stored else ""

    for sent, found in (("203.0.113.7-1", "c1:merged"), ("x", "")):
        names = ConversionNames(OneEvent(), lambda _, ids: ["x1:token" if one != "x" else one for one in ids])
        conversion = asyncio.run(names.find(GetConversionRequest(event_id=sent), "shop"))
        assert conversion == (found or conversion_id(event_digest("shop", sent)))
