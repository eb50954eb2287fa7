"""Models are learned from what was counted, published with their evidence, and pinned by the credit they gave."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.support.attribution import DAY, NOON, Attribution, Events, running_attribution
from tests.support.families import Families
from tributary.attribution.v1.conversion_pb2 import RevisionCause
from tributary.attribution.v1.conversion_revised_pb2 import ConversionRevised
from tributary.attribution.v1.credit_pb2 import UnattributedReason
from tributary.attribution.v1.explanation_pb2 import CreditSettings, Explanation, NoModelReason, NoShareReason
from tributary.attribution.v1.model_pb2 import ModelMethod, ModelStatus
from tributary.attribution.v1.reattribution_pb2 import ModelChoice
from tributary.query.v1.query_service_pb2 import GetModelRequest, ListModelsRequest
from tributary_attribution.models import Models
from tributary_domain.data_driven import DataDrivenModel, Floor, fit
from tributary_domain.path_counts import counts_of, total
from tributary_domain.revision import Cause
from tributary_query.models import Models as ModelAnswers
from tributary_query.models import show_missing_model
from tributary_runtime.errors import InvalidRequestError, NotFoundError, PoisonEvent
from tributary_storage.clickhouse.model_versions import ModelVersions
from tributary_storage.clickhouse.published_conversions import Wanted
from tributary_storage.redis.current_models import CurrentModels

LITTLE = {
    "attribution": [{"touch_grain": "event"}],
    "data_driven": {"minimum_conversions": 2, "minimum_paths": 4},
}
PATHS = [(["Email", "Display"], True), (["Email"], True), (["Email"], False), (["Display"], False)]


@pytest.fixture
async def attribution(redis_url: str, clickhouse_url: str, workspace: str) -> AsyncIterator[Attribution]:
    async with running_attribution(redis_url, clickhouse_url, workspace, **LITTLE) as running:
        yield running


async def learn(attribution: Attribution, paths: list[tuple[list[str], bool]] = PATHS) -> DataDrivenModel:
    """Lets people walk some paths, and returns the model that is in use then."""
    make = Events(attribution.workspace.id)
    events = []
    for number, (path, converted) in enumerate(paths):
        person = f"visitor:{len(path)}-{number}"
        for step, channel in enumerate(path):
            at = NOON - DAY + step
            events.append(make.touch(person, at=at, channel=channel, event_id=f"{person}-{step}"))
        if converted:
            events.append(make.order(person, at=NOON, order_id=person, event_id=f"{person}-order"))
    await attribution.handle(*events)
    await attribution.learn()
    found = attribution.models.in_use(attribution.workspace.id, "purchase")
    assert found is not None
    return found


async def buy(attribution: Attribution, make: Events, *channels: str, order_id: str = "o-1") -> ConversionRevised:
    """Lets somebody buy after some touches."""
    touches = [
        make.touch("visitor:b", at=NOON - DAY + step, channel=channel, event_id=f"b-{step}")
        for step, channel in enumerate(channels)
    ]
    await attribution.handle(*touches, make.order("visitor:b", order_id=order_id, event_id=f"b-{order_id}", micros=100))
    revised = await attribution.published(make.conversion_id(order_id))
    assert revised is not None
    return revised


def data_driven(revised: ConversionRevised) -> tuple[str, list[int]]:
    """Returns the version that a credit pins, and the credit of each touch."""
    assert revised.state.models[-1].name == "data_driven"
    assert all(len(touch.credits) == len(revised.state.models) for touch in revised.state.touches)
    return revised.state.models[-1].model_version, [touch.credits[-1].credit_micros for touch in revised.state.touches]


async def test_what_is_learned_step_by_step_is_what_all_paths_at_once_say(attribution: Attribution) -> None:
    learned = await learn(attribution)
    at_once = total((counts_of(path, converted=converted), 1) for path, converted in PATHS)
    expected = fit(at_once, floor=Floor(2, 4))
    assert isinstance(expected, DataDrivenModel)
    assert learned.version == expected.version
    assert learned.removal_effects == pytest.approx(expected.removal_effects, abs=1e-9)


async def test_a_conversion_is_credited_under_the_model_in_use_and_names_it(attribution: Attribution) -> None:
    model = await learn(attribution)
    revised = await buy(attribution, Events(attribution.workspace.id), "Email", "Display", "Email")
    version, credits = data_driven(revised)
    email, display = model.weight_of("Email"), model.weight_of("Display")
    assert version == model.version
    expected = [email / 2, display, email / 2]
    assert credits == pytest.approx([1e6 * weight / (email + display) for weight in expected], abs=1)
    assert sum(credits) == 1_000_000
    assert sum(touch.credits[-1].value_micros for touch in revised.state.touches) == 100
    deltas = [delta.credit_micros for delta in revised.deltas if delta.model == "data_driven"]
    assert sum(deltas) == 1_000_000
    columns = "order_id, data_driven_model_version, arraySum(data_driven_credit_micros)"
    stored = {row[0]: row[1:] for row in await attribution.stored(columns)}
    assert stored["o-1"] == (version, 1_000_000)


async def test_a_credit_keeps_its_model_when_there_is_a_new_one(attribution: Attribution) -> None:
    """Also in a process that never saw it in use."""
    first = await learn(attribution)
    make = Events(attribution.workspace.id)
    await buy(attribution, make, "Email")
    second = await learn(attribution, [(["Referral", "Display"], True), (["Email", "Email", "Display"], False)])
    assert second.version != first.version
    attribution.models._known.clear()
    await attribution.handle(make.touch("visitor:b", at=NOON - 2 * DAY, channel="Display"))
    revised = await attribution.published(make.conversion_id())
    assert revised is not None
    assert data_driven(revised)[0] == first.version
    assert list(revised.causes) == [RevisionCause.REVISION_CAUSE_LATE_TOUCHPOINT]
    other = await buy(attribution, make, "Email", order_id="o-2")
    assert data_driven(other)[0] == second.version


async def test_without_a_model_there_is_no_credit_and_later_none_by_accident(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    revised = await buy(attribution, make, "Email")
    assert [model.name for model in revised.state.models][-1] == "time_decay"
    await learn(attribution)
    await attribution.handle(make.touch("visitor:b", at=NOON - 2 * DAY, channel="Display"))
    again = await attribution.published(make.conversion_id())
    assert again is not None
    assert again.revision > revised.revision
    assert [model.name for model in again.state.models][-1] == "time_decay"
    show_missing_model(again.state)
    shown = again.state.models[-1]
    assert (shown.name, shown.unattributed.credit_micros, shown.unattributed.value_micros) == (
        "data_driven",
        10**6,
        100,
    )
    assert shown.unattributed.reason == UnattributedReason.UNATTRIBUTED_REASON_NO_MODEL


async def test_on_purpose_another_model_is_applied_with_its_own_cause(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    before = await buy(attribution, make, "Email")
    model = await learn(attribution)
    await attribution.credit_again(make.conversion_id(), Cause.MODEL_CHANGE)
    revised = await attribution.published(make.conversion_id())
    assert revised is not None
    assert data_driven(revised) == (model.version, [1_000_000])
    assert list(revised.causes) == [RevisionCause.REVISION_CAUSE_MODEL_CHANGE]
    assert {delta.model for delta in revised.deltas} == {"data_driven"}
    assert revised.previous_revision == before.revision
    await attribution.credit_again(make.conversion_id(), Cause.MODEL_CHANGE)
    assert len(await attribution.stored_revisions(make.conversion_id())) == 2, "no change, no revision"


async def test_too_little_evidence_is_said_and_not_used(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await buy(attribution, make, "Email")
    [said] = await attribution.learn()
    assert said.status == ModelStatus.MODEL_STATUS_NOT_ENOUGH_EVIDENCE
    assert (said.version, said.paths, said.conversions) == ("", 1, 1)
    assert (said.minimum_paths, said.minimum_conversions) == (4, 2)
    assert attribution.models.in_use(attribution.workspace.id, "purchase") is None


async def test_a_model_whose_evidence_was_taken_back_goes_out_of_use(attribution: Attribution) -> None:
    await learn(attribution)
    make = Events(attribution.workspace.id)
    await attribution.handle(make.retraction(order_id="visitor:1-1"))
    [said] = await attribution.learn()
    assert said.status == ModelStatus.MODEL_STATUS_NOT_ENOUGH_EVIDENCE
    assert attribution.models.in_use(attribution.workspace.id, "purchase") is None


async def test_what_says_the_same_is_not_published_again(attribution: Attribution) -> None:
    await learn(attribution)
    assert await attribution.learn() == []


async def test_a_credit_whose_model_is_lost_is_not_published_under_another(attribution: Attribution) -> None:
    await learn(attribution)
    make = Events(attribution.workspace.id)
    await buy(attribution, make, "Email")
    lost = Models(CurrentModels(attribution.state), ModelVersions(attribution.clickhouse))
    with pytest.raises(PoisonEvent):
        await lost.load(attribution.workspace.id, "m1:nothing")


async def test_models_are_listed_newest_first_page_by_page_and_shown(attribution: Attribution) -> None:
    first = await learn(attribution)
    second = await learn(attribution, [(["Referral"], True)])
    ask = ModelAnswers(ModelVersions(attribution.clickhouse))
    workspace = attribution.workspace.id
    page = await ask.page(ListModelsRequest(page_size=1), workspace)
    assert [model.version for model in page.models] == [second.version]
    rest = await ask.page(ListModelsRequest(page_token=page.next_page_token), workspace)
    assert ([model.version for model in rest.models], rest.next_page_token) == ([first.version], "")
    assert not (await ask.page(ListModelsRequest(conversion_name="lead"), workspace)).models
    shown = (await ask.get(GetModelRequest(version=first.version), workspace)).model
    assert sum(weight.weight_picos for weight in shown.channels) == 10**12
    assert [model.version for model in await ask.newest(workspace)] == [second.version]
    with pytest.raises(NotFoundError):
        await ask.get(GetModelRequest(version=first.version), "another-workspace")


async def test_shapley_is_a_setting(redis_url: str, clickhouse_url: str, workspace: str) -> None:
    settings: dict[str, Any] = {**LITTLE, "data_driven": {**LITTLE["data_driven"], "method": "shapley"}}  # type: ignore[dict-item]
    async with running_attribution(redis_url, clickhouse_url, workspace, **settings) as attribution:
        model = await learn(attribution)
        assert model.weight_of("Email") == 3 * model.weight_of("Display")
        [said] = (await ModelAnswers(ModelVersions(attribution.clickhouse)).page(ListModelsRequest(), workspace)).models
        assert said.method == ModelMethod.MODEL_METHOD_SHAPLEY


async def test_a_longer_lookback_of_its_own_sees_touches_that_the_others_do_not(
    redis_url: str, clickhouse_url: str, workspace: str
) -> None:
    models = {"data_driven": {"lookback_days": 60}}
    settings = {**LITTLE, "attribution": [{"touch_grain": "event", "models": models}]}
    async with running_attribution(redis_url, clickhouse_url, workspace, **settings) as attribution:
        await learn(attribution)
        make = Events(workspace)
        await attribution.handle(make.touch("visitor:b", at=NOON - 50 * DAY, channel="Display"))
        revised = await buy(attribution, make, "Email")
        version, credits = data_driven(revised)
        assert len(credits) == 2
        assert (all(credits), sum(credits)) == (True, 1_000_000)
        assert [share.credit_micros for share in revised.state.touches[0].credits[:-1]] == [0] * 6
        counts = await attribution.count_people()
        assert counts["purchase"].steps["Display", "Email"] == 1
        await attribution.handle(make.refund(40, order_id="o-1"))
        again = await attribution.published(make.conversion_id())
        assert again is not None
        assert data_driven(again) == (version, credits)


async def explained(attribution: Attribution, order_id: str = "o-1", *, version: str = "") -> Explanation:
    """Explains an order, or says what it would be under another model."""
    name, found = attribution.workspace.id, Events(attribution.workspace.id).conversion_id(order_id)
    if version:
        return await attribution.explainer.simulate(name, found, CreditSettings(data_driven_version=version))
    return (await attribution.explainer.explain(name, found)).message


def dividing(explanation: Explanation) -> dict[str, int]:
    """Returns channel -> millionths of the conversion under data_driven; empty where it is not credited."""
    found: dict[str, int] = {}
    for model in explanation.models:
        if model.name == "data_driven":
            for share in model.shares:
                found[share.source.channel] = found.get(share.source.channel, 0) + share.credit_micros
    return found


async def test_an_explanation_shows_what_the_model_knows_of_the_path_and_divides_by_it(
    attribution: Attribution,
) -> None:
    model = await learn(attribution)
    revised = await buy(attribution, Events(attribution.workspace.id), "Email", "Referral", "Display", "Email")
    explanation = await explained(attribution)
    assert explanation.reproduces_revision
    assert explanation.settings.data_driven_version == explanation.data_driven.model.version == model.version
    evidence = explanation.data_driven.model
    assert (evidence.paths, evidence.conversions, evidence.conversion_probability_picos) == (4, 2, 10**12 // 2)
    assert not evidence.channels
    shown = [(one.channel, one.touches, one.weight_picos, one.known) for one in explanation.data_driven.channels]
    assert shown == [
        ("Display", 1, model.weight_of("Display"), True),
        ("Email", 2, model.weight_of("Email"), True),
        ("Referral", 1, 0, False),
    ]
    effects = {one.channel: one.removal_effect_picos / 1e12 for one in explanation.data_driven.channels}
    assert [effects[channel] for channel in model.channels] == pytest.approx(model.removal_effects, abs=1e-11)
    shares = next(one.shares for one in explanation.models if one.name == "data_driven")
    assert [share.credit_micros for share in shares] == data_driven(revised)[1]
    assert [share.weight for share in shares] == [
        *(model.weight_of("Email"), 0),
        *(2 * model.weight_of("Display"), model.weight_of("Email")),
    ]
    assert [NoShareReason.Name(share.no_share_reason) for share in shares if share.no_share_reason] == [
        "NO_SHARE_REASON_CHANNEL_WITHOUT_WEIGHT"
    ]


async def test_an_explanation_says_why_data_driven_is_not_used_and_how_far_away_it_is(
    attribution: Attribution,
) -> None:
    make = Events(attribution.workspace.id)
    await buy(attribution, make, "Email")
    never = await explained(attribution)
    assert never.data_driven.no_model_reason == NoModelReason.NO_MODEL_REASON_NEVER_EVALUATED
    await attribution.learn()
    little = (await explained(attribution)).data_driven
    assert little.no_model_reason == NoModelReason.NO_MODEL_REASON_NOT_ENOUGH_EVIDENCE
    assert (little.model.paths, little.model.conversions, little.model.minimum_conversions) == (1, 1, 2)
    await learn(attribution)
    before = await explained(attribution)
    assert before.data_driven.no_model_reason == NoModelReason.NO_MODEL_REASON_CREDITED_BEFORE
    assert before.reproduces_revision
    assert dividing(before) == {}


async def test_a_simulation_tries_another_model_of_the_name_and_refuses_what_is_none(attribution: Attribution) -> None:
    make = Events(attribution.workspace.id)
    await buy(attribution, make, "Email", "Display")
    model = await learn(attribution)
    tried = await explained(attribution, version=model.version)
    assert not tried.reproduces_revision
    assert dividing(tried) == pytest.approx(
        {name: round(model.weight_of(name) / 1e6) for name in ("Email", "Display")}, abs=1
    )
    assert await attribution.stored_revisions(make.conversion_id()) == [tried.revision]
    with pytest.raises(InvalidRequestError) as refused:
        await explained(attribution, version="m1:none")
    assert refused.value.violations[0].field == "settings.data_driven_version"


async def test_conversions_are_moved_to_a_model_on_purpose_and_a_preview_says_what_that_changes(
    attribution: Attribution,
) -> None:
    make = Events(attribution.workspace.id)
    await buy(attribution, make, "Email", "Display", order_id="before")
    first = await learn(attribution)
    await buy(attribution, make, "Email", "Display", order_id="pinned")
    second = await learn(attribution, [(["Referral", "Display"], True), (["Email", "Email", "Display"], False)])
    wanted = Wanted(workspace=attribution.workspace.id, start_micros=NOON - 1, end_micros=NOON + 1)
    preview, _ = await attribution.reattribution.preview(wanted, None, ModelChoice(first=True))
    changes = {
        one.channel: (one.before_credit_micros, one.after_credit_micros)
        for one in preview.changes
        if one.model == "data_driven"
    }
    conversions = preview.conversions
    assert sum(before for before, _ in changes.values()) == sum(after for _, after in changes.values())
    assert changes["unattributed"][1] == 0
    logged = await attribution.logged()
    done, _ = await attribution.reattribution.apply(wanted, ModelChoice(first=True))
    assert done == preview
    moved = [one for one in await attribution.logged() if one not in logged]
    assert done.changed == len(moved) < conversions
    assert {tuple(one.causes) for one in moved} == {(RevisionCause.REVISION_CAUSE_MODEL_CHANGE,)}
    assert {delta.model for one in moved for delta in one.deltas} == {"data_driven"}
    for order_id in ("before", "pinned"):
        revised = await attribution.published(make.conversion_id(order_id))
        assert revised is not None
        assert data_driven(revised)[0] == first.version
    again, _ = await attribution.reattribution.apply(wanted, ModelChoice(first=True))
    assert again.changed == 0
    await attribution.reattribution.apply(wanted, ModelChoice(version=second.version))
    newest, _ = await attribution.reattribution.preview(wanted, None, ModelChoice(newest=True))
    assert newest.changed == 0
    revised = await attribution.published(make.conversion_id("pinned"))
    assert revised is not None
    assert data_driven(revised)[0] == second.version
    for choice in (ModelChoice(version="m1:none"), ModelChoice()):
        with pytest.raises(InvalidRequestError):
            await attribution.reattribution.preview(wanted, None, choice)
    with pytest.raises(InvalidRequestError):
        await attribution.reattribution.preview(wanted, CreditSettings(data_driven_version=first.version))


async def test_a_renewal_follows_the_first_payment_to_another_model_with_the_same_cause(
    attribution: Attribution,
) -> None:
    families = Families(Events(attribution.workspace.id))
    first = families.cycle("visitor:b", kind="FIRST", cycle="1", name="purchase")
    renewal = families.cycle("visitor:b", kind="RENEWAL", cycle="2", name="purchase", at=NOON + DAY)
    make = families.events
    await attribution.handle(make.touch("visitor:b", channel="Email"), first, renewal)
    model = await learn(attribution)
    wanted = Wanted(workspace=attribution.workspace.id, start_micros=NOON - 1, end_micros=NOON + 2 * DAY)
    preview, _ = await attribution.reattribution.preview(wanted, None, ModelChoice(version=model.version))
    done, _ = await attribution.reattribution.apply(wanted, ModelChoice(version=model.version))
    assert done == preview
    assert done.changed == done.conversions == 4  # and the two of whom it was learned
    for _, event in (first, renewal):
        revised = await attribution.published(event.conversion_id)
        assert revised is not None
        assert data_driven(revised)[0] == model.version
        assert list(revised.causes) == [RevisionCause.REVISION_CAUSE_MODEL_CHANGE]
    again, _ = await attribution.reattribution.apply(wanted, ModelChoice(version=model.version))
    assert again.changed == 0
