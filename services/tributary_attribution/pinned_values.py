"""What of a conversion's value was decided when it was first published, and is not decided again.

The one rule: a workspace that declares another default value, or another basis, changes what comes, never what was.
"""

from __future__ import annotations

from typing import Final

from tributary.attribution.v1.conversion_pb2 import ConversionState
from tributary.event.v1.conversion_pb2 import ValueSource
from tributary_domain.conversion import DefaultValue
from tributary_domain.value_bases import ValueBasis
from tributary_runtime.workspaces import Workspace
from tributary_storage.codec.conversion_states import BASIS_OF

_MAY_BE_DEFAULT: Final = (ValueSource.VALUE_SOURCE_DEFAULT, ValueSource.VALUE_SOURCE_RESTATED)
"""What a value may be called whose first was the default."""


def default_value(workspace: Workspace, name: str, before: ConversionState | None) -> DefaultValue | None:
    """Returns what a conversion is worth where no source states a value.

    Args:
        workspace: Whose.
        name: Of the conversion.
        before: What is published of it; None: nothing, so what the workspace declares today is pinned now.
    """
    if before is not None:
        if before.value_source not in _MAY_BE_DEFAULT or not before.HasField("original_value"):
            return None
        return DefaultValue(before.original_value.amount_micros, before.original_value.currency_code)
    declared = workspace.conversion(name).default_value
    return None if declared is None else DefaultValue(declared.amount_micros, declared.currency)


def value_basis(workspace: Workspace, name: str, before: ConversionState | None) -> ValueBasis:
    """Returns which part of its value is credited; arguments as of `default_value`."""
    if before is not None:
        return BASIS_OF.get(before.value_basis, ValueBasis.AS_SENT)
    return workspace.conversion(name).value_basis
