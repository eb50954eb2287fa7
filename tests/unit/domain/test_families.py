import pytest

from tributary_domain.families import (
    Member,
    Membership,
    first_name,
    lead_names,
    order_name,
    parse_name,
    subscription_name,
    unread,
    whole,
)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        pytest.param(lead_names("a:b", "", "")[0], ("lead", "", "a:b"), id="lead"),
        pytest.param(order_name("de:1", "x:2"), ("order", "de:1", "x:2"), id="order"),
        pytest.param(subscription_name("", "s"), ("subscription", "", "s"), id="subscription"),
        pytest.param(first_name("a:1", "de:2", "x:3"), ("first", "de:2", "x:3", "a:1"), id="first cycle"),
        pytest.param(first_name("purchase", "", "7"), ("first", "", "7", "purchase"), id="first cycle of the one shop"),
    ],
)
def test_a_name_says_what_it_was_made_of(name: str, said: tuple[str, ...]) -> None:
    assert parse_name(name) == (*said, "")[:4]


def test_a_stage_with_both_names_makes_one_family_of_both() -> None:
    both = Member("c1", Membership.STAGE, ("lead:1", "order:0::7"))
    members = {"lead:1": [both]}
    assert unread(["lead:1"], members) == {"order:0::7"}
    members["order:0::7"] = [both, Member("c2", Membership.STAGE, ("order:0::7",))]
    assert not unread(["lead:1"], members)
    assert whole(members) == {name: {"lead:1", "order:0::7"} for name in members}


@pytest.mark.parametrize(
    ("roles", "is_one"),
    [
        pytest.param((Membership.STAGE, Membership.STAGE), True, id="a stage that two observers name differently"),
        pytest.param((Membership.STAGE, Membership.ROOT), True, id="a stage that later ones name by its order"),
        pytest.param((Membership.STAGE, Membership.CYCLE), False, id="a stage that is a cycle"),
        pytest.param((Membership.CYCLE, Membership.CYCLE), False, id="a cycle that is an order told twice"),
    ],
)
def test_a_conversion_of_a_lead_makes_all_that_it_is_known_by_one_family(
    roles: tuple[Membership, Membership], *, is_one: bool
) -> None:
    other = Member("c2", Membership.STAGE, ("b",))
    members = {"a": [Member("c1", roles[0], ("a",))], "b": [Member("c1", roles[1], ("b",)), other]}
    assert whole(members) == {name: {"a", "b"} if is_one else {name} for name in members}
