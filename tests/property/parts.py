"""Observations and adjustments of one conversion for property tests."""

from hypothesis import strategies as st

from tributary_domain.conversion_parts import Adjustment, AdjustmentKind, Observation, SourceRank, Standing

_times = st.integers(0, 20)
_amounts = st.integers(0, 50)
_totals = st.integers(-20, 50)
_standings = st.sampled_from([Standing.GOOD] * 6 + [Standing.QUARANTINED, Standing.UNCOUNTED])


def observations(max_size: int = 5) -> st.SearchStrategy[list[Observation]]:
    """Observations of one order, each event once, in one currency, in any order."""
    one = st.builds(
        Observation,
        event_time_micros=_times,
        event_id=st.text("abc", min_size=1, max_size=3),
        source_rank=st.sampled_from(list(SourceRank)),
        amount_micros=st.one_of(st.none(), _amounts, _amounts),
        currency_code=st.just("EUR"),
        identifiers=st.lists(st.sampled_from(["c:1", "v:2", "e:3"]), max_size=2).map(tuple),
        session=st.integers(0, 2),
        standing=_standings,
    )
    return st.lists(one, max_size=max_size, unique_by=lambda part: part.event_id)


@st.composite
def adjustments(draw: st.DrawFn, max_size: int = 6) -> list[Adjustment]:
    """Adjustments with amounts, each event once, some under a shared business number."""
    ids = draw(st.lists(st.text("xyz", min_size=1, max_size=3), max_size=max_size, unique=True))
    kinds = [draw(st.sampled_from([AdjustmentKind.REFUND, AdjustmentKind.REFUND, *AdjustmentKind])) for _ in ids]
    return [
        Adjustment(
            event_time_micros=draw(_times),
            event_id=event_id,
            kind=kind,
            adjustment_id=draw(st.sampled_from(["", "", "r1", "r2"])),
            amount_micros=draw(_totals if kind is AdjustmentKind.RESTATEMENT else _amounts),
            currency_code=draw(st.sampled_from(["", "EUR"])),
            standing=draw(_standings),
        )
        for event_id, kind in zip(ids, kinds, strict=True)
    ]
