"""A page token leads on in its own request and in no other."""

from __future__ import annotations

from base64 import urlsafe_b64encode

import pytest

from tributary.query.v1.query_service_pb2 import QueryReportRequest
from tributary_query.page_tokens import fingerprint, make_token, read_token

KEY = ("Paid Search", 1_763_600_000, "größe")

DEEP = urlsafe_b64encode(b"[" * 5_000 + b"]" * 5_000).decode()
NO_KEY = make_token(({},), "mark")  # type: ignore[arg-type]


def test_a_token_leads_to_the_row_it_was_made_of() -> None:
    assert read_token(make_token(KEY, "mark"), "mark") == KEY


def test_a_token_of_another_request_is_refused() -> None:
    with pytest.raises(ValueError, match="another request"):
        read_token(make_token(KEY, "mark"), "other")


@pytest.mark.parametrize("token", ["x", "####", "AAAA", "bnVsbA", "WzFd", make_token(KEY, "mark")[:-4], DEEP, NO_KEY])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(ValueError, match=r"page token|another request"):
        read_token(token, "mark")


def test_only_size_and_place_may_differ_from_page_to_page() -> None:
    request = QueryReportRequest(model="linear")
    same = QueryReportRequest(model="linear", page_size=7, page_token="x")
    assert fingerprint("shop", request) == fingerprint("shop", same)
    assert fingerprint("shop", request) != fingerprint("shop", QueryReportRequest(model="first_touch"))
    assert fingerprint("shop", request) != fingerprint("other", request)
