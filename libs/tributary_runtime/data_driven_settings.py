"""How data_driven learns from a workspace's paths, as `workspaces.yaml` declares it.

The one rule: what is declared here makes the next model. A model that was published carries all it needs, and credits
that name its version stay what they are.
"""

from typing import Annotated

from pydantic import Field

from tributary_domain.data_driven import DataDrivenMethod
from tributary_runtime.declared import Declared


class DataDrivenSettings(Declared):
    """How channels are weighed, and from how much evidence on."""

    method: DataDrivenMethod = DataDrivenMethod.MARKOV
    """markov | shapley: by what a channel's removal would lose, or by an equal split over the channels of each
    conversion."""

    minimum_conversions: Annotated[int, Field(ge=1, le=10_000_000)] = 200
    """Conversions of a name below which it has no model."""

    minimum_paths: Annotated[int, Field(ge=1, le=1_000_000_000)] = 2_000
    """Paths below which it has none: conversions, and people without one."""
