"""Lines of `tributary deliveries`: what is shown of destinations and deliveries, and what to do next.

The one rule: where something is wrong, the command that mends it stands below.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Any


class Doubt(Enum):
    """Of how many dead letters nobody knows whether the destination took them (outcome UNKNOWN)."""

    NONE = "none"
    SOME = "some"
    ALL = "all"


if TYPE_CHECKING:
    from tributary.delivery.v1.delivery_pb2 import Delivery
    from tributary.delivery.v1.delivery_service_pb2 import DestinationStatus, DestinationTestStep


def replay_line(answer: Any, verb: str) -> str:
    """Returns what is sent again, or would be."""
    waiting = f", {answer.waiting:,} wait already" if answer.waiting else ""
    return f"{answer.matched:,} deliveries meet this; {answer.planned:,} conversions {verb} sent again{waiting}."


def destination_line(one: DestinationStatus) -> str:
    """Returns how a destination is doing."""
    from tributary.delivery.v1.delivery_pb2 import OutcomeClass

    parts = [one.destination_id, one.type, f"{one.pending:,} waiting", f"{one.dead:,} dead"]
    if one.last_outcome:
        last = OutcomeClass.Name(one.last_outcome).removeprefix("OUTCOME_CLASS_")
        parts.append(f"last {last} at {one.last_attempt_time.ToJsonString()}")
    if one.HasField("reports_later") and not one.reports_later:
        parts.append("reports: none")
    if one.paused:
        parts.append(f"PAUSED: {one.pause_reason}")
    return "  ".join(parts)


def step_line(step: DestinationTestStep) -> str:
    """Returns what was found of one thing that was tried."""
    from tributary.delivery.v1.delivery_service_pb2 import DestinationTestResult, DestinationTestStage

    stage = DestinationTestStage.Name(step.stage).removeprefix("DESTINATION_TEST_STAGE_").lower()
    result = DestinationTestResult.Name(step.result).removeprefix("DESTINATION_TEST_RESULT_").lower().replace("_", " ")
    return f"{stage:<12}{result:<11}{step.message}".rstrip()


def delivery_line(one: Delivery) -> str:
    """Returns what was sent, and what came of it."""
    from tributary.delivery.v1.delivery_pb2 import (
        DeliveryOperation,
        DeliveryReport,
        DeliveryState,
        IneligibleReason,
        OutcomeClass,
    )

    moment = one.attempt_time if one.HasField("attempt_time") else one.plan_time
    operation = DeliveryOperation.Name(one.operation).removeprefix("DELIVERY_OPERATION_")
    state = DeliveryState.Name(one.state).removeprefix("DELIVERY_STATE_")
    parts = [moment.ToJsonString(), one.destination_id, one.conversion_id, operation if one.operation else "", state]
    if (one.attempts or one.unsent) and one.outcome:
        outcome = OutcomeClass.Name(one.outcome).removeprefix("OUTCOME_CLASS_")
        after = f", after {one.attempts} that did" if one.attempts else ""
        parts.append(f"did not leave{after}: {outcome}" if one.unsent else f"attempt {one.attempts} {outcome}")
    if one.HasField("due_time"):
        parts.append(f"{'again' if one.attempts or one.unsent else 'due'} at {one.due_time.ToJsonString()}")
    if one.ineligible_reason:
        parts.append(IneligibleReason.Name(one.ineligible_reason).removeprefix("INELIGIBLE_REASON_"))
    if one.HasField("residual") or one.residual_conversions:
        parts.append(_residual(one))
    if one.report:
        parts.append(f"reported {DeliveryReport.Name(one.report).removeprefix('DELIVERY_REPORT_')} {one.report_reason}")
    return "  ".join(filter(None, [*parts, one.message]))


def _residual(one: Delivery) -> str:
    """Returns what the destination has wrong, as far as one knows."""
    micros, currency = one.residual.amount_micros, one.residual.currency_code
    amount = f"{abs(micros) / 1e6:,.2f} {currency}"
    if one.residual_conversions > 0:
        return f"counts it still, with {amount}" if micros else "counts it still"
    if one.residual_conversions < 0:
        return f"lacks it, with {amount}" if micros else "lacks it"
    if not micros:
        return "has it right again"
    if one.value.currency_code not in ("", currency):
        return f"has {amount} instead of {one.value.amount_micros / 1e6:,.2f} {one.value.currency_code}"
    return f"has {amount} too {'much' if micros > 0 else 'little'}"


def next_steps(one: DestinationStatus, doubt: Doubt = Doubt.NONE) -> list[str]:
    """Returns what to do about a destination, as sentences; none where all is well.

    Args:
        one: The destination.
        doubt: Of how many of its dead letters nobody knows whether it took them.
    """
    from tributary.delivery.v1.delivery_pb2 import OUTCOME_CLASS_CONFIG

    steps, own = [], one.destination_id
    if one.paused and "workspaces.yaml." in one.pause_reason:
        steps.append(f"Take `paused: true` of {own} out of workspaces.yaml.")
    elif one.paused and one.last_outcome == OUTCOME_CLASS_CONFIG and "tributary deliveries" not in one.pause_reason:
        steps.append(
            f"`tributary deliveries test {own}` says what is wrong. Another entry in workspaces.yaml, or another "
            f"secret that it names, ends the pause by itself; after anything else, `tributary deliveries resume {own}`."
        )
    elif one.paused and "tributary deliveries" not in one.pause_reason:
        steps.append(f"`tributary deliveries resume {own}` ends the pause.")
    if one.dead:
        chosen = f"--destination {own}"
        steps.append(f"`tributary deliveries list {chosen} --state DEAD` says why they are dead{_again(chosen, doubt)}")
    return steps


def _again(chosen: str, doubt: Doubt) -> str:
    """Returns how dead letters are sent again."""
    replay = f"`tributary deliveries replay {chosen}`"
    risk = f"`tributary deliveries replay {chosen} --risk-duplicates`"
    if doubt is Doubt.ALL:
        return (
            f". The destination may have them: look there first; {risk} sends them again, and it may count them twice."
        )
    if doubt is Doubt.SOME:
        return (
            f", {replay} sends again those that the destination certainly has not. The others it may have: look there "
            f"first; {risk} sends these too, and it may count them twice."
        )
    return f", {replay} sends them again."
