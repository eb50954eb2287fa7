"""People are a pure function of the set of edges: any order, repetition or grouping of arrivals gives the same."""

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from tests.support.people import DAY, TieStore, batch, oracle
from tributary_domain.identity import IdentityLimits, clusters_of
from tributary_domain.plain_clusters import plain_cluster
from tributary_domain.ties import OperatorWord, Tie, edges_of, operator_edge, type_of

TOKENS = [
    f"{kind}:{number}" for kind, count in (("customer", 7), ("email", 4), ("visitor", 5)) for number in range(count)
]
LIMITS = IdentityLimits(identifiers_per_type=2, shared_device_customers=2, flagged_cluster_size=5)
SMALL = IdentityLimits(
    identifiers_per_type=3, shared_device_customers=2, flagged_cluster_size=2, refused_cluster_size=4
)

times = st.one_of(st.integers(0, 5), st.integers(0, 8).map(lambda tens: tens * 10 * DAY))


@st.composite
def events(draw: st.DrawFn) -> list[Tie]:
    """The edges of one event, or an operator's word."""
    time, hashed = draw(times), draw(st.integers(0, 2**64 - 1))
    if draw(st.integers(0, 9)) == 0:
        one, other = draw(st.lists(st.sampled_from(TOKENS), min_size=2, max_size=2, unique=True))
        return [operator_edge(one, other, draw(st.sampled_from(list(OperatorWord))), time, hashed)]
    tokens = draw(st.lists(st.sampled_from(TOKENS), min_size=1, max_size=3, unique=True))
    customers = [token for token in tokens if type_of(token) == "customer"]
    return edges_of([token for token in tokens if token not in customers[1:]], time, hashed)


worlds = st.lists(events(), min_size=1, max_size=12)
limits = st.sampled_from([LIMITS, IdentityLimits(blocked=frozenset({"email:0"})), IdentityLimits(customer_ids=2)])


def flat(world: Sequence[Sequence[Tie]]) -> list[Tie]:
    return [edge for event in world for edge in event]


@given(worlds, st.one_of(limits, st.just(SMALL)), st.randoms(use_true_random=False))
def test_edge_by_edge_in_any_order_makes_the_people_of_all_at_once(
    world: list[list[Tie]], limits: IdentityLimits, chance: object
) -> None:
    expected = batch(flat(world), limits)
    arrivals = [*world, *world[: len(world) // 2]]
    chance.shuffle(arrivals)  # type: ignore[attr-defined]
    store = TieStore(limits)
    for event in arrivals:
        store.add(event)
    assert store.people() == expected


@given(worlds, limits, st.integers(1, 6))
def test_batches_of_any_size_make_the_same_people(world: list[list[Tie]], limits: IdentityLimits, size: int) -> None:
    edges = flat(world)
    store = TieStore(limits)
    for start in range(0, len(edges), size):
        store.add(edges[start : start + size])
    assert store.people() == batch(edges, limits)


@given(worlds, limits)
def test_the_people_are_those_that_the_words_of_the_rule_make(world: list[list[Tie]], limits: IdentityLimits) -> None:
    edges = flat(world)
    assert {frozenset(person.tokens) for person in batch(edges, limits)} == oracle(edges, limits)


@given(worlds, st.one_of(limits, st.just(SMALL)), st.randoms(use_true_random=False))
def test_the_changes_lead_from_the_people_before_to_those_after(
    world: list[list[Tie]], limits: IdentityLimits, chance: object
) -> None:
    arrivals = list(world)
    chance.shuffle(arrivals)  # type: ignore[attr-defined]
    store = TieStore(limits)
    people = store.people()
    for event in arrivals:
        changes = store.add(event)
        gone = {person for change in changes for person in change.before}
        come = {person for change in changes for person in change.after}
        alone = {person for person in gone - people if len(person.tokens) == 1}
        assert gone - alone <= people
        people = (people - gone) | come
        known = {token for person in people for token in person.tokens}
        assert people | {person for person in store.people() if not {*person.tokens} & known} == store.people()


@given(worlds, limits)
def test_taking_a_change_back_restores_the_people_of_before(world: list[list[Tie]], limits: IdentityLimits) -> None:
    store = TieStore(limits)
    for event in world[:-1]:
        store.add(event)
    before = store.people()
    had = {tie.pair for ties in store.ties.values() for tie in ties if tie.spans}
    changes = store.add(world[-1])
    if any(edge.pair in had and edge.spans for edge in world[-1]):
        return  # a known pair that became earlier: its people cannot be had back by words about new pairs alone
    for number, (first, second, word) in enumerate(undo for change in changes for undo in change.undo):
        store.add([operator_edge(first, second, word, 1_000 * DAY + number, number)])
    known = {token for person in before for token in person.tokens}
    assert {person for person in store.people() if {*person.tokens} & known} == before


@given(worlds, st.sampled_from([LIMITS, SMALL]))
def test_two_customer_ids_are_never_one_person(world: list[list[Tie]], limits: IdentityLimits) -> None:
    for person in batch(flat(world), limits):
        assert sum(type_of(token) == "customer" for token in person.tokens) <= 1


@given(worlds, st.sampled_from([LIMITS, SMALL]))
def test_every_identifier_is_of_exactly_one_person(world: list[list[Tie]], limits: IdentityLimits) -> None:
    people = [token for person in batch(flat(world), limits) for token in person.tokens]
    assert sorted(people) == sorted({token for edge in flat(world) for token in edge.pair})


@given(worlds, st.one_of(limits, st.just(SMALL)))
def test_a_plain_cluster_is_what_the_rules_make_of_it(world: list[list[Tie]], limits: IdentityLimits) -> None:
    store = TieStore(limits)
    store.load(flat(world))
    for token in store.ties:
        plain, lacking = plain_cluster(store.ties, token, limits)
        assert not lacking
        assert plain is None or (plain,) == clusters_of(store.ties, [token], limits)
