"""Imports through the real door: safe to repeat, the newest counts, contradictions are told, what was known stays."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from hashlib import sha256
from pathlib import Path
from typing import Any

import grpc
import pytest
from click.testing import CliRunner

from tests.support.door import Door, running_door
from tests.support.stores import Stores, create_test_epoch, run_apart
from tributary.common.v1.calendar_date_pb2 import CalendarDate
from tributary.event.v1.verdict_pb2 import (
    REASON_CODE_PERSONAL_DATA_REDACTED,
    REASON_CODE_PLACEHOLDER_IGNORED,
    REASON_CODE_STATEMENT_DIFFERS,
)
from tributary.ingestion.v1.deal_pb2 import Deal
from tributary.ingestion.v1.exchange_rate_pb2 import ExchangeRate
from tributary.ingestion.v1.import_result_pb2 import ImportOutcome
from tributary.ingestion.v1.ingestion_service_pb2 import (
    ImportDealsRequest,
    ImportExchangeRatesRequest,
    ImportSpendRequest,
)
from tributary.ingestion.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from tributary.ingestion.v1.spend_pb2 import SpendRow, SpendSlice
from tributary_cli.command_line import cli
from tributary_domain.deal_creators import OWN_CREATOR
from tributary_domain.identifiers import Identification
from tributary_domain.ids import person_id
from tributary_domain.redacted_ids import redaction_tokens
from tributary_domain.severed_orders import deal_key
from tributary_storage.clickhouse import import_rows
from tributary_storage.clickhouse.client import connect
from tributary_storage.clickhouse.names import micros

NOVEMBER = 1_793_491_200
"""2026-11-01."""
PEPPER = "a pepper of the tests"
NOBODY = "robot@shop.example"
"""An address that the workspace says stands for nobody."""
SPENT = "google,last-day,Europe/Berlin,EUR,c-1,1,2026-11-02"
OPEN = "hubspot,last-day,Open,open,7,2026-11-02"
STATED = "ecb,CHF,EUR,1.07,2026-11-02"
"""Lines of files, without their day."""
accounts = (f"account-{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def door(stores: Stores, clickhouse_url: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Door]:
    redis_url = stores.empty_redis_url()
    run_apart(create_test_epoch(redis_url))
    shop = {"pepper": {"value": PEPPER}, "identity": {"blocked_identifiers": [NOBODY]}}
    declared: dict[str, Any] = {"shop": shop, "other": {}}
    with running_door(tmp_path_factory.mktemp("imports"), redis_url, clickhouse_url, declared) as door:
        yield door


def day(number: int, month: int = 11) -> CalendarDate:
    return CalendarDate(year=2026, month=month, day=number)


def a_slice(
    account: str, reported_at: int, *rows: SpendRow, start: int = 1, end: int = 3, month: int = 11
) -> SpendSlice:
    spend = SpendSlice(
        destination="google",
        account_id=account,
        start_date=day(start, month),
        end_date=day(end),
        level=2,
        account_time_zone="Europe/Berlin",
        currency_code="EUR",
        rows=rows,
    )
    spend.reported_at_time.FromSeconds(NOVEMBER + reported_at)
    return spend


def a_row(number: int, cost: int, campaign: str = "c-1", **more: Any) -> SpendRow:
    return SpendRow(date=day(number), campaign_id=campaign, kind=1, cost_micros=cost, **more)


def call(door: Door, method: str, request: Any, workspace: str = "shop") -> list[str]:
    metadata = [("authorization", f"Bearer {door.keys[workspace]}")]
    answer = getattr(IngestionServiceStub(door.channel), method)(request, timeout=60, metadata=metadata)
    return [ImportOutcome.Name(result.outcome).removeprefix("IMPORT_OUTCOME_") for result in answer.results]


def spend(door: Door, *slices: SpendSlice, **more: Any) -> list[str]:
    return call(door, "ImportSpend", ImportSpendRequest(slices=slices, **more))


def costs(door: Door, stores: Stores, account: str) -> dict[tuple[str, str], int]:
    """Returns what counts now: the lines of each day's newest slice."""
    shop = door.ids["shop"]
    rows = stores.clickhouse.execute(
        "SELECT toString(date), campaign_id, sum(cost_micros) FROM (SELECT * FROM spend FINAL) AS lines"  # noqa: S608
        " INNER JOIN (SELECT workspace, date, destination, account_id, content_digest, slice_version"
        " FROM spend_slices FINAL ORDER BY slice_version DESC"
        " LIMIT 1 BY workspace, date, destination, account_id) AS newest"
        " USING (workspace, date, destination, account_id, slice_version, content_digest)"
        f" WHERE workspace = '{shop}' AND account_id = '{account}' GROUP BY date, campaign_id FORMAT TSV"
    )
    return {(date[-2:], campaign): int(cost) for date, campaign, cost in (row.split("\t") for row in rows.splitlines())}


def test_a_slice_replaces_what_was_known_of_its_days_whatever_its_campaigns_are_called(
    door: Door, stores: Stores
) -> None:
    account = next(accounts)
    assert spend(door, a_slice(account, 1, a_row(1, 10), a_row(2, 20, "old"), a_row(3, 30))) == ["STORED"]
    assert spend(door, a_slice(account, 2, a_row(2, 25, "new"), start=2, end=2)) == ["STORED"]
    assert costs(door, stores, account) == {("01", "c-1"): 10, ("02", "new"): 25, ("03", "c-1"): 30}
    assert spend(door, a_slice(account, 3, start=3, end=3)) == ["STORED"]
    assert costs(door, stores, account) == {("01", "c-1"): 10, ("02", "new"): 25}


def test_an_older_report_never_replaces_a_newer_one(door: Door, stores: Stores) -> None:
    account = next(accounts)
    assert spend(door, a_slice(account, 9, a_row(1, 90)), a_slice(account, 5, a_row(1, 50))) == ["STORED", "OUTDATED"]
    assert costs(door, stores, account) == {("01", "c-1"): 90}


def test_the_same_again_is_known_and_another_of_its_time_is_a_contradiction(door: Door, stores: Stores) -> None:
    account = next(accounts)
    first = a_slice(account, 1, a_row(1, 10), a_row(2, 20))
    other = a_slice(account, 1, a_row(1, 11))
    assert spend(door, first, first, other) == ["STORED", "DUPLICATE", "CONFLICT"]
    assert spend(door, first, other) == ["DUPLICATE", "CONFLICT"]
    metadata = [("authorization", f"Bearer {door.keys['shop']}")]
    answer = IngestionServiceStub(door.channel).ImportSpend(ImportSpendRequest(slices=[other]), metadata=metadata)
    assert [reason.code for reason in answer.results[0].reasons] == [REASON_CODE_STATEMENT_DIFFERS]
    assert costs(door, stores, account) == {("01", "c-1"): 10, ("02", "c-1"): 20}


def test_a_slice_is_the_same_in_whatever_order_its_rows_are_told(door: Door, stores: Stores) -> None:
    account = next(accounts)
    reported = [{"name": name, "count_micros": 1, "value_micros": 2, "basis": "click"} for name in ("lead", "order")]
    rows = [a_row(2, 20), a_row(1, 10, reported_conversions=reported), a_row(1, 10), a_row(1, 10, "c-0")]
    again = [a_row(1, 10, "c-0"), a_row(1, 10), rows[0], a_row(1, 10, reported_conversions=reported[::-1])]
    other = [*rows[:3], a_row(1, 10, "c-9")]
    first, same = a_slice(account, 1, *rows), a_slice(account, 1, *again)
    assert spend(door, first, same, a_slice(account, 1, *other)) == ["STORED", "DUPLICATE", "CONFLICT"]
    assert spend(door, same, first, a_slice(account, 1, *rows[1:])) == ["DUPLICATE", "DUPLICATE", "CONFLICT"]
    assert costs(door, stores, account) == {("01", "c-1"): 20, ("01", "c-0"): 10, ("02", "c-1"): 20}


async def test_a_slice_that_an_earlier_release_kept_by_the_order_of_its_rows_is_known_when_it_comes_again_in_it(
    door: Door, stores: Stores
) -> None:
    kept = a_slice(next(accounts), 1, a_row(2, 20), a_row(1, 10))
    async with connect(stores.clickhouse_url, name="earlier") as clickhouse:
        rows = list(zip(*import_rows.slice_rows(door.ids["shop"], kept), strict=True))
        await clickhouse.insert("spend_slices", import_rows.SLICE_COLUMNS, rows)
    assert spend(door, kept, a_slice(kept.account_id, 1, a_row(1, 11))) == ["DUPLICATE", "CONFLICT"]


async def test_what_an_earlier_release_kept_with_words_that_are_cut_now_is_known_when_it_comes_again(
    door: Door, stores: Stores
) -> None:
    kept = a_slice(next(accounts), 1, a_row(1, 10, campaign_name="Ann 203.0.113.7"))
    deal = a_deal("d-kept", 1, created_by="Tributary API 203.0.113.7")
    by_nobody = a_deal("d-phone", 1, created_by="Ann +49 171 2345678")
    async with connect(stores.clickhouse_url, name="earlier") as clickhouse:
        rows = list(zip(*import_rows.slice_rows(door.ids["shop"], kept), strict=True))
        await clickhouse.insert("spend_slices", import_rows.SLICE_COLUMNS, rows)
        states = [
            (
                door.ids["shop"],
                one.system,
                one.deal_id,
                micros(one.modify_time),
                *import_rows.deal_state(one, "", creator),
            )
            for one, creator in ((deal, deal.created_by), (by_nobody, ""))
        ]
        await clickhouse.insert("deals", import_rows.DEAL_COLUMNS, list(zip(*states, strict=True)))
    other = a_slice(kept.account_id, 1, a_row(1, 10, campaign_name="Bob"))
    assert spend(door, kept, other) == ["DUPLICATE", "CONFLICT"]
    other_deal = a_deal("d-kept", 1, created_by="Bob")
    assert deals(door, deal, by_nobody, other_deal) == ["DUPLICATE", "DUPLICATE", "CONFLICT"]


async def test_a_state_of_a_deal_is_known_again_whatever_was_declared_of_its_creator_when_it_came(
    door: Door, stores: Stores
) -> None:
    email_token, token = Identification(PEPPER.encode(), None).email_token, redaction_tokens(PEPPER.encode())
    kept = {
        "Sync (sync@shop.example)": OWN_CREATOR,
        "sync@shop.example": OWN_CREATOR,
        "tributary@shop.example": email_token("tributary@shop.example"),
        "Tributary (sync@shop.example)": token("Tributary (sync@shop.example)"),
        "API 203.0.113.7": OWN_CREATOR,
        NOBODY: email_token(NOBODY),
        NOBODY.upper(): "",
        "crm@shop.example": token("crm@shop.example"),
    }
    found = [a_deal(f"d-declared-{number}", 1, created_by=name) for number, name in enumerate([*kept, "Bob"])]
    shop = door.ids["shop"]
    states = [
        (shop, one.system, one.deal_id, micros(one.modify_time), *import_rows.deal_state(one, "", creator))
        for one, creator in zip(found, [*kept.values(), OWN_CREATOR], strict=True)
    ]
    async with connect(stores.clickhouse_url, name="earlier") as clickhouse:
        await clickhouse.insert("deals", import_rows.DEAL_COLUMNS, list(zip(*states, strict=True)))
    assert deals(door, *found) == ["DUPLICATE"] * len(kept) + ["CONFLICT"]
    for one in found:
        one.stage = "lost"
    assert deals(door, *found) == ["CONFLICT"] * len(found)


async def test_lines_of_an_import_that_failed_never_count_beside_those_that_came_in_their_place(
    door: Door, stores: Stores
) -> None:
    account = next(accounts)
    ghost = a_slice(account, 1, a_row(1, 10), a_row(2, 20), a_row(2, 30, "ghost"))
    failed = import_rows.spend_rows(door.ids["shop"], ghost)
    async with connect(stores.clickhouse_url, name="failed") as clickhouse:  # stopped before it said that they count
        await clickhouse.insert("spend", import_rows.SPEND_COLUMNS, list(zip(*failed, strict=True)))
    assert costs(door, stores, account) == {}
    assert spend(door, a_slice(account, 1, a_row(1, 11), a_row(2, 21))) == ["STORED"]
    assert costs(door, stores, account) == {("01", "c-1"): 11, ("02", "c-1"): 21}


def test_a_wrong_slice_is_refused_as_a_whole_and_its_neighbours_are_taken(door: Door, stores: Stores) -> None:
    account = next(accounts)
    wrong = a_slice(account, 2, a_row(1, 99), a_row(9, 1))
    assert spend(door, wrong, a_slice(account, 1, a_row(1, 10))) == ["REJECTED", "STORED"]
    assert costs(door, stores, account) == {("01", "c-1"): 10}


def test_validate_only_stores_nothing(door: Door, stores: Stores) -> None:
    account = next(accounts)
    assert spend(door, a_slice(account, 1, a_row(1, 10)), validate_only=True) == ["VALID"]
    assert costs(door, stores, account) == {}


def test_a_slice_over_months_is_one(door: Door, stores: Stores) -> None:
    account = next(accounts)
    assert spend(door, a_slice(account, 1, a_row(1, 10), start=1, end=3, month=8)) == ["STORED"]
    assert spend(door, a_slice(account, 1, a_row(1, 10), start=1, end=3, month=8)) == ["DUPLICATE"]


def test_a_word_of_spend_that_is_somebodys_is_cut_and_told_and_its_cost_counts(door: Door, stores: Stores) -> None:
    account = next(accounts)
    slices = [a_slice(account, 1, a_row(1, 10, campaign_name="203.0.113.7"), a_row(2, 20, campaign_name="Sale"))]
    metadata = [("authorization", f"Bearer {door.keys['shop']}")]
    for validate_only, outcome in ((True, "VALID"), (False, "STORED"), (False, "DUPLICATE")):
        request = ImportSpendRequest(slices=slices, validate_only=validate_only)
        (told,) = IngestionServiceStub(door.channel).ImportSpend(request, timeout=60, metadata=metadata).results
        assert ImportOutcome.Name(told.outcome) == f"IMPORT_OUTCOME_{outcome}"
        found = [(reason.code, reason.field) for reason in told.reasons]
        assert found == [(REASON_CODE_PERSONAL_DATA_REDACTED, "rows[0].campaign_name")]
    assert costs(door, stores, account) == {("01", "c-1"): 10, ("02", "c-1"): 20}
    names = f"SELECT campaign_name FROM spend WHERE account_id = '{account}' ORDER BY date FORMAT TSV"  # noqa: S608
    assert stores.clickhouse.execute(names) == "\nSale\n"


def test_workspaces_do_not_see_each_others(door: Door) -> None:
    account = next(accounts)
    request = ImportSpendRequest(slices=[a_slice(account, 1, a_row(1, 10))])
    assert call(door, "ImportSpend", request) == call(door, "ImportSpend", request, "other") == ["STORED"]


def a_deal(deal_id: str, modified: int, **more: Any) -> Deal:
    deal = Deal(**{"system": "hubspot", "deal_id": deal_id, "stage": "won", "status": 2, "created_by": "7", **more})
    deal.modify_time.FromSeconds(NOVEMBER + modified)
    return deal


def deals(door: Door, *found: Deal) -> list[str]:
    return call(door, "ImportDeals", ImportDealsRequest(deals=found))


def test_states_of_deals_stay_and_the_newest_counts(door: Door) -> None:
    assert deals(door, a_deal("d-1", 5), a_deal("d-1", 3, stage="open", status=1)) == ["STORED", "OUTDATED"]
    full = {"amount": {"currency_code": "EUR", "amount_micros": 5}, "close_date": day(4), "order_id": "o-1"}
    assert deals(door, a_deal("d-1", 7, **full)) == ["STORED"]
    assert deals(door, a_deal("d-1", 7, **full), a_deal("d-1", 3, stage="open", status=1)) == ["DUPLICATE"] * 2
    assert deals(door, a_deal("d-1", 7, stage="lost", status=3)) == ["CONFLICT"]


def test_a_deal_names_its_order_as_conversions_do(door: Door, stores: Stores) -> None:
    plain = {"order_id": "1001", "lead_id": "L-1", "conversion_name": "purchase"}
    assert deals(door, a_deal("d-named", 1, **plain)) == ["STORED"]
    metadata = [("authorization", f"Bearer {door.keys['shop']}")]
    odd = a_deal("d-named", 1, order_id="1001\n", lead_id=" L-1", store="undefined", conversion_name="purchase\t")
    for validate_only, outcome in ((True, "VALID"), (False, "DUPLICATE")):
        request = ImportDealsRequest(deals=[odd, Deal()], validate_only=validate_only)
        told, refused = IngestionServiceStub(door.channel).ImportDeals(request, timeout=60, metadata=metadata).results
        assert ImportOutcome.Name(told.outcome) == f"IMPORT_OUTCOME_{outcome}"
        assert [(reason.code, reason.field) for reason in told.reasons] == [(REASON_CODE_PLACEHOLDER_IGNORED, "store")]
        assert ImportOutcome.Name(refused.outcome) == "IMPORT_OUTCOME_REJECTED"
    assert deals(door, a_deal("d-unnamed", 1, order_id="null", store="0")) == ["STORED"]
    row = stores.clickhouse.execute("SELECT order_id, store FROM deals WHERE deal_id = 'd-unnamed' FORMAT TSV")
    assert row == "\t0\n"


def test_who_a_deal_is_about_and_who_made_it_are_kept_as_tokens(door: Door, stores: Stores) -> None:
    email_sha256 = "973dfe463ec85785f5f95af5ba3906eedb2d931c24e69824a89ea65dba4e813b"
    assert deals(door, a_deal("d-2", 1, contact_email_sha256=email_sha256, created_by="test@example.com")) == ["STORED"]
    row = stores.clickhouse.execute("SELECT contact_token, created_by FROM deals WHERE deal_id = 'd-2' FORMAT TSV")
    assert "example" not in row
    assert email_sha256 not in row
    assert deals(door, a_deal("d-3", 1, created_by="ann@example.com")) == ["STORED"]
    (token,) = stores.clickhouse.execute("SELECT created_by FROM deals WHERE deal_id = 'd-3' FORMAT TSV").split()
    assert token.startswith("email:")
    assert deals(door, a_deal("d-7", 1, created_by="API 203.0.113.7")) == ["STORED"]
    (token,) = stores.clickhouse.execute("SELECT created_by FROM deals WHERE deal_id = 'd-7' FORMAT TSV").split()
    assert token.startswith("x1:")
    ours = a_deal("d-8", 1, created_by="Tributary (api@shop.example)")
    assert deals(door, ours, ours) == ["STORED", "DUPLICATE"]
    row = stores.clickhouse.execute("SELECT created_by FROM deals WHERE deal_id = 'd-8' FORMAT TSV")
    assert row == f"{OWN_CREATOR}\n"


def a_rate(number: int, picos: int, published: int, source: str = "ecb") -> ExchangeRate:
    rate = ExchangeRate(
        date=day(number), base_currency_code="USD", quote_currency_code="EUR", rate_picos=picos, source=source
    )
    rate.publish_time.FromSeconds(NOVEMBER + published)
    return rate


def rates(door: Door, *found: ExchangeRate) -> list[str]:
    return call(door, "ImportExchangeRates", ImportExchangeRatesRequest(rates=found))


def test_no_state_of_a_deal_comes_back_whose_person_was_erased(door: Door, stores: Stores) -> None:
    """Neither of the deal that was stripped, nor of another that the CRM only sends now."""
    email_sha256 = sha256(b"erased@example.com").hexdigest()
    assert deals(door, a_deal("d-4", 1, contact_email_sha256=email_sha256, order_id="o-erased")) == ["STORED"]
    token = stores.clickhouse.execute("SELECT contact_token FROM deals WHERE deal_id = 'd-4' FORMAT TSV").strip()
    stores.clickhouse.execute("ALTER TABLE deals UPDATE erased = 1 WHERE deal_id = 'd-4' SETTINGS mutations_sync = 2")
    columns = "workspace, erasure_id, version, until_time, mode, state, person_keys"
    shop = door.ids["shop"]
    row = f"'{shop}', 'er', 1, {NOVEMBER + 5}, 'sever', 'finished', ['{person_id(shop, token)}']"
    stores.clickhouse.execute(f"INSERT INTO erasures ({columns}) VALUES ({row})")  # noqa: S608 - of the test
    same, later, before, after = (
        a_deal("d-4", 1, contact_email_sha256=email_sha256, order_id="o-erased"),
        a_deal("d-4", 9, contact_email_sha256=email_sha256, order_id="o-erased", stage="paid"),
        a_deal("d-5", 5, contact_email_sha256=email_sha256),
        a_deal("d-6", 6, contact_email_sha256=email_sha256),
    )
    assert deals(door, same, later, before, after) == ["DUPLICATE"] * 3 + ["STORED"]
    kept = stores.clickhouse.execute("SELECT deal_id FROM deals WHERE deal_id IN ('d-4', 'd-5', 'd-6') FORMAT TSV")
    assert sorted(kept.split()) == ["d-4", "d-6"]


def test_no_deal_comes_in_that_names_an_order_or_a_lead_of_somebody_erased(door: Door, stores: Stores) -> None:
    """By the digests that are kept with the erasure; a number that a conversion has by now tells nothing."""
    first, second = deal_key(PEPPER.encode())
    digest = "lower(hex(sipHash128Keyed((toUInt64({}), toUInt64({})), concat('{}', '\\0', '{}', '\\0', '{}'))))"
    numbers = [("order", "", "7001"), ("order", "de", "7001"), ("lead", "", "l-7"), ("order", "", "7002")]
    digests = ", ".join(digest.format(first, second, *one) for one in numbers)
    columns = "workspace, erasure_id, version, mode, state, deal_numbers"
    shop = door.ids["shop"]
    row = f"'{shop}', 'n', 1, 'sever', 'finished', [{digests}]"
    stores.clickhouse.execute(f"INSERT INTO erasures ({columns}) SELECT {row}")
    columns, row = "workspace, conversion_id, conversion_time, order_id", f"'{shop}', 'c1:again', {NOVEMBER}, '7002'"
    stores.clickhouse.execute(f"INSERT INTO conversions ({columns}) VALUES ({row})")  # noqa: S608 - of the test
    hers = (
        a_deal("n-1", 1, order_id="7001"),
        a_deal("n-2", 1, order_id="7001", store="de"),
        a_deal("n-3", 1, order_id="", lead_id="l-7"),
    )
    others = (
        a_deal("n-4", 1, order_id="7001", store="fr"),
        a_deal("n-5", 1, order_id="7002"),
        a_deal("n-6", 1, order_id="", lead_id="l-8"),
        a_deal("n-7", 1, order_id="7001"),
        a_deal("n-7", 2, order_id="7001", store="fr"),
    )
    assert deals(door, *hers, *others) == ["DUPLICATE"] * 3 + ["STORED"] * 5
    kept = stores.clickhouse.execute("SELECT DISTINCT deal_id FROM deals WHERE startsWith(deal_id, 'n-') FORMAT TSV")
    assert sorted(kept.split()) == ["n-4", "n-5", "n-6", "n-7"]


def test_a_rate_is_corrected_by_a_later_statement(door: Door) -> None:
    assert rates(door, a_rate(1, 900, 1), a_rate(1, 910, 2), a_rate(2, 900, 1)) == ["STORED"] * 3
    assert rates(door, a_rate(1, 900, 1), a_rate(1, 905, 1), a_rate(1, 899, 0)) == ["DUPLICATE", "CONFLICT", "OUTDATED"]


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        pytest.param("ImportSpend", ImportSpendRequest(), id="no slice"),
        pytest.param("ImportSpend", ImportSpendRequest(slices=[SpendSlice()] * 101), id="101 slices"),
        pytest.param(
            "ImportSpend", ImportSpendRequest(slices=[SpendSlice(rows=[SpendRow()] * 5001)] * 2), id="10002 rows"
        ),
        pytest.param("ImportDeals", ImportDealsRequest(), id="no deal"),
        pytest.param("ImportDeals", ImportDealsRequest(deals=[Deal()] * 1001), id="1001 deals"),
        pytest.param("ImportExchangeRates", ImportExchangeRatesRequest(), id="no rate"),
    ],
)
def test_too_few_and_too_many_are_refused(door: Door, method: str, request_: Any) -> None:
    with pytest.raises(grpc.RpcError) as refused:
        call(door, method, request_)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


def test_without_a_key_nothing_is_imported(door: Door) -> None:
    stub = IngestionServiceStub(door.channel)
    for method, request in (("ImportSpend", ImportSpendRequest()), ("ImportDeals", ImportDealsRequest())):
        with pytest.raises(grpc.RpcError) as refused:
            getattr(stub, method)(request, timeout=60)
        assert refused.value.code() is grpc.StatusCode.UNAUTHENTICATED


def run(door: Door, kind: str, file: Path, *arguments: str) -> tuple[int, dict[str, Any]]:
    """Runs `tributary import`; returns its exit status and what it says."""
    command = ["import", kind, str(file), "--json", "--target", door.ingestion.address, "--api-key", door.keys["shop"]]
    result = CliRunner().invoke(cli, [*command, *arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    return result.exit_code, json.loads(result.stdout)


def test_a_file_of_spend_is_imported_and_known_when_it_comes_again(door: Door, stores: Stores, tmp_path: Path) -> None:
    account, file = next(accounts), tmp_path / "spend.csv"
    file.write_text(
        "\ufeffDate,campaign_id,cost,clicks,kind\n2026-11-01,c-1,12.34,5,\n\n2026-11-03,c-2,0.000001,,media\n"
        '2026-11-03,"c,3",-2,,credit\n'
    )
    about = ["--destination", "google", "--account", account, "--time-zone", "Europe/Berlin", "--currency", "EUR"]
    status, said = run(door, "spend", file, *about)
    assert (status, said["lines"], said["outcomes"]["stored"]) == (0, 3, 1)
    assert costs(door, stores, account) == {("01", "c-1"): 12_340_000, ("03", "c-2"): 1, ("03", "c,3"): -2_000_000}
    status, said = run(door, "spend", file, *about)
    assert (status, said["outcomes"]["duplicate"]) == (0, 1)
    cleared = tmp_path / "later.csv"
    cleared.write_text("date,campaign_id,cost\n2026-11-02,c-1,1\n")
    assert run(door, "spend", cleared, *about, "--start", "2026-11-01", "--end", "2026-11-03")[0] == 0
    assert costs(door, stores, account) == {("02", "c-1"): 1_000_000}


def test_each_line_that_is_wrong_is_told_and_keeps_only_its_own_slice_back(
    door: Door, stores: Stores, tmp_path: Path
) -> None:
    good, bad, refused = next(accounts), next(accounts), next(accounts)
    file = tmp_path / "spend.csv"
    file.write_text(
        "destination,account_id,account_time_zone,currency,date,campaign_id,cost\n"
        f"google,{good},Europe/Berlin,EUR,2026-11-01,c-1,1\n"
        f"google,{bad},Europe/Berlin,EUR,2026-11-01,c-1,1\n"
        f'google,{bad},Europe/Berlin,EUR,2026-11-02,c-1,"1,5"\n'
        f"google,{refused},Europe/Berlin,EUR,2026-11-01,c-1,1\n"
        f"google,{refused},Europe/Berlin,EUR,2026-11-02,,1\n"
    )
    status, said = run(door, "spend", file)
    assert status == 1
    assert said["outcomes"]["stored"] == said["outcomes"]["rejected"] == 1
    assert (said["read"], said["lines"]) == (5, 3), "two lines stayed here"
    assert [(problem["line"], problem["column"]) for problem in said["problems"]] == [
        (4, "cost"),
        (0, ""),
        (6, "campaign_id"),
    ]
    found = [costs(door, stores, account) for account in (good, bad, refused)]
    assert found == [{("01", "c-1"): 1_000_000}, {}, {}]


def test_a_file_of_deals_hashes_addresses_before_they_leave(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "deals.csv"
    file.write_text(
        "deal_id,stage,status,created_by,modify_time,amount,currency,contact_email,close_date\n"
        "f-1,Closed won,won,7,2026-11-02T10:00:00+01:00,1200.50,EUR, Ann@Example.com,2026-11-02\n"
        "f-2,Open,open,7,2026-11-02,,,,\n"
        "f-3,Open,maybe,7,2026-11-02,,,,\n"
    )
    status, said = run(door, "deals", file, "--system", "hubspot")
    assert (status, said["outcomes"]["stored"]) == (1, 2)
    assert [(problem["line"], problem["column"]) for problem in said["problems"]] == [(4, "status")]


def test_of_a_deal_that_is_taken_it_is_said_what_was_not(door: Door, tmp_path: Path) -> None:
    file = tmp_path / "deals.csv"
    file.write_text(
        "system,deal_id,stage,status,created_by,modify_time,order_id,store\n"
        "hubspot,w-1,Won,won,7,2026-11-02,1001,\n"
        "hubspot,w-2,Won,won,7,2026-11-02,WEB-undefined,null\n"
    )
    status, said = run(door, "deals", file)
    assert (status, said["outcomes"]["stored"], said["problems"], said["warned"]) == (0, 2, [], 2)
    assert [(warning["line"], warning["column"]) for warning in said["warnings"]] == [(3, "order_id"), (3, "store")]
    command = ["import", "deals", str(file), "--target", door.ingestion.address, "--api-key", door.keys["shop"]]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 0
    told = " ".join(result.output.split())
    assert "line 3: store: taken, but: This is no id" in told
    assert "2 lines, 2 sent as 2 deals: 2 duplicate, 2 warnings" in told


def test_a_file_of_rates_is_read_exactly(door: Door, stores: Stores, tmp_path: Path) -> None:
    file = tmp_path / "rates.csv"
    file.write_text(
        "date,base_currency,quote_currency,rate\n2026-11-05,GBP,EUR,1.140512345678\n2026-11-05,JPY,EUR,0.00551234567891\n"
    )
    status, said = run(door, "rates", file, "--source", "ecb")
    assert (status, said["outcomes"]["stored"]) == (1, 1)
    assert [(problem["line"], problem["message"]) for problem in said["problems"]] == [(3, "has more than 12 decimals")]
    rows = stores.clickhouse.execute("SELECT rate_picos FROM exchange_rates WHERE base_currency = 'GBP' FORMAT TSV")
    assert rows.split() == ["1140512345678"]


@pytest.mark.parametrize(
    ("kind", "table", "column", "header", "cells"),
    [
        (
            "spend",
            "spend",
            "date",
            "destination,account_id,account_time_zone,currency,campaign_id,cost,reported_at",
            SPENT,
        ),
        ("deals", "deals", "close_date", "system,deal_id,stage,status,created_by,modify_time", OPEN),
        ("rates", "exchange_rates", "date", "source,base_currency,quote_currency,rate,publish_time", STATED),
    ],
    ids=["spend", "deals", "rates"],
)
def test_the_last_day_that_can_be_stored_is_and_a_later_one_is_told_with_its_line(
    door: Door, stores: Stores, tmp_path: Path, kind: str, table: str, column: str, header: str, cells: str
) -> None:
    file = tmp_path / "days.csv"
    for said_day, outcome in (("2299-12-31", "stored"), ("2299-12-31", "duplicate"), ("2300-01-01", "rejected")):
        file.write_text(f"{header},{column}\n{cells},{said_day}\n")
        status, said = run(door, kind, file)
        assert (status, said["outcomes"][outcome]) == (outcome == "rejected", 1)
    told = [problem["message"] for problem in said["problems"] if problem["line"] == 2]
    assert any("2000-01-01 to 2299-12-31" in message for message in told), said
    query = f"SELECT count() FROM {table} WHERE {column} = '2299-12-31' FORMAT TSV"  # noqa: S608
    assert stores.clickhouse.execute(query).split() == ["1"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        pytest.param("date,cost\n", "has no column account_id", id="a column is missing"),
        pytest.param("date,cost,spent\n", "has no column", id="and one is misspelt"),
        pytest.param("", "has no column", id="empty"),
    ],
)
def test_a_header_that_lacks_a_column_is_refused_before_anything_is_sent(
    door: Door, tmp_path: Path, text: str, said: str
) -> None:
    file = tmp_path / "spend.csv"
    file.write_text(text)
    command = ["import", "spend", str(file), "--target", door.ingestion.address, "--api-key", door.keys["shop"]]
    result = CliRunner().invoke(cli, command)
    assert result.exit_code == 1
    assert said in result.stderr
    assert "Columns are: " in result.stderr
