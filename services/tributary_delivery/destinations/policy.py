"""What a destination asks of who sends to it: declared once, and obeyed by the engine."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.delivery.v1.delivery_pb2 import (
    DELIVERY_OPERATION_CREATE,
    DELIVERY_OPERATION_RESTATE,
    DELIVERY_OPERATION_RETRACT,
    DELIVERY_OPERATION_TEST,
    DeliveryOperation,
)
from tributary_runtime.batch_destinations import BatchDestination


def never(_revised: ConversionRevised) -> bool:
    """Of a destination that knows all conversions again, or says by `resend_hours` that it knows none."""
    return False


@dataclass(frozen=True, slots=True)
class Policy:
    """What a destination asks of who sends."""

    batch_size: int
    request_bytes: int
    most_age_seconds: int
    resend_seconds: int
    """For how long after an attempt with an unknown outcome another one may be made; 0: none."""
    operations: frozenset[DeliveryOperation.ValueType]
    """What it can be told."""
    forgets: Callable[[ConversionRevised], bool]
    """Whether it would not know a certain conversion again, though it does others: whose creation may have been taken
    is then sent no more."""
    id_is_order: bool = False
    """Whether its visible id is the order's where no browser tag shares one; else the event's."""
    most_id_characters: int = 128
    retracts_by_value: bool = False
    """Whether it takes no conversion back: it is told a value of 0, and counts it still."""
    repeats_identifiers: bool = False
    """Whether a correction names the person by what the first message did, and by nothing else: else it may become a
    conversion of its own."""
    keeps_newest: bool = False
    """Whether of two corrections it keeps the one that was made last, whichever comes first."""
    credential_place: str = "authorization"
    """Header of the access token; "authorization" says Bearer before it, "?name" puts it into the query."""

    @property
    def is_overtaken(self) -> bool:
        """Whether it takes what comes last for the newest, though it may have been sent before."""
        return DELIVERY_OPERATION_RESTATE in self.operations and not self.keeps_newest


def policy_of(
    settings: BatchDestination,
    *,
    restates: bool = False,
    retracts_by_value: bool = False,
    forgets: Callable[[ConversionRevised], bool] = never,
    repeats_identifiers: bool = False,
    id_is_order: bool = False,
    most_id_characters: int = 128,
    keeps_newest: bool = False,
    credential_place: str = "authorization",
) -> Policy:
    """Returns the policy of a destination, its limits as the settings say.

    Args:
        settings: Of the destination.
        restates: Whether it can be told another total, and that a conversion never was one.
        retracts_by_value: As `Policy.retracts_by_value`.
        forgets: As `Policy.forgets`.
        repeats_identifiers: As `Policy.repeats_identifiers`.
        id_is_order: As `Policy.id_is_order`.
        most_id_characters: What of its visible id is longer is hashed.
        keeps_newest: As `Policy.keeps_newest`.
        credential_place: As `Policy.credential_place`.
    """
    corrections = {DELIVERY_OPERATION_RESTATE, DELIVERY_OPERATION_RETRACT} if restates else set()
    tests = {DELIVERY_OPERATION_TEST} if settings.has_test_mode else set()
    return Policy(
        batch_size=settings.batch_size,
        request_bytes=settings.request_bytes,
        most_age_seconds=settings.most_age_days * 86_400,
        resend_seconds=settings.resend_hours * 3600,
        operations=frozenset({DELIVERY_OPERATION_CREATE, *corrections, *tests}),
        forgets=forgets,
        retracts_by_value=retracts_by_value,
        repeats_identifiers=repeats_identifiers,
        id_is_order=id_is_order,
        most_id_characters=most_id_characters,
        keeps_newest=keeps_newest,
        credential_place=credential_place,
    )
