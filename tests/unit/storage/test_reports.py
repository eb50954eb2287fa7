"""A report is one statement, made of names of ours; what a caller says is a parameter."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from tributary_storage.clickhouse.report_query import NOT_POSTED, Basis, Dimension, Filter, Metric, ReportQuery
from tributary_storage.clickhouse.reports import report_statement

FOREIGN = "'; DROP TABLE events --"


def a_query(**said: Any) -> ReportQuery:
    return ReportQuery(**{"workspace": "shop", "metrics": [Metric.CONVERSIONS], "model": "linear", **said})


def test_what_a_caller_says_is_never_part_of_a_statement() -> None:
    query = a_query(
        workspace=FOREIGN,
        dimensions=[Dimension.CHANNEL, Dimension.DAY],
        time_zone=FOREIGN,
        filters=[Filter(Dimension.CAMPAIGN, (FOREIGN,))],
        not_primary_names=(FOREIGN,),
        after=(FOREIGN, FOREIGN),
    )
    statement = report_statement(query)
    assert FOREIGN not in statement.text
    assert statement.parameters["workspace"] == FOREIGN


def test_every_statement_is_of_one_workspace() -> None:
    for basis, dimension, as_of in itertools.product(Basis, Dimension, (None, 1)):
        if basis is Basis.POSTING and dimension is Dimension.HOUR:
            continue
        text = report_statement(a_query(basis=basis, dimensions=[dimension], as_of_micros=as_of)).text
        tables = text.count("FROM conversion")
        assert text.count("workspace = %(workspace)s") == tables > 0


def test_every_read_is_exact_under_revisions() -> None:
    for basis, as_of in itertools.product(Basis, (None, 1)):
        lines = report_statement(a_query(basis=basis, as_of_micros=as_of)).text.splitlines()
        read = [line.strip() for line in lines if "FROM conversion" in line]
        assert all(line.endswith("FINAL") or line == "FROM conversion_revisions" for line in read)


def test_only_a_later_page_has_a_place_to_begin() -> None:
    dimensions = [Dimension.CHANNEL, Dimension.SOURCE]
    assert "HAVING" not in report_statement(a_query(dimensions=dimensions)).text
    later = report_statement(a_query(dimensions=dimensions, after=("Email", "news")))
    assert "tuple(channel, source) > tuple(%(after_0)s, %(after_1)s)" in later.text


@pytest.mark.parametrize(
    "said",
    [
        pytest.param({"metrics": []}, id="no metric"),
        pytest.param({"model": "best_touch"}, id="a model without columns"),
        pytest.param({"basis": Basis.POSTING, "dimensions": [Dimension.HOUR]}, id="hours of postings"),
        *(
            pytest.param({"basis": Basis.POSTING, "metrics": [metric]}, id=f"{metric.value} of postings")
            for metric in sorted(NOT_POSTED)
        ),
        pytest.param({"dimensions": [Dimension.CHANNEL], "after": ()}, id="a place of another report"),
    ],
)
def test_a_query_that_makes_no_statement_is_a_bug(said: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        a_query(**said)
