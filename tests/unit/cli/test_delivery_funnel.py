"""The funnel as people read it: what did not get further stands below, with why."""

from __future__ import annotations

from tributary.query.v1.delivery_funnel_pb2 import DeliveryFunnelRow
from tributary_cli.delivery_funnel import lines_of


def a_row(day: int, **counts: object) -> DeliveryFunnelRow:
    row = DeliveryFunnelRow(destination_id="meta", **counts)  # type: ignore[arg-type]
    row.day.year, row.day.month, row.day.day = 2026, 11, day
    return row


ROWS = [
    a_row(
        25, captured=5, consented=5, ineligible=1, ineligible_reasons={"NOT_MAPPED": 1}, eligible=4, sent=4, accepted=4
    ),
    a_row(
        *(26,),
        **{"captured": 1_003, "waiting": 1, "without_consent": 1, "consented": 1_001, "eligible": 1_000, "sent": 1_000},
        **{"ineligible": 1, "ineligible_reasons": {"NOT_MAPPED": 1}, "accepted": 998},
        **{"rejected": 2, "rejected_reasons": {"PERMANENT 400": 1, "UNKNOWN": 1}},
        **{"reported_taken": 995, "reported_rejected": 2, "reported_rejected_reasons": {"CLICK_NOT_FOUND": 2}},
        **{"reported_unclear": 1, "reported_unclear_reasons": {"EVENT_TOO_OLD or INVALID_CLICK": 1}},
    ),
]


def test_days_are_added_up_and_reasons_too() -> None:
    assert lines_of(ROWS, by_day=False) == [
        "meta  captured 1,008  consented 1,006  eligible 1,004  sent 1,004  accepted 1,002  adjusted 0  reported 995",
        "  waiting 1",
        "  without consent 1",
        "  ineligible 2: NOT_MAPPED 2",
        "  rejected 2: PERMANENT 400 1, UNKNOWN 1",
        "  reported rejected 2: CLICK_NOT_FOUND 2",
        "  reported unclear 1: EVENT_TOO_OLD or INVALID_CLICK 1",
    ]


def test_each_day_has_a_line_if_it_is_asked_for() -> None:
    lines = lines_of(ROWS, by_day=True)
    assert lines[-2].startswith("  2026-11-25  captured 5  consented 5  eligible 4")
    assert lines[-1].startswith("  2026-11-26  captured 1,003  ")


def test_a_destination_that_never_reports_is_not_said_to_have_reported_nothing() -> None:
    never = a_row(26, captured=2, consented=2, eligible=2, sent=2, accepted=2, unreported=2, reports_later=False)
    [line] = lines_of([never], by_day=False)
    assert line.endswith("adjusted 0  reports: none")
    later = a_row(26, captured=2, consented=2, eligible=2, sent=2, accepted=2, unreported=2, reports_later=True)
    assert lines_of([later], by_day=False)[1:] == ["  unreported 2"]
    assert len(lines_of([never, later], by_day=False)) == 2, "what is shown together is not left out"
