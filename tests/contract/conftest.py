"""What several promises are checked against."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.distribution import build_wheel


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this tree."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))
