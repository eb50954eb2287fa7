"""Stream = batch at size: realistic traffic through the whole running system, and a job that finds nothing in it.

Run it from a checkout: `python -m tests.load.agreement [--events 200000] [--rate 2000] [--json FILE]`; ends with 1 if
anything is not as it should be. Duplicates, conflicts, bots, late touches, refunds and people with two devices are in
the traffic (`tributary demo`'s). Afterwards four things are harmed (a journey, a row of `conversions`, a credit, a row
of `events`), and a second run must name each by its cause and repair it; a third finds nothing. The job is a process
of its own, whose memory is measured. 200 000 events take some three minutes of two processors.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import redis

from tests.load.reconcile import figure, machine
from tests.support.eventually import eventually
from tests.support.inbox import running_inbox
from tests.support.shop import MAIL, PAID, Shop, a_visit, an_order, open_shop
from tests.support.stack import running_stack
from tributary_cli.demo.script import make_script
from tributary_cli.demo.traffic import Sender, Tally
from tributary_cli.stack.stack import Stack
from tributary_domain.shards import shard_of_key
from tributary_runtime.clock import SystemClock
from tributary_storage.redis import keys

_SHARDS = 4
_SETTLE_SECONDS = 300
CAUSES = ("deleted_journey", "lost_row", "wrong_credit", "lost_event")


def job(stack: Stack, workspace: str, *arguments: str) -> tuple[dict[str, int], float]:
    """Runs the job on all days of the traffic; returns what it counted, and how long it took."""
    command = [sys.executable, "-m", "tributary_attribution.reconcile", "--workspace", workspace, "--days", "70"]
    before = time.monotonic()
    done = subprocess.run(
        [*command, "--grace-seconds=-60", *arguments],
        env=stack.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        check=False,
    )
    counts: dict[str, int] = json.loads(done.stdout)
    return {**counts, "status": done.returncode}, time.monotonic() - before


async def send(stack: Stack, api_key: str, events: int, rate: float) -> Tally:
    """Sends the traffic of a demo."""
    script, tally = make_script(1, events, SystemClock().now()), Tally()
    async with Sender(stack.addresses["ingestion"], api_key, tally, lambda _: None) as sender:
        await sender.send(script.first_act, rate)
        await sender.send(script.second_act, rate)
    return tally


def visit_and_buy(shop: Shop) -> None:
    """Lets those act who are harmed later: each comes twice and buys."""
    for number in range(len(CAUSES)):
        who = {"visitor_id": f"harmed-{number}"}
        first = a_visit(timedelta(hours=9), MAIL, event_id=f"first-{number}", **who)
        shop.accept(first, a_visit(timedelta(hours=5), PAID, **who), an_order(f"harmed-{number}", **who))


def harm(stack: Stack, shop: Shop) -> None:
    """Harms four conversions, each in another way, in the order of `CAUSES`."""
    own, now = "workspace = 'w'", " SETTINGS mutations_sync = 2"
    ids = [shop.order(f"harmed-{number}").newest.state.conversion_id for number in range(len(CAUSES))]
    person = shop.journey(identifiers={"visitor_id": "harmed-0"}).person_id
    state = redis.Redis(port=stack.installation.ports["redis"])
    assert state.delete(keys.journey(shard_of_key(person, _SHARDS), person)) == 1
    shop.accept(an_order("harmed-again", visitor_id="harmed-0", ago=timedelta(minutes=1)))
    settle(shop)
    for table in ("conversions", "conversion_revisions"):
        stack.clickhouse.execute(f"ALTER TABLE {table} DELETE WHERE {own} AND conversion_id = '{ids[1]}'" + now)
    stack.clickhouse.execute(
        "ALTER TABLE conversions UPDATE linear_credit_micros = [400000, 600000]"
        f" WHERE {own} AND conversion_id = '{ids[2]}'" + now
    )
    stack.clickhouse.execute(f"ALTER TABLE events DELETE WHERE {own} AND event_id = 'first-3'" + now)


def settle(shop: Shop) -> None:
    """Waits until nothing is on its way."""
    eventually(lambda: shop.wait_until_settled() is None, _SETTLE_SECONDS)


def run(options: argparse.Namespace) -> list[dict[str, Any]]:
    """Sends, recomputes, harms, repairs; returns the figures."""
    with (
        tempfile.TemporaryDirectory() as directory,
        running_inbox() as inbox,
        running_stack(Path(directory), {"w": {"own_domains": ["shop.example"]}}) as (stack, keyed),
        open_shop(stack.addresses, keyed["w"], inbox) as shop,
    ):
        tally = asyncio.run(send(stack, keyed["w"].api_key, options.events, options.rate))
        visit_and_buy(shop)
        settle(shop)
        undisturbed, seconds = job(stack, "w")
        harm(stack, shop)
        repaired, _ = job(stack, "w", "--repair")
        again, _ = job(stack, "w")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    named = sum(bool(repaired.get(f"cause_{cause}")) for cause in CAUSES[:3]) + (repaired["lost_events"] == 1)
    return [
        figure("events sent", tally.sent, ""),
        figure("sent and not received", tally.sent + 3 * len(CAUSES) - undisturbed["received"], "", 0),
        figure("conversions compared", undisturbed["conversions"], ""),
        figure("differences on an undisturbed stream", undisturbed["differences"], "", 0),
        figure("open errors of the same run", undisturbed["open_errors"], "", 0),
        figure("harms not named by their cause", len(CAUSES) - named, "", 0),
        figure("open errors after one run that repairs", repaired["open_errors"], "", 0),
        figure("differences of the run after it", again["differences"], "", 0),
        figure("wall of the job", seconds, "s"),
        figure("resident memory of any process, highest ever", peak, "MB"),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--events", type=int, default=200_000)
    parser.add_argument("--rate", type=float, default=2_000)
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    figures = run(asked)
    for one in figures:
        print(f"{one['name']:48} {one['value']:12.2f} {one['unit']}  {'' if one['ok'] is None else one['ok']}")
    if asked.json:
        asked.json.write_text(json.dumps({"machine": machine(), "figures": figures}, indent=2))
    sys.exit(any(one["ok"] is False for one in figures))
