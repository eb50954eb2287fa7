"""`tributary classify` answers line by line, by the rules of the door, and says which rule decided."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from tributary_cli.command_line import cli
from tributary_cli.json_lines import MAX_LINE_BYTES
from tributary_cli.visit_lines import FIELDS

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"
PAGE = "https://shop.example/"
KEYS = ["channel", "source", "medium", "campaign", "click_ids", "bot", "bot_name", "rule"]

WORKSPACES = """
workspaces:
  - id: shop
    pepper: {env: NOT_SET_HERE}
    own_domains: [shop-group.example]
    channel_rules: [{channel: Partners, referrer: "*.partner.example"}]
  - id: other
    pepper: {env: NOT_SET_HERE}
"""


def run(*lines: Any, arguments: tuple[str, ...] = ()) -> Result:
    text = "".join((line if isinstance(line, str) else json.dumps(line)) + "\n" for line in lines)
    return CliRunner().invoke(cli, ["classify", *arguments], input=text)


def answers(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


@pytest.mark.parametrize(
    ("visit", "expected"),
    [
        pytest.param(
            {"page_url": f"{PAGE}?gclid=Ab1&utm_campaign=spring", "user_agent": BROWSER},
            ("Paid Search", "google", "cpc", "spring", {"gclid": "Ab1"}, False, None, "click_id:gclid"),
            id="an ad",
        ),
        pytest.param(
            {"page_url": PAGE, "referrer_url": "https://www.google.com/"},
            ("Organic Search", "google", "organic", None, None, False, None, "referrer:search"),
            id="a search",
        ),
        pytest.param(
            {"page_url": "https://a.web.app/", "referrer_url": "https://b.web.app/"},
            ("Referral", "b.web.app", "referral", None, None, False, None, "referrer"),
            id="a neighbour below a domain of many",
        ),
        pytest.param(
            {"utm_source": "News", "utm_medium": "email", "utm_campaign": "May"},
            ("Email", "news", "email", "May", None, False, None, "utm"),
            id="parameters",
        ),
        pytest.param(
            {"page_url": f"{PAGE}?utm_source=page", "utm_source": "own"},
            ("Unassigned", "own", "(not set)", None, None, False, None, "utm"),
            id="own parameters before the page's",
        ),
        pytest.param(
            {"page_url": PAGE, "referrer_url": "https://checkout.stripe.com/pay"},
            (None, None, None, None, None, False, None, "ignored_referrer"),
            id="a return from a payment page",
        ),
        pytest.param(
            {"user_agent": GOOGLEBOT, "page_url": PAGE},
            ("Direct", "(direct)", "(none)", None, None, True, "Googlebot", "direct"),
            id="a bot",
        ),
        pytest.param(
            {"user_agent": "python-requests/2.31"},
            ("Direct", "(direct)", "(none)", None, None, False, None, "direct"),
            id="a library is no bot",
        ),
        pytest.param({}, ("Direct", "(direct)", "(none)", None, None, False, None, "direct"), id="nothing known"),
        pytest.param(
            {"page_url": None, "user_agent": "", "extra": 1, "client_id": "7", "utm_term": "a", "url": None},
            ("Direct", "(direct)", "(none)", None, None, False, None, "direct"),
            id="null, empty and unknown",
        ),
    ],
)
def test_a_visit_is_answered_with_its_channel_and_the_rule(visit: dict[str, Any], expected: tuple[Any, ...]) -> None:
    result = run(visit)
    assert result.exit_code == 0, result.output
    (answer,) = answers(result)
    assert list(answer) == KEYS
    assert tuple(answer.values()) == expected


@pytest.mark.parametrize(
    ("line", "field", "error"),
    [
        ("{", None, "is no JSON"),
        ("[1]", None, "is no JSON object"),
        ("null", None, "is no JSON object"),
        ("[" * 40_000, None, "is no JSON"),
        ('{"referer": "https://www.google.com/"}', "referer", "is not known; did you mean referrer_url?"),
        ('{"page_url": "/", "Referrer": "x"}', "Referrer", "is not known; did you mean referrer_url?"),
        ('{"pageUrl": "https://shop.example/?gclid=1"}', "pageUrl", "is not known; did you mean page_url?"),
        ('{"utm_sorce": "a"}', "utm_sorce", "is not known; did you mean utm_source?"),
        ('{"source": "a", "id": 7}', "source", "is not known; did you mean utm_source?"),
        ('{"visit": {}, "id": 7}', None, f"has none of the fields that are known: {', '.join(FIELDS)}"),
        ('{"page_url": 7}', "page_url", "is no text"),
        ('{"page_url": ["x"]}', "page_url", "is no text"),
        ('{"user_agent": "' + "x" * 1025 + '"}', "user_agent", "is longer than 1024 characters"),
        ('{"utm_source": "\\ud800"}', "utm_source", "is no Unicode text"),
        ('{"page_url": "' + "x" * 2 * MAX_LINE_BYTES + '"}', None, f"is longer than {MAX_LINE_BYTES} bytes"),
    ],
)
def test_a_bad_line_is_told_its_neighbours_are_answered_and_the_exit_status_is_1(
    line: str, field: str | None, error: str
) -> None:
    result = run({"utm_source": "a"}, line, {"utm_source": "b"})
    assert result.exit_code == 1
    before, bad, after = answers(result)
    assert (before["source"], after["source"]) == ("a", "b")
    assert bad == {"line": 2, "field": field, "error": error}


def test_bytes_that_are_no_text_are_a_bad_line_and_empty_lines_are_none() -> None:
    result = CliRunner().invoke(cli, ["classify"], input=b'{"utm_source": "\xff"}\n\n{}\n')
    assert result.exit_code == 1
    assert [("error" in answer) for answer in answers(result)] == [True, False]


def test_answers_are_utf_8_on_a_terminal_that_is_not() -> None:
    asked = {"utm_source": "m\u00fcnchen \u30c6"}
    result = CliRunner(charset="ascii").invoke(cli, ["classify"], input=json.dumps(asked))
    assert result.exit_code == 0, result.exception
    assert json.loads(result.stdout_bytes)["source"] == asked["utm_source"]


def test_a_line_is_answered_before_the_next_is_written() -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "tributary_cli", "classify"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for source in ("first", "second"):
            process.stdin.write(json.dumps({"utm_source": source}) + "\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["source"] == source
        process.stdin.close()
        assert process.wait(60) == 0


def test_the_rules_of_a_workspace_are_used(tmp_path: Path) -> None:
    file = tmp_path / "workspaces.yaml"
    file.write_text(WORKSPACES)
    own = ("--workspaces-file", str(file), "--workspace", "shop")
    visits = (
        {"page_url": PAGE, "referrer_url": "https://blog.shop-group.example/"},
        {"page_url": PAGE, "referrer_url": "https://eu.partner.example/"},
    )
    assert [answer["rule"] for answer in answers(run(*visits, arguments=own))] == ["own_site", "workspace:0"]
    assert [answer["rule"] for answer in answers(run(*visits))] == ["referrer", "referrer"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--workspace", "shop"), "are in no file"),
        (("--workspaces-file", "{file}"), "has 2 workspaces"),
        (("--workspaces-file", "{file}", "--workspace", "nobody"), "has no workspace nobody"),
        (("--workspaces-file", "{file}.not"), "cannot be used"),
    ],
)
def test_a_workspace_that_cannot_be_found_is_told(arguments: tuple[str, ...], message: str, tmp_path: Path) -> None:
    file = tmp_path / "workspaces.yaml"
    file.write_text(WORKSPACES)
    result = run({}, arguments=tuple(argument.format(file=file) for argument in arguments))
    assert result.exit_code == 1
    assert message in result.stderr


def test_a_file_of_the_environment_is_used_only_for_a_workspace_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "workspaces.yaml"
    file.write_text(WORKSPACES)
    monkeypatch.setenv("TRIBUTARY_WORKSPACES_FILE", str(file))
    visit = {"page_url": PAGE, "referrer_url": "https://blog.shop-group.example/"}
    assert answers(run(visit))[0]["rule"] == "referrer"
    assert answers(run(visit, arguments=("--workspace", "shop")))[0]["rule"] == "own_site"


def test_details_say_what_was_recovered_and_what_the_agent_is() -> None:
    visit = {"page_url": f"{PAGE}?utm_source=x&utm_medium=email", "user_agent": "okhttp/4.9"}
    (answer,) = answers(run(visit, arguments=("--details",)))
    assert (answer["referrer_recovered"], answer["agent_kind"]) == (True, "library")
    assert answer["warnings"] == ["HTTP_LIBRARY_USER_AGENT"]


def test_an_address_on_a_list_is_a_bot_named_after_the_list(tmp_path: Path) -> None:
    listed, file = tmp_path / "hosting.txt", tmp_path / "workspaces.yaml"
    listed.write_text("203.0.113.0/24\n")
    file.write_text(f"workspaces: [{{id: shop, pepper: {{env: NOT_SET_HERE}}, bot_addresses: {{files: [{listed}]}}}}]")
    visits = ({"client_ip": "203.0.113.7"}, {"client_ip": "198.51.100.7"}, {"client_ip": "none"})
    found = answers(run(*visits, arguments=("--workspaces-file", str(file))))
    assert [(answer["bot"], answer["bot_name"]) for answer in found] == [
        (True, "hosting"),
        (False, None),
        (False, None),
    ]
    listed.write_text("nonsense\n")
    result = run({}, arguments=("--workspaces-file", str(file)))
    assert (result.exit_code, result.stdout) == (1, "")
    assert "in line 1" in result.stderr
