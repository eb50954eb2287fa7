import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.support.people import DAY, TieStore
from tributary_domain.identity import IdentityLimits
from tributary_domain.person_changes import PersonChangeKind
from tributary_domain.ties import OperatorWord, Tie, edges_of, operator_edge, telling

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "sessions_and_identity.json").read_text())


class World:
    """Events at given moments, however they arrive."""

    def __init__(self, **limits: Any) -> None:
        self.store = TieStore(IdentityLimits(**limits))
        self._events = 0

    def see(self, *tokens: str, time: int | None = None) -> list[PersonChangeKind]:
        self._events += 1
        when = self._events if time is None else time
        return [change.kind for change in self.store.add(edges_of(tokens, when, self._events))]

    def say(self, one: str, other: str, word: OperatorWord, time: int = 10_000 * DAY) -> None:
        self._events += 1
        self.store.add([operator_edge(one, other, word, time, self._events)])

    def people(self) -> list[list[str]]:
        return sorted(list(person.tokens) for person in self.store.people())


C1, C2, C3 = "customer:1", "customer:2", "customer:3"
E1, E2 = "email:1", "email:2"
V1, V2, V3 = "visitor:1", "visitor:2", "visitor:3"


def test_segments_worked_example_gives_segments_profiles() -> None:
    """The later event loses its e-mail address to the profile that had it."""
    example = VECTORS["identity_segment"]["worked_example"]

    def tokens(profile: dict[str, Any]) -> list[str]:
        types = {"user_id": "customer", "email": "email"}
        return [
            f"{types[kind]}:{value}"
            for kind, values in profile.items()
            for value in ([values] if isinstance(values, str) else values)
        ]

    world = World()
    for profile in [*example["existing"], example["event"]]:
        world.see(*tokens(profile))
    assert world.people() == [["customer:abc123", "email:jane@example1.com"], ["customer:abc456"]]


def test_segments_default_limits_are_ours() -> None:
    defaults = VECTORS["identity_segment"]["default_limits"]
    limits = IdentityLimits()
    assert (limits.of_type("customer"), limits.of_type("email")) == (defaults["user_id"], defaults["*"])


def test_the_rest_of_an_event_still_links_where_one_identifier_belongs_to_another_person() -> None:
    world = World()
    world.see(C1, E1)
    world.see(C2, E1, V2)
    assert world.people() == [[C1, E1], [C2, V2]]


def test_a_visitor_of_another_person_is_not_taken_over_at_a_login() -> None:
    """Like PostHog (no merge into an identified person) and mParticle; a login on a known device is a new person."""
    assert "already identified" in VECTORS["identity_posthog"]["rule"]
    world = World()
    world.see(C1, V1)
    world.see(C2, V1)
    assert world.people() == [[C1, V1], [C2]]


def test_what_was_anonymous_is_known_after_the_login() -> None:
    """Like mParticle's profile conversion: history is kept."""
    world = World()
    world.see(V1, E1)
    assert world.see(C1, V1) == [PersonChangeKind.MERGED]
    assert world.people() == [[C1, E1, V1]]


def test_two_values_of_a_unique_identifier_never_merge_through_a_third() -> None:
    """Like Snowplow and RudderStack; unlike Snowplow's mapping table, the first customer keeps it and not the last."""
    assert "never merge" in VECTORS["identity_snowplow"]["unique_identifiers"]
    world = World()
    world.see(C1, E1)
    world.see(C2, V1)
    assert world.see(E1, V1) == []
    assert world.people() == [[C1, E1], [C2, V1]]


def test_the_oldest_identifiers_stay_where_adobe_drops_them() -> None:
    assert "oldest identity removed" in VECTORS["identity_adobe"]["at_max"]
    world = World()
    for number in range(7):
        world.see(C1, f"visitor:{number}")
    assert [C1, *(f"visitor:{number}" for number in range(5))] in world.people()


def test_a_cluster_is_flagged_from_adobes_limit_on() -> None:
    size = VECTORS["identity_adobe"]["graph_max"]
    world = World(identifiers_per_type=100)
    for number in range(size - 2):
        world.see(C1, f"visitor:{number}")
    assert [cluster.is_flagged for cluster in world.store.clusters()] == [False]
    world.see(C1, "visitor:last")
    assert [(cluster.is_flagged, cluster.is_refused) for cluster in world.store.clusters()] == [(True, False)]


def name(number: int) -> str:
    """The identifier at a place of the tree: children are of another type than their parents."""
    depth, first, width = 0, 0, 1
    while number >= first + width:
        depth, first, width = depth + 1, first + width, width * 4
    return f"{'email' if depth % 2 else 'visitor'}:{number:04}"


def tree(count: int) -> list[Tie]:
    """Edges that connect so many identifiers, none of them a customer id, four to each."""
    return [
        edge
        for number in range(1, count)
        for edge in edges_of([name((number - 1) // 4), name(number)], 2 * number, number)
    ]


def test_a_cluster_of_mixpanels_limit_is_kept_and_of_one_more_refused() -> None:
    size = VECTORS["identity_mixpanel"]["original_cluster_max"]
    world = World(identifiers_per_type=1000)
    world.store.load(tree(size))
    assert [len(person) for person in world.people()] == [size]
    world.see(name(200), C1, time=5_000)
    world.see(C1, V1, time=5_001)
    assert {len(person) for person in world.people()} == {1, 3}
    assert sorted([C1, name(200), V1], key=telling) in world.people()


@pytest.mark.parametrize("moment", [-1, 250, 1_000], ids=["before all", "in the middle", "after all"])
def test_a_late_edge_of_a_cluster_of_500_reads_that_cluster_and_no_more(moment: int) -> None:
    world = World()
    others = [edge for one in range(300) for edge in edges_of([f"phone:{one}", f"phone:{one + 1}"], one, one)]
    world.store.load([*tree(499), *others])
    world.see(name(250), C1, time=moment)
    assert world.store.read <= 500 + 1
    assert sum(len(person) for person in world.people()) == 499 + 301 + 1
    assert max(len(person) for person in world.people()) <= 1 + 5 + 5


def test_a_cluster_that_is_refused_anyway_is_not_read_as_a_whole() -> None:
    world = World()
    world.store.load(tree(1_500))
    world.see(name(700), C1)
    assert world.store.read <= 2 * 501 + 10
    assert [C1, name(700)] in world.people()


def test_a_customer_with_thousands_of_cookies_costs_no_more_than_one_with_five() -> None:
    world = World()
    world.store.load([edge for time in range(3_000) for edge in edges_of([C1, f"visitor:{time}"], time, time)])
    world.see(C1, E1, time=5_000)
    assert world.store.read <= 10
    assert [C1, E1, *(f"visitor:{number}" for number in range(5))] in [
        list(person.tokens) for cluster in world.store.clusters_of(C1) for person in cluster.persons
    ]


@pytest.mark.parametrize(
    ("seconds_between", "is_shared"),
    [
        pytest.param(6 * 86_400, True, id="the sixth exactly 30 days after the first"),
        pytest.param(6 * 86_400 + 1, False, id="the sixth 5 s later"),
    ],
)
def test_an_identifier_of_more_than_five_customers_in_thirty_days_stops_linking(
    seconds_between: int, is_shared: bool
) -> None:
    world = World()
    for number in range(6):
        world.see(f"customer:{number}", V1, time=number * seconds_between * 1_000_000)
    world.see(V1, E1, time=40 * DAY)
    assert ([E1] in world.people()) is is_shared
    assert any({"customer:0", V1} <= {*person} for person in world.people())  # what was linked before, stands


def test_customers_that_are_seen_again_count_again_for_a_shared_device() -> None:
    world = World()
    for number in range(5):
        world.see(f"customer:{number}", V1, time=number * DAY)
        world.see(f"customer:{number}", V1, time=(number + 28) * DAY)
    world.see("customer:5", V1, time=50 * DAY)
    world.see(V1, E1, time=60 * DAY)
    assert [E1] in world.people()


def test_an_event_of_a_known_pair_reads_the_two_and_changes_nothing() -> None:
    world = World()
    world.store.load(tree(400))
    world.see(name(7), C1, time=5_000)
    assert world.see(name(7), C1, time=6_000) == []
    assert world.store.read == 2
    assert world.see(name(7), C1, time=4_000) == []
    assert world.store.read > 2


def test_a_late_edge_may_split_people_and_the_split_is_a_fact() -> None:
    world = World()
    world.see(C2, V1, time=20)
    assert world.people() == [[C2, V1]]
    assert world.see(C1, V1, time=10) == [PersonChangeKind.REGROUPED]
    assert world.people() == [[C1, V1], [C2]]


def test_the_first_identifier_in_the_order_of_edges_names_the_person() -> None:
    world = World()
    world.see(C1, E1, time=20)
    assert [person.first for person in world.store.people()] == [C1]
    assert world.see(E1, V1, time=10) == [PersonChangeKind.MERGED]
    assert [person.first for person in world.store.people()] == [E1]


def test_a_merge_is_undone_by_an_operator_and_had_back() -> None:
    world = World()
    world.see(C1, V1)
    world.see(E1, V2)
    world.see(V1, E1)
    whole = world.people()
    assert whole == [[C1, E1, V1, V2]]
    world.say(V1, E1, OperatorWord.SEPARATED)
    assert world.people() == [[C1, V1], [E1, V2]]
    world.see(C1, V2, time=50)  # another way to the same people stays closed
    assert world.people() == [[C1, V1], [E1, V2]]
    world.say(V1, E1, OperatorWord.WITHDRAWN, time=10_001 * DAY)
    assert world.people() == whole


def test_an_operator_joins_beyond_the_limit_of_a_type_but_never_two_customers() -> None:
    world = World(identifiers_per_type=1)
    world.see(C1, V1)
    world.say(V1, V2, OperatorWord.JOINED)
    assert world.people() == [[C1, V1, V2]]
    world.see(C2, V3)
    world.say(V1, V3, OperatorWord.JOINED)
    world.say(C1, C2, OperatorWord.JOINED)
    assert sorted(sum(token in (C1, C2) for token in person) for person in world.people()) == [1, 1]


def test_of_two_words_on_one_pair_the_later_counts_whenever_it_arrives() -> None:
    world = World()
    world.see(C1, V1)
    world.say(C1, V1, OperatorWord.WITHDRAWN, time=200)
    world.say(C1, V1, OperatorWord.SEPARATED, time=100)
    assert world.people() == [[C1, V1]]


def test_a_blocked_identifier_links_nobody() -> None:
    world = World(blocked=frozenset({V1}))
    world.see(C1, V1)
    world.see(V1, E1)
    assert world.people() == [[C1], [E1], [V1]]


def test_an_event_has_an_edge_per_pair_the_most_telling_first() -> None:
    edges: Sequence[Tie] = edges_of([V1, E1, C1, V1], 5, 7)
    assert [edge.pair for edge in edges] == [(C1, E1), (C1, V1), (E1, V1)]
    assert {edge.key for edge in edges} == {(5, 7)}


@pytest.mark.parametrize("limits", [{"customer_ids": 0}, {"flagged_cluster_size": 501}])
def test_limits_that_make_no_sense_are_refused(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="at least 1"):
        IdentityLimits(**limits)


def test_nobody_is_joined_with_himself() -> None:
    with pytest.raises(ValueError, match="two identifiers"):
        operator_edge(C1, C1, OperatorWord.JOINED, 1, 1)


def test_a_pair_that_was_separated_makes_room_for_the_next() -> None:
    world = World()
    for number in range(6):
        world.see(C1, f"visitor:{number}")
    assert ["visitor:5"] in world.people()
    world.say(C1, "visitor:0", OperatorWord.SEPARATED)
    assert world.people() == [[C1, *(f"visitor:{number}" for number in range(1, 6))], ["visitor:0"]]


def test_a_customer_seen_again_after_exactly_thirty_days_is_one_customer() -> None:
    world = World()
    for day, customer in ((0, 0), (28, 1), (28, 2), (29, 3), (29, 4), (30, 0)):
        world.see(f"customer:{customer}", V1, time=day * DAY)
    world.see(V1, E1, time=40 * DAY)
    assert ["customer:0", E1, V1] in world.people()


def test_an_identifier_of_two_customers_is_in_one_person_of_a_refused_cluster() -> None:
    world = World(customer_ids=2, flagged_cluster_size=2, refused_cluster_size=3)
    for pair in ((C1, V1), (C2, V1), (C1, E1), (C2, E2)):
        world.see(*pair)
    assert world.people() == [[C1, E1, V1], [C2, E2]]


def test_what_a_late_edge_frees_of_a_refused_cluster_becomes_people_at_once() -> None:
    world = World(identifiers_per_type=1, flagged_cluster_size=2, refused_cluster_size=4)
    for pair in ((V1, E1), (E1, "phone:1"), (V1, "phone:2"), (V1, "device:1")):
        world.see(*pair)
    assert {len(person) for person in world.people()} == {1}
    assert world.see(V1, E2, time=0) == [PersonChangeKind.MERGED] * 2
    assert world.people() == [[E1, "phone:1"], [E2, "phone:2", V1, "device:1"]]
