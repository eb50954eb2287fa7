"""`tributary explain`, `simulate`, `reattribute`: what their options mean, and how numbers are shown."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from tests.support.ports import free_address
from tributary.attribution.v1.conversion_pb2 import ConversionState, InheritanceReason, ValueBasis
from tributary.attribution.v1.credit_pb2 import TouchSource
from tributary.attribution.v1.explanation_pb2 import (
    CreditSettings,
    DataDrivenExplanation,
    ExplainedChannel,
    ExplainedModel,
    ExplainedShare,
    ExplainedTouchpoint,
    Explanation,
    NoModelReason,
    TouchpointExclusion,
)
from tributary.attribution.v1.finding_pb2 import FindingKind
from tributary.attribution.v1.model_pb2 import Model
from tributary.attribution.v1.reattribution_pb2 import CreditChange, ReattributionPage
from tributary.common.v1.calendar_date_pb2 import CalendarDate
from tributary.common.v1.money_pb2 import Money
from tributary.event.v1.conversion_pb2 import Amounts
from tributary_cli.command_line import cli
from tributary_cli.conversion_options import name_conversion, read_moment
from tributary_cli.explain import paper, print_explanation
from tributary_cli.explain_tables import beginning_line, data_driven_line, value_lines
from tributary_cli.reattribute_tables import Totals
from tributary_cli.setting_options import read_settings

NOTHING: dict[str, Any] = {
    **dict.fromkeys(("lookback_days", "half_life_hours", "touch_cap", "late_touch_seconds")),
    **dict.fromkeys(("session_timeout_minutes", "impression_window_days", "collapse_repeats", "touch_grain")),
    **{"impression_policy": None, "direct_channels": (), "path_reset_names": (), "model_lookback_days": ()},
    **{"position_weights": None, "path_continues": False, "no_direct_channels": False},
}


@pytest.mark.parametrize(
    ("named", "expected"),
    [
        pytest.param(("c1:x", None, "", "", None), {"conversion_id": "c1:x"}, id="id"),
        pytest.param((None, None, "", "", "e-1"), {"event_id": "e-1"}, id="event"),
        pytest.param(
            (None, ("purchase", "o"), "de", "", None),
            {"order": {"conversion_name": "purchase", "store": "de", "order_id": "o", "cycle": ""}},
            id="order",
        ),
    ],
)
def test_a_conversion_is_named_in_one_way(named: Any, expected: dict[str, Any]) -> None:
    assert name_conversion(*named) == expected


@pytest.mark.parametrize("named", [(None, None, "", "", None), ("c1:x", ("purchase", "o"), "", "", None)])
def test_no_conversion_or_two_are_refused(named: Any) -> None:
    with pytest.raises(click.UsageError):
        name_conversion(*named)


def test_a_moment_without_a_zone_is_utc() -> None:
    assert read_moment("2026-11-01T12:00:00") == read_moment("2026-11-01T13:00:00+01:00")
    with pytest.raises(click.BadParameter):
        read_moment("yesterday")


def test_settings_are_what_was_said_and_nothing_else() -> None:
    assert read_settings(NOTHING) == CreditSettings()
    said = {
        "lookback_days": 60,
        "model_lookback_days": ("first_touch=365", "linear=0"),
        "position_weights": "30, 0,70",
        "collapse_repeats": False,
        "path_continues": True,
        "no_direct_channels": True,
    }
    assert read_settings(NOTHING | said) == CreditSettings(
        lookback_days=60,
        model_lookback_days={"first_touch": 365, "linear": 0},
        position_weights=[30, 0, 70],
        collapse_repeats=False,
        path_continues=True,
        no_direct_channels=True,
    )


@pytest.mark.parametrize("said", [{"position_weights": "1,a,2"}, {"model_lookback_days": ("first_touch",)}])
def test_settings_that_are_no_numbers_are_refused(said: dict[str, Any]) -> None:
    with pytest.raises(click.BadParameter):
        read_settings(NOTHING | said)


def test_other_settings_are_only_previewed(tmp_path: Path) -> None:
    arguments = ["reattribute", "--yes", "--lookback-days", "60", "--target", free_address(), "--api-key", "trb_x"]
    result = CliRunner().invoke(cli, [*arguments, "--data", str(tmp_path)])
    assert result.exit_code == 2
    assert "--preview" in result.stderr


def test_nothing_is_revised_before_it_was_confirmed(tmp_path: Path) -> None:
    arguments = ["reattribute", "--target", free_address(), "--api-key", "trb_x", "--data", str(tmp_path)]
    result = CliRunner().invoke(cli, arguments, input="n\n")
    assert result.exit_code == 1
    assert "anew?" in result.stderr
    assert "nobody answers" not in result.stderr


def test_long_texts_fold_into_a_hundred_columns(capsys: pytest.CaptureFixture[str]) -> None:
    source = TouchSource(channel="Paid Search and more", source="s" * 80, medium="m" * 80)
    excluded = ExplainedTouchpoint(
        event_id="e" * 128,
        source=source,
        exclusion=TouchpointExclusion.TOUCHPOINT_EXCLUSION_FOLDED,
        folded_into_event_id="f" * 128,
    )
    share = ExplainedShare(
        event_id="e" * 128, source=source, weight=2**62, credit_micros=1_000_000, value_micros=-(2**60)
    )
    names = ("first_touch", "last_touch", "last_non_direct", "linear", "position_based", "time_decay", "data_driven")
    explanation = Explanation(
        touchpoints=[excluded], models=[ExplainedModel(name=name, shares=[share]) for name in names]
    )
    explanation.settings.direct_channels.extend(["Direct"] * 30)
    print_explanation(paper(), explanation, "time_decay")
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 100
    assert "data" in "\n".join(lines)


def test_it_is_said_by_what_data_driven_is_credited_and_why_it_is_not(capsys: pytest.CaptureFixture[str]) -> None:
    evidence = Model(version="m1:x", paths=2_000, conversions=300, conversion_probability_picos=150_000_000_000)
    channels = [
        ExplainedChannel(channel="Email", touches=2, weight_picos=10**12 // 4, removal_effect_picos=1, known=True),
        ExplainedChannel(channel="Fax", touches=1),
    ]
    shown = DataDrivenExplanation(model=evidence, channels=channels)
    print_explanation(
        paper(), Explanation(models=[ExplainedModel(name="data_driven")], data_driven=shown), "data_driven"
    )
    told = capsys.readouterr().out
    assert "data_driven: model m1:x, learned from 2000 paths, 300 conversions, P(conversion) 15.0000%" in told
    rows = [line.split() for line in told.splitlines()]
    assert ["Email", "2", "25.000000%", "0.000000%"] in rows
    assert ["Fax", "1", "unknown", "unknown"] in rows
    missing = DataDrivenExplanation(
        model=Model(paths=20, conversions=3, minimum_paths=2_000, minimum_conversions=200),
        no_model_reason=NoModelReason.NO_MODEL_REASON_NOT_ENOUGH_EVIDENCE,
    )
    assert data_driven_line(Explanation(data_driven=missing)) == (
        "data_driven is not used: not enough evidence"
        " (20 paths, 3 conversions, P(conversion) 0.0000%; a model takes 2000 and 200)"
    )


def test_it_is_said_how_the_person_began() -> None:
    explained = Explanation(returning=True)
    assert beginning_line(explained) == "", "nobody's"
    explained.beginning.SetInParent()
    assert beginning_line(explained) == "a returning customer; by what touchpoint they were acquired is not known"
    first = explained.beginning.touchpoint
    first.event_time.FromJsonString("2026-01-02T03:04:05Z")
    first.source.channel = "Email"
    explained.returning = False
    assert beginning_line(explained) == "a new customer, acquired 2026-01-02 03:04:05.000 UTC by Email"


def test_changes_of_several_pages_add_up(capsys: pytest.CaptureFixture[str]) -> None:
    change = CreditChange(
        model="linear",
        channel="Email",
        conversion_name="purchase",
        currency_code="EUR",
        before_credit_micros=1_000_000,
        after_credit_micros=500_000,
        before_value_micros=10_000_000,
        after_value_micros=5_000_001,
    )
    same = CreditChange(model="last_touch", channel="Email", before_credit_micros=1, after_credit_micros=1)
    totals = Totals()
    for _ in range(2):
        totals.add(ReattributionPage(conversions=3, changed=1, incomplete=1, changes=[change, same]))
    document = totals.document()
    assert (document["conversions"], document["changed"], document["incomplete"]) == (6, 2, 2)
    (row,) = [row for row in document["rows"] if row["model"] == "linear"]
    assert row["conversions"] == {"before": "2.000000", "after": "1.000000"}
    assert row["value"] == {"before": "20.00", "after": "10.000002"}
    totals.print_to(paper(), (), "would change")
    shown = capsys.readouterr().out
    assert "-10.00 EUR" in shown
    assert "2 of 6 conversions would change." in shown
    assert "last_touch" not in shown
    with pytest.raises(click.BadParameter):
        totals.print_to(paper(), ("best",), "would change")


def test_the_basis_of_a_value_is_said_with_its_parts_and_what_is_missing() -> None:
    state = ConversionState(
        value_basis=ValueBasis.VALUE_BASIS_MARGIN,
        original_value=Money(currency_code="EUR", amount_micros=119_000_000),
        amounts=Amounts(tax_micros=19_000_000, shipping_micros=0),
        missing_amounts=["cost_of_goods_micros"],
        reporting_value=Money(currency_code="SEK", amount_micros=1_330_420_000),
        rate_picos=11_180_000_000_000,
        rate_date=CalendarDate(year=2026, month=3, day=7),
    )
    assert value_lines(state) == [
        "credited margin: of 119.00 EUR as sent (tax 19.00, shipping 0.00); as sent, because nobody sent cost_of_goods",
        "1330.42 SEK at 11.18 of 2026-03-07",
    ]
    assert value_lines(ConversionState()) == []


def test_what_is_odd_about_a_conversion_is_said_beside_its_value() -> None:
    state = ConversionState(
        findings=[FindingKind.FINDING_KIND_CURRENCY_MISMATCH, FindingKind.FINDING_KIND_OVER_REFUNDED]
    )
    assert value_lines(state) == [
        "currency mismatch: An adjustment in another currency was left out.",
        "over refunded: More was taken off than it was worth, or it was restated below zero: its value is 0.",
    ]


def test_whose_credit_a_conversion_has_is_said() -> None:
    state = ConversionState()
    state.inherited_from.conversion_id = "c1:first"
    state.inherited_from.conversion_time.seconds = 1_790_000_000
    state.inherited_from.reason = InheritanceReason.INHERITANCE_REASON_FIRST_PAYMENT
    [line] = value_lines(state)
    assert line == "credited as c1:first of 2026-09-21 14:13:20.000: the first payment of its subscription"
    state.inherited_from.reason = InheritanceReason.INHERITANCE_REASON_LEAD_ROOT
    assert value_lines(state)[0].endswith("how its lead began")
