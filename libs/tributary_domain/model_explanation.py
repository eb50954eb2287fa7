"""Why each touch earned what it earned under data_driven: its channel's weight, and the division, step by step.

The one rule: as in `explanation`, nothing is decided here. Path and model are what the credit was computed from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tributary_domain.attribution import WHOLE
from tributary_domain.data_driven import DataDrivenModel, weights_under, with_data_driven
from tributary_domain.explanation import Explanation, ModelExplanation, NoShare, divide
from tributary_domain.journey import Exclusion, JourneyTouch
from tributary_domain.settings import DAY, AttributionModel, AttributionSettings


def with_model(
    explained: Explanation,
    path: Sequence[JourneyTouch],
    channels: Sequence[str],
    model: DataDrivenModel,
    settings: AttributionSettings,
) -> Explanation:
    """Adds data_driven to an explanation of the other models.

    Args:
        explained: Of the other models.
        path: The touches of data_driven's window, oldest first.
        channels: Of each of them.
        model: What the credit pins.
        settings: That it was computed under.
    """
    attribution = with_data_driven(explained.attribution, path, channels, model)
    known = {touch[:2] for touch in explained.attribution.touches}
    own = [touch for touch in attribution.touches if touch[:2] not in known]
    others = (
        replace(one, reasons=(*one.reasons, *((touch, Exclusion.OUTSIDE_WINDOW) for touch in own)))
        for one in explained.models
    )
    inside = {touch[:2] for touch in path}
    reasons: list[tuple[JourneyTouch, Exclusion | NoShare]] = [
        (touch, Exclusion.OUTSIDE_WINDOW) for touch in attribution.touches if touch[:2] not in inside
    ]
    credits = amounts = None
    if path:
        weights = weights_under(model, channels)
        credits, amounts = divide(WHOLE, weights), divide(attribution.amount_micros, weights)
        reasons += [
            (touch, NoShare.ROUNDED_TO_ZERO if part.weight else NoShare.CHANNEL_WITHOUT_WEIGHT)
            for touch, part in zip(path, credits.parts, strict=True)
            if not part.part
        ]
    data_driven = ModelExplanation(
        model=AttributionModel.DATA_DRIVEN,
        lookback_micros=settings.path_lookback_days * DAY,
        touches=tuple(path),
        credits=credits,
        amounts=amounts,
        reasons=tuple(sorted(reasons, key=lambda found: found[0])),
    )
    return replace(explained, attribution=attribution, models=(*others, data_driven))
