"""The file is the only place that says what a workspace is; what it says that we do not understand is refused."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from pydantic import ValidationError

import tributary_runtime
from tributary_domain.counting import Counting
from tributary_domain.settings import AttributionModel
from tributary_runtime.attribution_settings import AttributionSettings
from tributary_runtime.conversion_settings import Role
from tributary_runtime.declared import describe_problems
from tributary_runtime.workspaces import Workspaces
from tributary_runtime.workspaces_file import parse_workspaces
from tributary_runtime.workspaces_schema import PATH, render_schema

EXAMPLE = Path(tributary_runtime.__file__).with_name("workspaces.example.yaml")


def workspaces(**more: Any) -> Workspaces:
    return Workspaces.model_validate({"workspaces": [{"id": "shop", "pepper": {"value": "salt"}, **more}]})


def problems_of(**more: Any) -> list[str]:
    with pytest.raises(ValidationError) as refusal:
        workspaces(**more)
    return describe_problems(refusal.value)


def test_the_committed_schema_is_the_models() -> None:
    assert PATH.read_text() == render_schema(), "run python -m tributary_runtime.workspaces_schema"


def test_the_example_is_right() -> None:
    found = parse_workspaces(EXAMPLE, resolve_secrets=False)
    assert list(found.by_id) == ["shop", "blog"]


def test_the_example_is_right_by_the_schema_too() -> None:
    content = json.loads(json.dumps(yaml.safe_load(EXAMPLE.read_text()), default=lambda value: value.isoformat()))
    jsonschema.validate(content, json.loads(PATH.read_text()))


def test_the_example_shows_every_key() -> None:
    schema = json.loads(PATH.read_text())
    parts = [schema, *schema["$defs"].values()]
    keys = {key for part in parts for key in part.get("properties", {})}
    shown = set(re.findall(r"(\w+):", EXAMPLE.read_text()))
    assert keys - shown == set()


NO_EFFECT = "no effect in this release"
READERS = [
    path.read_text()
    for folder in ("libs", "services")
    for path in (Path(__file__).parents[3] / folder).glob("tributary_*/**/*.py")
    if path.parent.name != "tributary_runtime" or not path.stem.endswith(("_settings", "_destinations", "workspaces"))
]
"""Every module but those that declare settings."""


def declared_settings() -> dict[str, str]:
    """Returns every key of the schema that is a setting of its own -> what is said of it."""
    schema = json.loads(PATH.read_text())
    return {
        name: " ".join(about["description"].split())
        for part in [schema, *schema["$defs"].values()]
        for name, about in part.get("properties", {}).items()
        if "description" in about
    }


READ_BY_THE_MODEL = {"effective_from", "endpoint_url", "maximum", "path_after_conversion"}
"""Through a method, or under another name."""
PARTS_OF_THOSE = {"regions", "granted"}
PARTS_OF_THOSE |= {"mappings", "source_destinations", "account_id", "campaign_id", "valid_from", "valid_through"}
"""Keys inside a setting that has no effect, which says so for them."""
SAYS_NO_EFFECT = {name for name, about in declared_settings().items() if NO_EFFECT in about.lower()}


def test_settings_without_effect_are_those_we_know() -> None:
    assert {"spend", "ledger_years"} == SAYS_NO_EFFECT


def test_a_setting_that_nothing_reads_says_so() -> None:
    words = {word for text in READERS for word in re.findall(r"\w+", text)}
    with_effect = declared_settings().keys() - SAYS_NO_EFFECT - READ_BY_THE_MODEL - PARTS_OF_THOSE
    assert with_effect - words == set()
    assert len(with_effect) > 100


@pytest.mark.parametrize("name", sorted(SAYS_NO_EFFECT))
def test_the_example_says_which_settings_have_no_effect(name: str) -> None:
    comments = re.sub(r"\n\s*# ", " ", EXAMPLE.read_text())
    assert re.search(rf"\b{name}\b[^:.]*: {NO_EFFECT}", comments)


def test_the_example_says_it_of_no_other_setting() -> None:
    comments = re.sub(r"\n\s*# ", " ", EXAMPLE.read_text())
    named = [name for names in re.findall(rf"([\w, ]+): {NO_EFFECT}", comments) for name in re.findall(r"\w+", names)]
    assert set(named) <= SAYS_NO_EFFECT


def test_the_examples_first_settings_are_the_defaults_but_for_the_longer_lookback() -> None:
    (shop, blog) = parse_workspaces(EXAMPLE, resolve_secrets=False).workspaces
    assert shop.attribution[0].model_copy(update={"models": {}}) == blog.attribution[0]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param({"colour": "red"}, "workspaces.0.colour: unknown key", id="unknown key"),
        pytest.param(
            {"attribution": [{"lookback": 30}]},
            "workspaces.0.attribution.0.lookback: unknown key",
            id="deep unknown key",
        ),
        pytest.param({"api_keys": [{"id": "shop-key"}]}, "workspaces.0.api_keys.0.sha256: is required", id="missing"),
        pytest.param(
            {"reporting": {"time_zone": "Berlin"}},
            "workspaces.0.reporting.time_zone: is no IANA time zone, such as Europe/Berlin",
            id="time zone",
        ),
        pytest.param(
            {"pepper": {}}, "workspaces.0.pepper: give exactly one of env, file, value", id="secret from nowhere"
        ),
        pytest.param(
            {"pepper": {"env": "NOT_SET_ANYWHERE"}},
            "workspaces.0.pepper: the environment variable NOT_SET_ANYWHERE is not set",
            id="secret not set",
        ),
        pytest.param(
            {"pepper": {"file": "/nowhere"}},
            "workspaces.0.pepper: cannot read the secret from /nowhere: FileNotFoundError",
            id="secret file missing",
        ),
        pytest.param(
            {"conversions": [{"name": "purchase"}, {"name": "purchase"}]},
            "workspaces.0: conversions: purchase is there more than once",
            id="twins",
        ),
        *(
            pytest.param(
                {"conversions": [{"name": name}]},
                "workspaces.0.conversions.0.name: has a blank, or what cannot be seen, at an end: take it off",
                id=f"a name that no conversion has: {name!r}",
            )
            for name in (" purchase", "purchase\n", "purchase\u00a0", "\u200bpurchase", " ")
        ),
        pytest.param(
            {"attribution": [{}, {"lookback_days": 7}]},
            "workspaces.0: attribution: only the first entry may lack effective_from",
            id="no beginning",
        ),
        pytest.param(
            {
                "attribution": [
                    {"effective_from": "2026-02-01T00:00:00Z"},
                    {"effective_from": "2026-01-01T00:00:00Z"},
                ]
            },
            "workspaces.0: attribution: effective_from must grow from entry to entry",
            id="disorder",
        ),
        pytest.param(
            {"attribution": [{"position_weights": [0, 0, 0]}]},
            "workspaces.0.attribution.0: position_weights must not all be 0",
            id="no weight",
        ),
    ],
)
def test_a_wrong_workspace_is_refused_with_the_place(more: dict[str, Any], problem: str) -> None:
    assert problem in problems_of(**more)


def test_no_secret_is_in_a_problem() -> None:
    assert "hunter2" not in " ".join(problems_of(pepper={"value": "hunter2", "env": "hunter2"}, colour="hunter2"))


def test_one_key_id_cannot_open_two_workspaces() -> None:
    key = {"id": "same", "sha256": "0" * 64, "scopes": ["ingest"]}
    entries = [{"id": name, "pepper": {"value": "salt"}, "api_keys": [key]} for name in ("shop", "blog")]
    with pytest.raises(ValidationError, match="api_keys: same is there more than once"):
        Workspaces.model_validate({"workspaces": entries})


@pytest.mark.parametrize(
    ("amount", "micros"),
    [
        pytest.param(20, 20_000_000, id="whole"),
        pytest.param("0.50", 500_000, id="text"),
        pytest.param("0.000001", 1, id="one micro"),
    ],
)
def test_an_amount_is_held_exactly(amount: int | str, micros: int) -> None:
    (shop,) = workspaces(
        conversions=[{"name": "purchase", "expected_amounts": [{"currency": "EUR", "maximum": amount}]}]
    ).workspaces
    expected = shop.conversion("purchase").expected_amount("EUR")
    assert expected is not None
    assert (expected.minimum_micros, expected.maximum_micros) == (0, micros)


@pytest.mark.parametrize("amount", [0.5, True, "0.0000001", "many", "NaN", "1e30"])
def test_an_inexact_amount_is_refused(amount: Any) -> None:
    assert problems_of(conversions=[{"name": "a", "expected_amounts": [{"currency": "EUR", "maximum": amount}]}])


def test_an_undeclared_conversion_counts_by_the_defaults() -> None:
    (shop,) = workspaces().workspaces
    definition = shop.conversion("anything")
    assert (definition.role, definition.primary, definition.counting) == (Role.REVENUE, True, Counting.EVERY)


HISTORY = [
    {"lookback_days": 7},
    {"lookback_days": 14, "effective_from": "2026-02-01T00:00:00Z"},
    {"lookback_days": 28, "effective_from": "2026-03-01T00:00:00Z"},
]


@pytest.mark.parametrize(
    ("time", "lookback_days"),
    [
        pytest.param(datetime(2020, 1, 1, tzinfo=UTC), 7, id="since ever"),
        pytest.param(datetime(2026, 1, 31, 23, 59, 59, 999_999, tzinfo=UTC), 7, id="1 µs before"),
        pytest.param(datetime(2026, 2, 1, tzinfo=UTC), 14, id="at the start"),
        pytest.param(datetime(2026, 3, 1, tzinfo=UTC), 28, id="newest"),
    ],
)
def test_settings_are_chosen_by_conversion_time(time: datetime, lookback_days: int) -> None:
    (shop,) = workspaces(attribution=HISTORY).workspaces
    assert shop.attribution_at(time).lookback_days == lookback_days


def test_before_the_oldest_settings_the_oldest_apply() -> None:
    (shop,) = workspaces(attribution=HISTORY[1:]).workspaces
    assert shop.attribution_at(datetime(2020, 1, 1, tzinfo=UTC)).lookback_days == 14


def test_a_settings_version_never_changes() -> None:
    """Every stored revision names it; if this fails, what is hashed has changed: give it a new prefix."""
    assert AttributionSettings().version == "a1:bf78e4a953b40eee238ca2e9"
    changed = AttributionSettings.model_validate(
        {"lookback_days": 60, "models": {"first_touch": {"lookback_days": 365}}}
    )
    assert changed.version == "a1:78d70e73e2b5c768574c6aba"


@pytest.mark.parametrize(
    ("channels", "before"),
    [pytest.param(["Email"], "a1:16f6e86df0b06d85dd2b72db"), pytest.param([], "a1:f3ce251fe6709fa3e3aecd88")],
)
def test_what_once_meant_something_else_has_another_version_since(channels: list[str], before: str) -> None:
    """Direct was passed over whatever was listed: what was credited so is known by its old name still."""
    settings = AttributionSettings.model_validate({"direct_channels": channels})
    again = AttributionSettings.model_validate_json(settings.content)
    assert before != settings.version == again.version
    assert settings.names == {before, settings.version}
    assert AttributionSettings().names == {AttributionSettings().version}


def test_a_default_never_changes() -> None:
    """A version stands for what differs from them, so a changed default would change the meaning of stored versions."""
    assert json.loads(AttributionSettings().content) == {
        "collapse_repeats": False,
        "direct_channels": ["Direct"],
        "half_life_hours": 168,
        "impression_cap": 50,
        "impression_policy": "ignore",
        "impression_window_days": 1,
        "late_touch_seconds": 2,
        "lookback_days": 30,
        "models": {},
        "path_after_conversion": "continue",
        "position_weights": [40, 20, 40],
        "primary_model": "last_non_direct",
        "renewal_credit": "first_payment",
        "session_timeout_minutes": 30,
        "touch_cap": 500,
        "touch_cap_first": 50,
        "touch_grain": "interaction",
    }


def test_the_same_settings_have_the_same_version_however_they_are_written() -> None:
    one = AttributionSettings.model_validate(
        {"models": {"linear": {"lookback_days": 3}, "first_touch": {"lookback_days": 9}}, "half_life_hours": 168}
    )
    two = AttributionSettings.model_validate(
        {
            "effective_from": "2026-02-01T00:00:00Z",
            "lookback_days": 30,
            "models": {"first_touch": {"lookback_days": 9}, "linear": {"lookback_days": 3}, "time_decay": {}},
        }
    )
    assert one.version == two.version


@pytest.mark.parametrize("name", sorted(AttributionSettings.model_fields.keys() - {"effective_from"}))
def test_any_other_setting_is_another_version(name: str) -> None:
    other: dict[str, Any] = {
        "models": {AttributionModel.LINEAR: {"lookback_days": 3}},
        "primary_model": "linear",
        "position_weights": (30, 40, 30),
        "touch_grain": "event",
        "impression_policy": "full",
        "direct_channels": ("Direct", "Email"),
        "collapse_repeats": True,
        "path_after_conversion": {"reset": ["purchase"]},
        "renewal_credit": "own_path",
    }
    changed = AttributionSettings.model_validate({name: other.get(name, 7)})
    assert changed.version != AttributionSettings().version


def test_what_is_a_set_has_no_order() -> None:
    one, two = (
        AttributionSettings.model_validate({"direct_channels": names, "path_after_conversion": {"reset": names}})
        for names in (["b", "a"], ["a", "b", "a"])
    )
    assert one == two
    assert one.version == two.version


def test_a_models_own_lookback_counts_for_it_alone() -> None:
    settings = AttributionSettings.model_validate({"models": {"first_touch": {"lookback_days": 365}}})
    assert settings.lookback_days_of(AttributionModel.FIRST_TOUCH) == 365
    assert settings.lookback_days_of(AttributionModel.LINEAR) == 30
    assert settings.longest_lookback_days == 365


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param(
            {"human_checks": [{"type": "hcaptcha", "secret": {"value": "s"}}] * 2},
            "workspaces.0: human_checks: hcaptcha is there more than once",
            id="two providers of one type",
        ),
        pytest.param(
            {"human_checks": [{"type": "hcaptcha", "secret": {"value": "s"}, "endpoint": "http://x.example"}]},
            "workspaces.0.human_checks.0: endpoint must begin with https:// and name a host",
            id="tokens in the clear",
        ),
        pytest.param(
            {"spend": {"mappings": [{"destination": "a", "account_id": "b", "campaign_id": "c"}]}},
            "workspaces.0.spend.mappings.0: a spend mapping needs at least one of source, medium, campaign",
            id="a mapping of everything",
        ),
        pytest.param(
            {"conversions": [{"name": "lead", "default_value": {"currency": "EUR", "amount": -1}}]},
            "workspaces.0.conversions.0.default_value.amount: Input should be greater than or equal to 0",
            id="a negative default",
        ),
    ],
)
def test_what_cannot_be_meant_is_refused(more: dict[str, Any], problem: str) -> None:
    assert problem in problems_of(**more)


THE_RULES_SAY = {
    "accept.event_days": 28,
    "accept.order_days": 399,
    "accept.ahead_seconds": 300,
    "accept.backfill_days": 3653,
    "attribution.0.touch_grain": "interaction",
    "attribution.0.impression_policy": "ignore",
    "attribution.0.impression_window_days": 1,
    "attribution.0.touch_cap": 500,
    "attribution.0.late_touch_seconds": 2,
    "attribution.0.session_timeout_minutes": 30,
    "attribution.0.half_life_hours": 168,
    "attribution.0.position_weights": [40, 20, 40],
    "attribution.0.collapse_repeats": False,
    "attribution.0.path_after_conversion": "continue",
    "attribution.0.renewal_credit": "first_payment",
    "identity.customer_ids_per_person": 1,
    "identity.identifiers_per_type": 5,
    "identity.flagged_cluster_size": 50,
    "identity.refused_cluster_size": 500,
    "identity.shared_device_customers": 5,
    "identity.shared_device_days": 30,
    "velocity.identifier": {"at_most": 5, "window_hours": 1},
    "velocity.address": {"at_most": 20, "window_hours": 1},
    "velocity.click_id": {"at_most": 3, "window_hours": 24},
    "human_checks.0.timeout_milliseconds": 800,
    "findings.pending_value_hours": 24,
    "findings.unmatched_adjustment_days": 30,
    "retention.match_key_days": 100,
    "retention.person_event_months": 14,
    "retention.ledger_years": 10,
    "retention.erasure": "sever",
    "conversions.0.role": "REVENUE",
    "conversions.0.primary": True,
    "conversions.0.counting": "every",
    "conversions.0.value_basis": "as_sent",
    "conversions.0.source_rank": ["backend"],
    "conversions.0.default_value": None,
    "destinations.0.pixel": "none",
    "destinations.0.send_scope": "all_consented",
    "destinations.0.value": "full",
    "destinations.0.conversions.purchase.renewals": False,
}
"""Setting -> its default by the rules."""


@pytest.mark.parametrize("path", THE_RULES_SAY)
def test_a_default_is_what_the_rules_say(path: str) -> None:
    hook = {"id": "hook", "type": "webhook", "url": "https://x.example", "secret": {"value": "s" * 24}}
    (shop,) = workspaces(
        conversions=[{"name": "purchase"}],
        destinations=[{**hook, "conversions": {"purchase": {}}}],
        human_checks=[{"type": "turnstile", "secret": {"value": "s"}}],
    ).workspaces
    found: Any = shop.model_dump(mode="json")
    for step in path.split("."):
        found = found[int(step)] if step.isdigit() else found[step]
    assert found == THE_RULES_SAY[path]


@pytest.mark.parametrize(
    ("settings", "months"),
    [
        pytest.param({}, 14, id="nothing said"),
        pytest.param({"attribution": [{"lookback_days": 700}]}, 25, id="nothing said, and looked back on for longer"),
        pytest.param({"retention": {"person_event_months": 26}}, 26, id="said"),
        pytest.param({"retention": {"person_event_months": None}}, None, id="said that for ever"),
        pytest.param({"retention": {"match_key_days": 100}}, 14, id="something else said"),
    ],
)
def test_events_of_people_are_kept_for_as_long_as_was_said_or_as_is_needed(
    settings: dict[str, Any], months: int | None
) -> None:
    (shop,) = workspaces(**settings).workspaces
    assert shop.person_event_months == months
    assert shop.retention.says_months is ("person_event_months" in settings.get("retention", {}))


def destination(**more: Any) -> dict[str, Any]:
    return {"id": "hook", "type": "webhook", "url": "https://x.example/y", "secret": {"value": "s" * 24}, **more}


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        pytest.param({"url": "http://x.example"}, "url must begin with https://", id="http"),
        pytest.param({"url": "https://u:p@x.example"}, "url must not contain a user", id="credentials"),
        pytest.param({"url": "https:///path"}, "name a host", id="no host"),
        pytest.param({"send_scope": "channel_credited"}, "needs channels", id="scope without channels"),
        pytest.param({"value": "credited"}, "a webhook is told the value as sent", id="a value that it is not told"),
        pytest.param({"value_model": "linear"}, "value_model left out", id="a model of nothing"),
        pytest.param({"value_basis": "margin"}, "refunds are kept on that alone", id="a basis of its own"),
        pytest.param({"type": "myspace"}, "webhook", id="unknown type"),
    ],
)
def test_a_wrong_destination_is_refused(more: dict[str, Any], problem: str) -> None:
    (found,) = problems_of(destinations=[destination(**more)])
    assert problem in found


def test_only_mapped_conversions_have_a_name_there() -> None:
    mapped = {"purchase": {"name": "order_completed"}, "sign_up": {}}
    (shop,) = workspaces(destinations=[destination(conversions=mapped)]).workspaces
    names = [shop.destinations[0].name_of(name) for name in ("purchase", "sign_up", "download")]
    assert names == ["order_completed", "sign_up", None]


def test_a_laptop_may_call_itself() -> None:
    (shop,) = workspaces(
        destinations=[destination(url="http://127.0.0.1:8080", allow_private_addresses=True)]
    ).workspaces
    assert shop.destination("hook") is not None
