"""Which touches make a path that data_driven learns from: those of a conversion, and those of a person who had none.

The one rule: a path is what data_driven shares a conversion among, under the settings of its time. A person without a
counted conversion is a path as well, that led nowhere: up to his last touch, as if the conversion had failed to come
then.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

from tributary_domain.journey import (
    NO_CONSENT,
    QUARANTINED,
    SEEN_KINDS,
    JourneyTouch,
    in_event_order,
    path_start,
)
from tributary_domain.settings import DAY, MODELS, AttributionSettings
from tributary_domain.windows import CreditableConversion, shared_touches


def path_touches(
    windows: Sequence[Sequence[JourneyTouch]],
    ordered: Sequence[JourneyTouch],
    conversion: CreditableConversion,
    settings: AttributionSettings,
    settled: Sequence[JourneyTouch] = (),
) -> Sequence[JourneyTouch]:
    """Returns the touches of data_driven's window, oldest first.

    Args:
        windows: What `windows.shared_touches` found for the other models; a window of the same lookback is the answer.
        ordered: The journey in event order, each entry once.
        conversion: The conversion.
        settings: What was effective at its time.
        settled: As for `windows.shared_touches`.
    """
    lookback = settings.path_lookback_days * DAY
    for (other, _), window in zip(settings.windows, windows, strict=False):
        if other == lookback:
            return window
    return shared_touches(ordered, conversion, _own(settings), settled=settled)[-1]


def person_path(
    ordered: Sequence[JourneyTouch],
    settings: AttributionSettings,
    resetting: Collection[int] = (),
    conversion_ids: Mapping[int, str | int] | None = None,
) -> Sequence[JourneyTouch]:
    """Returns the touches of a person that led nowhere, oldest first; none if he has no touch that could have.

    Args:
        ordered: His journey in event order, each entry once, without internal and test traffic.
        settings: What is effective at his last touch (`last_touch`).
        resetting: Descriptors of the conversion names that end a path.
        conversion_ids: Event hash of an observation -> its conversion.
    """
    last = last_touch(ordered)
    if last is None:
        return ()
    place = last[:2]
    conversion = CreditableConversion(
        event_time_micros=last.event_time_micros,
        event_hash=last.event_hash,
        session=last.session,
        path_start=path_start(ordered, place, resetting, settings.history_micros, conversion_ids or {})
        if resetting
        else None,
    )
    own = _own(settings)
    touches = in_event_order(entry for entry in ordered if entry[:2] <= place)
    return shared_touches(touches, conversion, own)[-1]


def last_touch(ordered: Sequence[JourneyTouch]) -> JourneyTouch | None:
    """Returns the newest entry that could earn credit as a touch; None if none could. What was only seen is none."""
    for entry in reversed(ordered):
        if entry.is_touch and not entry.flags & (QUARANTINED | NO_CONSENT) and entry.kind not in SEEN_KINDS:
            return entry
    return None


def _own(settings: AttributionSettings) -> AttributionSettings:
    """Returns settings whose last window is data_driven's, and that look at the same entries."""
    days = settings.path_lookback_days
    longest = max(settings.windows[0][0] // DAY, days)
    return replace(settings, lookback_days=days, model_lookback_days=((MODELS[0], longest),))
