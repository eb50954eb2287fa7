"""Credit that a conversion has from another: a stage from its lead's root, a renewal from the first payment.

The one rule: the same touches by the same weights, whatever the heir is worth and whatever came between the two.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace

from tributary_domain.attribution import Attribution, attribute, kept
from tributary_domain.data_driven import without_data_driven
from tributary_domain.journey import JourneyTouch
from tributary_domain.settings import AttributionSettings
from tributary_domain.windows import CreditableConversion


def inherit(
    origin: CreditableConversion,
    credit: Attribution,
    amount_micros: int,
    entries: Iterable[JourneyTouch],
    settings: AttributionSettings,
    settled: Sequence[JourneyTouch] = (),
    path: list[JourneyTouch] | None = None,
) -> tuple[CreditableConversion, Attribution]:
    """Shares another amount as a conversion was shared.

    Args:
        origin: The conversion that the credit comes from.
        credit: It: computed, or kept as published where its journey is forgotten.
        amount_micros: What the heir is worth.
        entries: What `credit` was computed from; likewise the next two.
        settings: Those of the origin's time.
        settled: Touches of before that the journey has forgotten.
        path: Receives the touches of data_driven's window, oldest first.

    Returns:
        The heir as `attribute` takes it, and its credit.
    """
    heir = replace(origin, amount_micros=amount_micros)
    computed = attribute(entries, heir, settings, settled, path)
    own = kept(without_data_driven(credit), computed, is_anonymous=heir.is_anonymous, is_moved=False)
    return heir, own
