"""What the chart renders is reviewed as text: a change of the chart shows as a change of these files.

`UPDATE_GOLDEN=1 pytest tests/chart/test_golden.py` writes them anew.
"""

from __future__ import annotations

import os
from pathlib import Path

import helm_python
import pytest

from tests.chart.rendering import CASES, CHART, case, render

GOLDEN = Path(__file__).parent / "golden"


@pytest.mark.parametrize("name", CASES)
def test_the_chart_renders_what_was_reviewed(name: str) -> None:
    rendered = "".join(f"# Source: {path}\n{text.strip()}\n\n" for path, text in render(case(name)).items())
    golden = GOLDEN / f"{name}.txt"
    if os.environ.get("UPDATE_GOLDEN"):
        golden.write_text(rendered)
    assert rendered == golden.read_text()


@pytest.mark.parametrize("name", CASES)
def test_helm_lint_finds_nothing(name: str) -> None:
    report = helm_python.lint(CHART, case(name), strict=True, kube_version="v1.31.0")
    assert report["messages"] == []
    assert report["errors"] == []
    assert report["total_charts_linted"] == 1


def test_the_chart_packages_under_its_version(tmp_path: Path) -> None:
    archive = helm_python.package(CHART, destination=tmp_path)
    assert Path(archive).name == "tributary-0.1.0.tgz"
