"""Attributes are closed, and what nobody exports costs nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.metrics.export import InMemoryMetricReader

from tests.unit.runtime.conftest import ServeEcho
from tributary_runtime import metrics
from tributary_runtime.instruments import unbind_all
from tributary_runtime.telemetry import configure_metrics, flush_telemetry


class Reader(InMemoryMetricReader):
    """What was measured."""

    def points(self, name: str) -> list[Any]:
        data = self.get_metrics_data()
        found = data.resource_metrics[0].scope_metrics[0].metrics if data is not None else []
        return [point for metric in found if metric.name == name for point in metric.data.data_points]


@pytest.fixture
async def reader() -> Any:
    reader = Reader()
    configure_metrics("dedup", reader)
    yield reader
    await flush_telemetry()
    unbind_all()


@pytest.fixture
def unexported() -> Iterator[None]:
    unbind_all()
    return


async def test_a_counter_counts_by_its_attributes(reader: Reader) -> None:
    metrics.EVENTS.add(3, verdict=metrics.Verdict.ACCEPTED)
    metrics.EVENTS.add(2, verdict=metrics.Verdict.ACCEPTED)
    metrics.EVENTS.add(1, verdict=metrics.Verdict.DUPLICATE)
    counted = {point.attributes["verdict"]: point.value for point in reader.points("tributary.ingestion.events")}
    assert counted == {"ACCEPTED": 5, "DUPLICATE": 1}


async def test_a_histogram_has_the_declared_boundaries(reader: Reader) -> None:
    metrics.COMMIT_EVENTS.record(7)
    (point,) = reader.points("tributary.admission.commit_events")
    assert point.explicit_bounds == metrics.SIZES


async def test_a_gauge_keeps_the_newest_value(reader: Reader) -> None:
    metrics.LAG_AGE.set(5, group=metrics.Group.RECORD)
    metrics.LAG_AGE.set(2, group=metrics.Group.RECORD)
    assert [point.value for point in reader.points("tributary.worker.lag_age")] == [2]


async def test_a_value_nobody_declared_is_other(reader: Reader) -> None:
    metrics.RPC_DURATION.record(0.1, method="/made.up/Method", code="OK")
    assert [point.attributes["method"] for point in reader.points("tributary.rpc.duration")] == ["other"]


@pytest.mark.parametrize(
    "attributes",
    [
        pytest.param({}, id="missing"),
        pytest.param({"verdict": metrics.Verdict.ACCEPTED, "workspace": "shop"}, id="more"),
        pytest.param({"verdict": "ACCEPTED_MOSTLY"}, id="not of the enum"),
    ],
)
async def test_other_attributes_than_declared_are_a_bug(reader: Reader, attributes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"tributary\.ingestion\.events|Verdict"):
        metrics.EVENTS.add(1, **attributes)


async def test_each_call_is_measured_once(reader: Reader, serve_echo: ServeEcho) -> None:
    async with serve_echo() as echo:
        await echo.unary("Internal")
        await echo.unary("Internal")
    (point,) = reader.points("tributary.rpc.duration")
    assert (point.count, dict(point.attributes)) == (2, {"method": "/test.v1.EchoService/Internal", "code": "OK"})


@pytest.mark.usefixtures("unexported")
def test_unexported_instruments_take_anything_and_do_nothing() -> None:
    metrics.EVENTS.add(1, verdict=metrics.Verdict.ACCEPTED)
    metrics.LAG_AGE.set(1, group=metrics.Group.RECORD)
    metrics.COMMIT_EVENTS.record(1)
