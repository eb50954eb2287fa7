"""What a destination is told that a conversion is worth: the value as sent, on its name's basis, or its share of that.

The one rule: which value is told, and in which share, is frozen when it was sent first. What touches are found, what
credit moves, and what the file says afterwards is not told any more; what the conversion is worth is, in that share.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.common.v1.money_pb2 import Money
from tributary_runtime.destination_settings import DestinationSettings, SentValue

_WHOLE: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Share:
    """So much of so much."""

    part: int
    whole: int

    def of(self, amount_micros: int) -> int:
        """Returns the share of an amount, in whole micros towards zero.

        >>> Share(30, 90).of(70), Share(30, 90).of(-70), Share(0, 0).of(70)
        (23, -23, 0)
        """
        if self.whole == 0:
            return 0
        product = self.part * amount_micros
        share = abs(product) // abs(self.whole)
        return share if (product >= 0) is (self.whole > 0) else -share


@dataclass(frozen=True, slots=True)
class Told:
    """Which value a destination is told."""

    value: SentValue = SentValue.FULL
    model: str = ""
    """Of a credited value."""
    channels: tuple[str, ...] = ()
    """Likewise: the destination's own, whose credit it is told."""
    frozen: Share | None = None
    """Likewise: as it was sent first; None: it was not yet."""


FULL: Final = Told()


def written(told: Told, state: ConversionState) -> str:
    """Returns which value a conversion is told, to be kept with it: "full", "basis", or "credited:" and the share."""
    if told.value is not SentValue.CREDITED:
        return told.value.value
    share = told.frozen or credited_share(state, told)
    return f"{told.value.value}:{share.part}/{share.whole}"


def read(text: str) -> Told | None:
    """Returns what was kept; None: nothing was.

    >>> read("credited:30/90")
    Told(value=<SentValue.CREDITED: 'credited'>, model='', channels=(), frozen=Share(part=30, whole=90))
    """
    if not text:
        return None
    value, _, share = text.partition(":")
    if not share:
        return Told(SentValue(value))
    part, whole = share.split("/")
    return Told(SentValue(value), frozen=Share(int(part), int(whole)))


def told_of(settings: DestinationSettings) -> Told:
    """Returns what the settings say of the value, for a conversion that was not sent yet."""
    model = settings.value_model.value if settings.value_model is not None else ""
    return Told(settings.value, model, settings.channels)


def sent_value(state: ConversionState, told: Told = FULL) -> Money | None:
    """Returns the value now; None where none is known, which is not 0."""
    if told.value is SentValue.FULL and state.HasField("full_value"):
        return state.full_value
    if not state.HasField("value"):
        return None
    if told.value is not SentValue.CREDITED:
        return state.value
    share = told.frozen or credited_share(state, told)
    return Money(currency_code=state.value.currency_code, amount_micros=share.of(state.value.amount_micros))


def sent_micros(state: ConversionState, told: Told = FULL) -> int:
    """Returns the same in micros; 0 where none is known."""
    value = sent_value(state, told)
    return 0 if value is None else value.amount_micros


def credited_share(state: ConversionState, told: Told) -> Share:
    """Returns the share that the destination's channels have of a conversion, as its model divides it.

    Of the money, to the micro, as the reports have it; of the credit where there is no money to divide.
    """
    place = next((at for at, model in enumerate(state.models) if model.name == told.model), None)
    if place is None:
        return Share(0, _WHOLE)
    own = [touch.credits[place] for touch in state.touches if touch.source.channel in told.channels]
    if whole := state.value.amount_micros:
        return Share(sum(credit.value_micros for credit in own), whole)
    return Share(sum(credit.credit_micros for credit in own), _WHOLE)
