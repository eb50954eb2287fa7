"""What must never be in a log line is masked, and what must be there is not."""

from __future__ import annotations

from typing import Any

import pytest

from tributary_runtime.authentication import new_key
from tributary_runtime.redaction import redact, redact_text


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        pytest.param("no account for ann@example.com", "no account for [email]", id="e-mail"),
        pytest.param("<Ann.O'Neil+x@mail.example.co.uk>", "<[email]>", id="odd e-mail"),
        pytest.param("?email=ann%40example.com&x=1", "?email=[email]&x=1", id="encoded e-mail"),
        pytest.param("call +49 30 901820 now", "call [phone] now", id="phone"),
        pytest.param("call +1 (415) 555-2671", "call [phone]", id="phone with brackets"),
        pytest.param("call 004930901820", "call [phone]", id="phone with 00"),
        pytest.param("redis://admin:hunter2@host:6379/0", "redis://[masked]@host:6379/0", id="password in a URL"),
        pytest.param("redis://:hunter2@host", "redis://[masked]@host", id="password alone in a URL"),
        pytest.param("whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD", "[masked]", id="signing secret"),
    ],
)
def test_personal_data_and_secrets_are_masked(text: str, masked: str) -> None:
    assert redact_text(text) == masked


def test_an_api_key_keeps_its_id_only() -> None:
    key = new_key("analysts")
    assert redact_text(f"Bearer {key.key.get_secret_value()}") == "Bearer trb_analysts_[masked]"


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-25T15:08:09.000001Z",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "c1:0123456789abcdef0123456789abcdef",
        "1732547289123-0",
        "trb:{l3}:log:live",
        "10.0.0.12:50051",
        'File "/app/libs/tributary_runtime/server.py", line 289, in _run',
        "1.000000001",
    ],
)
def test_what_we_need_to_read_stays(text: str) -> None:
    assert redact_text(text) == text


@pytest.mark.parametrize(
    ("fields", "masked"),
    [
        pytest.param({"email": "x"}, {"email": "[masked]"}, id="by name"),
        pytest.param(
            {"problem": {"email": "x", "at": ["a@b.cc"]}},
            {"problem": {"email": "[masked]", "at": ["[email]"]}},
            id="deep",
        ),
        pytest.param({"data": b"\x00\x01"}, {"data": "[2 bytes]"}, id="bytes"),
        pytest.param({"events": 3, "ok": True, "x": None}, {"events": 3, "ok": True, "x": None}, id="numbers"),
        pytest.param({"error": ValueError("ann@example.com")}, {"error": "[email]"}, id="an object's text"),
    ],
)
def test_fields_are_masked_by_name_and_by_look(fields: dict[str, Any], masked: dict[str, Any]) -> None:
    assert redact(None, "info", fields) == masked


def test_a_field_that_contains_itself_ends() -> None:
    loop: dict[str, Any] = {}
    loop["again"] = loop
    assert "masked" in str(redact(None, "info", {"loop": loop}))
