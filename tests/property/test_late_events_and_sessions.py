"""A late event changes the sessions it touches and no others, and what they hand down follows."""

from itertools import pairwise

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.property.journeys import hashes
from tributary_domain.journey import DIRECT, ON_SITE_KINDS, JourneyTouch, TouchKind, in_event_order
from tributary_domain.sessions import session_ids
from tributary_domain.settings import SECOND
from tributary_domain.touches import Homes, Trace, fold

TIMEOUT = 1800 * SECOND

moments = st.builds(
    lambda halves, off: max(0, halves * TIMEOUT // 2 + off), st.integers(0, 24), st.sampled_from([-1, 0, 0, 1])
)


@st.composite
def entries(draw: st.DrawFn) -> JourneyTouch:
    source = draw(st.integers(0, 2))
    kind = draw(st.sampled_from([TouchKind.VISIT, TouchKind.VISIT, TouchKind.CONVERSION, TouchKind.IMPRESSION]))
    return JourneyTouch(draw(moments), draw(hashes), int(kind), source, 0 if source else DIRECT)


journeys = st.lists(entries(), max_size=10, unique_by=lambda entry: entry.event_hash)


def sessions(journey: list[JourneyTouch]) -> dict[int, list[JourneyTouch]]:
    """Session id -> its entries."""
    ordered = in_event_order(journey)
    found: dict[int, list[JourneyTouch]] = {}
    for entry, session in zip(ordered, session_ids(ordered, TIMEOUT), strict=True):
        if session:
            found.setdefault(session, []).append(entry)
    return found


@given(journeys, entries())
def test_a_late_event_touches_at_most_the_two_sessions_it_joins(
    journey: list[JourneyTouch], late: JourneyTouch
) -> None:
    assume(all(entry.event_hash != late.event_hash for entry in journey))
    before, after = sessions(journey), sessions([*journey, late])
    gone = {session for session, members in before.items() if after.get(session) != members}
    assert len(gone) <= 2
    for session in gone:
        assert any(abs(late.event_time_micros - member.event_time_micros) < TIMEOUT for member in before[session])


@given(journeys, entries())
def test_sessions_that_become_one_keep_the_earlier_id(journey: list[JourneyTouch], late: JourneyTouch) -> None:
    assume(all(entry.event_hash != late.event_hash for entry in journey))
    before, after = sessions(journey), sessions([*journey, late])
    for session, members in after.items():
        known = [member for member in members if member != late]
        if known and known[0] == members[0]:
            assert session == next(old for old, olds in before.items() if known[0] in olds)


@given(journeys)
def test_neighbours_in_a_session_are_less_than_the_timeout_apart_and_sessions_are_not(
    journey: list[JourneyTouch],
) -> None:
    on_site = [entry for entry in in_event_order(journey) if entry.kind in ON_SITE_KINDS]
    session_of = {entry: session for session, members in sessions(journey).items() for entry in members}
    for one, other in pairwise(on_site):
        is_same = session_of[one] == session_of[other]
        assert is_same is (other.event_time_micros - one.event_time_micros < TIMEOUT)


@given(journeys, entries())
def test_a_direct_event_inherits_the_source_of_its_session_whenever_that_becomes_known(
    journey: list[JourneyTouch], late: JourneyTouch
) -> None:
    """Its lost referrer is recovered from the session: it is no touch of its own once an earlier one is there."""
    assume(all(entry.event_hash != late.event_hash for entry in journey))
    ordered = in_event_order([*journey, late])
    trace: Trace = {}
    homes: Homes = {}
    fold(ordered, TIMEOUT, trace, homes=homes)
    for members in sessions([*journey, late]).values():
        touches = [entry for entry in members if entry.kind == TouchKind.VISIT]
        for entry in touches[1:]:
            if entry.flags & DIRECT:
                assert homes[entry] == touches[0][:2]
