"""What the file may say of a warehouse, and where its files are."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from tributary_runtime.warehouse_destinations import WarehouseDestination


def a_warehouse(**own: Any) -> WarehouseDestination:
    return WarehouseDestination.model_validate({"id": "books", "type": "warehouse", "bucket": "shop-books", **own})


@pytest.mark.parametrize(
    ("own", "url", "uri"),
    [
        pytest.param(
            {}, "https://shop-books.s3.us-east-1.amazonaws.com/tributary", "s3://shop-books/tributary", id="aws"
        ),
        pytest.param(
            {"bucket": "shop.books", "region": "eu-west-1", "prefix": "a/b"},
            "https://s3.eu-west-1.amazonaws.com/shop.books/a/b",
            "s3://shop.books/a/b",
            id="a name with a dot, which no certificate covers",
        ),
        pytest.param(
            {"endpoint_url": "https://storage.googleapis.com"},
            "https://storage.googleapis.com/shop-books/tributary",
            "gs://shop-books/tributary",
            id="google",
        ),
        pytest.param(
            {"endpoint_url": "https://minio.example:9000/"},
            "https://minio.example:9000/shop-books/tributary",
            "s3://shop-books/tributary",
            id="another store",
        ),
    ],
)
def test_files_are_below_the_prefix_of_the_bucket(own: dict[str, Any], url: str, uri: str) -> None:
    assert (a_warehouse(**own).url, a_warehouse(**own).uri) == (url, uri)


@pytest.mark.parametrize(
    ("own", "problem"),
    [
        pytest.param({"access_key_id": {"value": "a"}}, "give both of access_key_id", id="half a credential"),
        pytest.param({"endpoint_url": "http://minio.example"}, "must begin with https://", id="not encrypted"),
        pytest.param({"endpoint_url": "https://minio.example/books"}, "must not have a path", id="path"),
        pytest.param({"conversions": {"purchase": {"name": "sale"}}}, "is told our names", id="name"),
        pytest.param(
            {"value": "basis", "pixel": "none"}, "pixel, value: a warehouse has the books as they are", id="value"
        ),
        pytest.param({"prefix": "../x"}, "should match pattern", id="a prefix that climbs"),
        pytest.param({"bucket": "Shop/Books"}, "should match pattern", id="no bucket's name"),
        pytest.param({"tables": []}, "at least 1 item", id="nothing to write"),
        pytest.param({"tables": ["events"]}, "Input should be 'conversions'", id="unknown table"),
    ],
)
def test_a_wrong_warehouse_is_refused(own: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValidationError, match=problem):
        a_warehouse(**own)
