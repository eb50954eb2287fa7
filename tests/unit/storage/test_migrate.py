"""Migrations are numbered without gaps, run as they stand, and become a cluster's by two comments."""

from __future__ import annotations

import re

import pytest

from tributary_storage.clickhouse.client import Address
from tributary_storage.clickhouse.migrate import Migration, for_cluster, read_migrations, read_views

STATEMENTS = [
    *(pytest.param(str(migration), migration.statement, id=str(migration)) for migration in read_migrations()),
    *(pytest.param(name, text, id=name) for name, text in read_views().items()),
]


def test_migrations_are_numbered_from_one_without_gaps() -> None:
    assert [migration.number for migration in read_migrations()] == list(range(1, len(read_migrations()) + 1))


COPIES = [one for one in STATEMENTS if "\nINSERT INTO" in one.values[1]]
"""Fill a table with what was there before it."""
MAKERS = [one for one in STATEMENTS if one not in COPIES]


@pytest.mark.parametrize(("name", "statement"), MAKERS)
def test_a_statement_says_what_it_makes(name: str, statement: str) -> None:
    assert statement.startswith("-- ")
    (made,) = re.findall(r"^(?:CREATE|ALTER).*? (?:TABLE|VIEW) (?:IF NOT EXISTS )?(\w+)", statement, re.MULTILINE)
    said = name.partition("_")[2] if name[0].isdigit() else name
    assert f"{said}_".startswith(f"{made}_"), "its name begins with the table's; what is added to it follows"


@pytest.mark.parametrize(("name", "statement"), MAKERS)
def test_on_a_cluster_everything_is_made_everywhere_and_tables_are_replicated(name: str, statement: str) -> None:
    clustered = for_cluster(statement, "main")
    assert clustered.count("ON CLUSTER 'main'") == 1
    assert "/*" not in clustered
    if "ENGINE = " in clustered:
        assert "ENGINE = Replicated" in clustered


@pytest.mark.parametrize(("name", "statement"), MAKERS)
def test_a_statement_can_be_repeated(name: str, statement: str) -> None:
    repeated = ("IF NOT EXISTS", "IF EXISTS", "CREATE OR REPLACE", "MODIFY QUERY", "MATERIALIZE INDEX")
    assert any(words in statement for words in repeated)
    assert statement.count("ADD COLUMN") == statement.count("ADD COLUMN IF NOT EXISTS")
    assert statement.count("DROP ") == statement.count("DROP CONSTRAINT IF EXISTS")


@pytest.mark.parametrize(("name", "statement"), COPIES)
def test_a_copy_can_be_repeated_because_its_table_replaces(name: str, statement: str) -> None:
    (table,) = re.findall(r"^INSERT INTO (\w+)$", statement, re.MULTILINE)
    assert re.fullmatch(rf"\d+_{table}(_\w+)?_before", name), "its name says what of the table it fills"
    maker = next(one.values[1] for one in MAKERS if str(one.values[0]).partition("_")[2] == table)
    assert "ReplacingMergeTree\n" in maker


@pytest.mark.parametrize(("name", "statement"), [one for one in STATEMENTS if "ENGINE" in one.values[1]])
def test_a_table_names_its_order_and_its_life(name: str, statement: str) -> None:
    header = "".join(line for line in statement.splitlines() if line.startswith("-- "))
    assert "One row per" in header
    assert "Order:" in header
    assert "ept" in header  # "Kept: ..." or "kept for ever"


def test_without_a_cluster_a_statement_stays_as_it_is() -> None:
    statement = read_migrations()[0].statement
    assert for_cluster(statement, "") == statement


def test_a_cluster_name_cannot_smuggle_in_a_statement() -> None:
    with pytest.raises(ValueError, match="cluster"):
        for_cluster("CREATE TABLE t /*ON CLUSTER*/", "main'; DROP TABLE events")


def test_a_changed_statement_has_another_checksum() -> None:
    assert Migration(1, "events", "SELECT 1").checksum != Migration(1, "events", "SELECT 2").checksum


def test_an_address_is_read_from_a_url() -> None:
    address = Address.parse("clickhouse://anna:p%40ss@db.example:9001/shop")
    assert (address.host, address.port, address.user, address.password) == ("db.example", 9001, "anna", "p@ss")
    assert (address.database, address.is_secure) == ("shop", False)


def test_an_address_has_the_usual_ports() -> None:
    assert Address.parse("clickhouse://db.example").port == 9000
    assert Address.parse("clickhouses://db.example").port == 9440


def test_a_password_is_not_printed() -> None:
    assert "secret" not in repr(Address.parse("clickhouse://anna:secret@db.example/shop"))


@pytest.mark.parametrize("url", ["http://db.example", "clickhouse://", "clickhouse://anna:secret@db.example:port/x"])
def test_what_is_no_url_is_refused_without_being_repeated(url: str) -> None:
    with pytest.raises(ValueError, match="ClickHouse") as refused:
        Address.parse(url)
    assert "secret" not in str(refused.value)
