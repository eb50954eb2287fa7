"""Leads, subscriptions and orders told in several ways end alike by the rules of the stream and those of the batch."""

from __future__ import annotations

import random

from tests.support.families import awkward_families
from tests.support.pure_families import recomputed, streamed
from tests.support.seeds import seeds
from tributary_runtime.workspaces import Workspace


def test_stream_and_batch_say_the_same_of_awkward_families() -> None:
    declared = {"conversions": [{"name": "lead"}, {"name": "purchase"}], "pepper": {"value": "a pepper of the tests"}}
    workspace = Workspace.model_validate({"id": "shop", **declared})
    for seed in seeds():
        world = awkward_families(workspace.id, random.Random(seed), 1)
        assert streamed(workspace, world) == recomputed(workspace, world), seed
