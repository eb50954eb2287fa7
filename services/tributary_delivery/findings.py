"""What a test of a destination found, step by step, and what to do about it."""

from __future__ import annotations

from typing import Final

from tributary.delivery.v1.delivery_pb2 import OutcomeClass
from tributary.delivery.v1.delivery_service_pb2 import (
    DESTINATION_TEST_RESULT_FAILED,
    DESTINATION_TEST_RESULT_NOT_TRIED,
    DESTINATION_TEST_RESULT_PASSED,
    DESTINATION_TEST_STAGE_ANSWER,
    DESTINATION_TEST_STAGE_CREDENTIAL,
    DESTINATION_TEST_STAGE_REACHED,
    DESTINATION_TEST_STAGE_SETTINGS,
    DESTINATION_TEST_STAGE_TOKEN,
    DestinationTestStage,
    DestinationTestStep,
    TestDestinationResponse,
)
from tributary_delivery.destinations.destination import CONFIG, REAUTH, RETRY, THROTTLED, UNKNOWN, Outcome

SETTINGS: Final = DESTINATION_TEST_STAGE_SETTINGS
CREDENTIAL: Final = DESTINATION_TEST_STAGE_CREDENTIAL
TOKEN: Final = DESTINATION_TEST_STAGE_TOKEN
REACHED: Final = DESTINATION_TEST_STAGE_REACHED
ANSWER: Final = DESTINATION_TEST_STAGE_ANSWER
_STAGES: Final = (SETTINGS, CREDENTIAL, TOKEN, REACHED, ANSWER)
_MOST_CHARACTERS: Final = 1_024

_NEXT: Final = {
    SETTINGS: "Mend this entry of workspaces.yaml; delivery reads the file again by itself.",
    CREDENTIAL: "Give the secret anew where workspaces.yaml refers to it: printable ASCII, without blanks around it.",
    TOKEN: "Let the account grant access anew and replace refresh_token, or see why the token's address fails.",
    REACHED: "See whether the address is right, and whether delivery's network lets it out.",
    ANSWER: "Look the codes up in the destination's documentation: the example was made by these settings.",
}
_NEXT_OF_CLASS: Final[dict[OutcomeClass.ValueType, str]] = {
    REAUTH: "Renew the credential: the destination does not know it, or no longer.",
    CONFIG: "See whether the credential is of this account and has its scope, and whether its ids are the right ones.",
    THROTTLED: "Wait, and try again: the destination takes no more calls now.",
    RETRY: "Try again later: the destination fails by itself.",
    UNKNOWN: "See whether the address is the destination's own.",
}


class Findings:
    """Takes what was found; a test ends at the first thing that is wrong."""

    def __init__(self) -> None:
        self._steps: list[DestinationTestStep] = []
        self._next_step = ""

    @property
    def has_failed(self) -> bool:
        """Whether something is wrong."""
        return bool(self._next_step)

    def passed(self, stage: DestinationTestStage.ValueType, message: str) -> None:
        """Takes note of what is right."""
        step = DestinationTestStep(stage=stage, result=DESTINATION_TEST_RESULT_PASSED, message=message)
        self._steps.append(step)

    def failed(self, stage: DestinationTestStage.ValueType, message: str, next_step: str = "") -> None:
        """Takes note of what is wrong.

        Args:
            stage: Where.
            message: What.
            next_step: What to do; "": what usually helps there.
        """
        step = DestinationTestStep(
            stage=stage, result=DESTINATION_TEST_RESULT_FAILED, message=message[:_MOST_CHARACTERS]
        )
        self._steps.append(step)
        self._next_step = next_step or _NEXT[stage]

    def refused_token(self, message: str) -> None:
        """Takes note of an answer that refused the access token, and of why there is no other one."""
        self.failed(ANSWER, f"It refused the access token, and there is no other: {message}", _NEXT[TOKEN])

    def answered(self, outcome: Outcome, shows: str) -> None:
        """Takes note of an answer, and of what a good one shows."""
        said = [f"HTTP {outcome.status_code}"] if outcome.status_code else []
        said += [f"request {outcome.request_id}"] if outcome.request_id else []
        if outcome.is_ok:
            self.passed(ANSWER, f"{', '.join([*said, shows])}.")
        else:
            name = OutcomeClass.Name(outcome.outcome).removeprefix("OUTCOME_CLASS_")
            self.failed(
                ANSWER, f"{name}: {outcome.message or ', '.join(said)}", _NEXT_OF_CLASS.get(outcome.outcome, "")
            )

    def response(self) -> TestDestinationResponse:
        """Returns all steps."""
        rest = [
            DestinationTestStep(stage=stage, result=DESTINATION_TEST_RESULT_NOT_TRIED)
            for stage in _STAGES[len(self._steps) :]
        ]
        return TestDestinationResponse(
            steps=[*self._steps, *rest], passed=not self.has_failed, next_step=self._next_step
        )
