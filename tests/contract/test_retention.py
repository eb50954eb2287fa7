"""Each log is trimmed by one service, after one horizon: with two, the shorter would win unseen."""

from __future__ import annotations

from importlib import import_module

from tributary_runtime.settings import Settings

SERVICES = ("attribution", "dedup", "delivery", "ingestion", "query")
HORIZON = "replay_horizon_seconds"


def horizons(service: str) -> set[str]:
    """Returns the horizons that a service can be set to."""
    module = import_module(f"tributary_{service}.settings")
    return {
        field
        for found in vars(module).values()
        if isinstance(found, type) and issubclass(found, Settings)
        for field in found.model_fields
        if field.endswith(HORIZON)
    }


def test_the_event_log_has_one_horizon_and_the_conversion_log_has_one() -> None:
    found = {service: horizons(service) for service in SERVICES if horizons(service)}
    assert found == {"attribution": {f"attribution_{HORIZON}"}, "dedup": {f"dedup_{HORIZON}"}}
