"""Every Redis key but those of the role `jobs` (`job_keys`): its pattern, type, life and owner.

Three roles, each with a URL of its own, so that workers can drain the log while the log's Redis is full. The part in
braces is the hash tag: all keys that one script touches carry the same one, on Redis Cluster as on one node.

| role  | key                                        | type   | life                       | owner       |
|-------|--------------------------------------------|--------|----------------------------|-------------|
| every | `trb:epoch`                                | hash   | for ever                   | migrate     |
| every | `trb:{e3}:epoch`                           | hash   | for ever                   | migrate     |
| every | `trb:passed:<role>`                        | string | for ever                   | its guards  |
| every | `trb:{n<number>}:passed:<role>`            | string | for ever; not of the log   | its guards  |
| every | `trb:replicated:<role>`                    | string | for ever                   | its writers |
| log   | `trb:begin:<run of Redis>`                 | string | 400 days                   | its guards  |
| log   | `trb:{l3}:log:live`, `trb:{l3}:log:bulk`   | stream | replay horizon             | dedup       |
| log   | `trb:{l3}:claims:<bucket>`                 | hash   | claims at least 36 days    | dedup       |
| log   | `trb:{l3}:orders:<bucket>`                 | hash   | claims at least 400 days   | dedup       |
| log   | `trb:{l3}:verdicts`                        | hash   | for ever                   | dedup       |
| log   | `trb:{l3}:rounds`                          | zset   | 20 minutes                 | dedup       |
| log   | `trb:{l3}:dead:<group>`                    | stream | 30 days                    | its group   |
| log   | `trb:{l3}:passed`                          | string | for ever                   | its guards  |
| log   | `trb:{backlog}:<slot>`                     | hash   | a day                      | dedup       |
| state | `trb:{r:<name>}:rate`                      | string | seconds                    | ingestion   |
| state | `trb:{v3}:velocity:<counted>`              | zset   | its window                 | ingestion   |
| state | `trb:human-check:<token>`                  | string | ten minutes                | ingestion   |
| state | `trb:peppers`                              | hash   | for ever                   | ingestion   |
| state | `trb:{p3}:journey:<person key>`            | hash   | see `people.Lives`         | attribution |
| state | `trb:{p3}:journey:<person key>:ties`       | hash   | see `people.Lives`         | attribution |
| state | `trb:{p3}:journey:<person key>:consent`    | hash   | for ever, until erased     | attribution |
| state | `trb:{p3}:journey:<person key>:traces`     | hash   | longest send window        | attribution |
| state | `trb:{p3}:journey:<person key>:firsts`     | hash   | of customers for ever      | attribution |
| state | `trb:{consent}:restored`                   | string | for ever                   | attribution |
| state | `trb:{erasures}:tombstones`                | list   | for ever                   | attribution |
| state | `trb:{erasures}:open`                      | hash   | until finished             | attribution |
| state | `trb:{erasures}:restored`                  | string | for ever                   | attribution |
| state | `trb:{erasures}:names`                     | hash   | until delivery has done it | attribution |
| state | `trb:{p3}:click:<workspace>|<number>`      | string | longest send window        | attribution |
| state | `trb:{p3}:data-key:<workspace>|<name>`     | string | life of match keys         | ingestion   |
| state | `trb:{p3}:data-key-tombstone:<ws>|<name>`  | string | for ever                   | attribution |
| state | `trb:{c3}:conversion:<ws>|<conversion id>` | hash   | lookback + order window    | attribution |
| state | `trb:{c3}:conversions`                     | stream | replay horizon             | attribution |
| state | `trb:{c3}:published`                       | string | for ever                   | attribution |
| state | `trb:{c3}:deferred`                        | zset   | until credited again       | attribution |
| state | `trb:{c3}:deferred:since`                  | zset   | until credited again       | attribution |
| state | `trb:{c3}:dead:<group>`                    | stream | 30 days                    | its group   |
| state | `trb:{p3}:descriptor:<ws>|<descriptor>`    | string | a conversion's, and a day  | attribution |
| state | `trb:{c3}:published:paths`                 | list   | until added up             | attribution |
| state | `trb:{c3}:published:paths:done`            | string | for ever                   | attribution |
| state | `trb:{c3}:paths:<workspace>`               | hash   | for ever                   | attribution |
| state | `trb:{p3}:paths:<workspace>`               | hash   | for ever                   | attribution |
| state | `trb:{c3}:paths:<workspace>:added:<page>`  | string | 30 days                    | attribution |
| state | `trb:{p3}:paths:<workspace>:added:<page>`  | string | 30 days                    | attribution |
| state | `trb:{p3}:path:<ws>|<person key>`          | string | a journey's                | attribution |
| state | `trb:{p3}:path-due`                        | zset   | until counted              | attribution |
| state | `trb:{models}:current`                     | hash   | for ever                   | attribution |
| state | `trb:{models}:lease`                       | string | an interval                | attribution |
| state | `trb:{rebuild}:<what>`                     | string | for ever; lease: a minute  | attribution |
| state | `trb:{reconciliation}:<ws>|<run>`          | string | a minute                   | attribution |

Fields of a conversion: `conversions`; of a journey: `journey_layout`; of ties: `tie_layout`; of consent: `consents`; of
traces: `trace_layout`; of firsts: `firsts`.
"""

from __future__ import annotations

from typing import Final, Literal

Lane = Literal["live", "bulk"]
"""Which queue of a shard; live is drained first."""

LANES: Final[tuple[Lane, ...]] = ("live", "bulk")

EPOCH: Final = "trb:epoch"
EPOCH_COPIES: Final = tuple(f"trb:{{e{number}}}:epoch" for number in range(16))
"""Of a cluster: so many that some lie on another node."""
PEPPERS: Final = "trb:peppers"


def replicated(role: str) -> str:
    """Returns what is written to see whether replicas follow."""
    return f"trb:replicated:{role}"


def begin(run: str) -> str:
    """Returns where the event log ended when a run of Redis began."""
    return f"trb:begin:{run}"


def passed(role: str) -> str:
    """Returns the run of Redis whose data were compared with what ClickHouse knows of them."""
    return f"trb:passed:{role}"


def part_passed(number: int, role: str) -> str:
    """Returns that a part of a cluster was compared, kept with it: it goes with a node that is emptied."""
    return f"trb:{{n{number}}}:passed:{role}"


def log_passed(shard: int) -> str:
    """Returns the same of one shard, kept with it: for who begins while other nodes do not answer.

    It goes with a node of a cluster that is emptied while it runs.
    """
    return f"trb:{{l{shard}}}:passed"


RECORD_GROUP: Final = "record"
ATTRIBUTE_GROUP: Final = "attribute"
DELIVER_GROUP: Final = "deliver"

EVENT_LOG_GROUPS: Final = (RECORD_GROUP, ATTRIBUTE_GROUP)
"""The groups that hold the event log back; an unknown group is ignored and alarmed."""

CONVERSION_LOG_GROUPS: Final = (DELIVER_GROUP,)
"""The groups that hold the conversion log back."""


def event_log(shard: int, lane: Lane) -> str:
    """Returns the stream of admitted events of one shard and lane."""
    return f"trb:{{l{shard}}}:log:{lane}"


def claims(shard: int, bucket: int) -> str:
    """Returns a bucket of event claims."""
    return f"trb:{{l{shard}}}:claims:{bucket:x}"


def orders(shard: int, bucket: int) -> str:
    """Returns a bucket of order and adjustment claims."""
    return f"trb:{{l{shard}}}:orders:{bucket:x}"


def verdicts(shard: int) -> str:
    """Returns the verdict counters of one shard: field `<workspace>|<VERDICT>`."""
    return f"trb:{{l{shard}}}:verdicts"


def rounds(shard: int) -> str:
    """Returns how often events were registered anew of late, and which of that is barred (`lua/admit.lua`)."""
    return f"trb:{{l{shard}}}:rounds"


def event_dead_letters(shard: int, group: str) -> str:
    """Returns the stream of events that `group` could not handle."""
    return f"trb:{{l{shard}}}:dead:{group}"


def backlog_slot(slot: int) -> str:
    """Returns what was appended in ten seconds: field `<workspace>|<lane>` -> bytes."""
    return f"trb:{{backlog}}:{slot}"


def rate(name: str) -> str:
    """Returns the theoretical arrival time of what a rate counts next."""
    return f"trb:{{r:{name}}}:rate"


def velocity(shard: int, counted: str) -> str:
    """Returns the conversions of one sender, each by what counts once, in order of their event time in milliseconds.

    Args:
        shard: Of `counted`.
        counted: A keyed digest of workspace, conversion name and sender (`velocity.Count`); nothing in the clear.
    """
    return f"trb:{{v{shard}}}:velocity:{counted}"


def human_check(name: str) -> str:
    """Returns what came of a human-check token, named by its digest."""
    return f"trb:human-check:{name}"


def human_check_carriers(name: str) -> str:
    """Returns which orders, and conversions without one, have carried a human-check token, named by its digest."""
    return f"trb:human-check:{name}:carriers"


def journey(shard: int, person_key: str) -> str:
    """Returns the events of one identity token: those that name none that tells more. A person's journey is of several.

    A person key is the person id of an identity token (`ids.person_id`), so tokens need no keys of their own.
    """
    return f"trb:{{p{shard}}}:journey:{person_key}"


def ties(shard: int, person_key: str) -> str:
    """Returns whom an identity token was seen with, in the journey's slot; scripts know it by the journey's name."""
    return f"{journey(shard, person_key)}:ties"


def consent(shard: int, person_key: str) -> str:
    """Returns the consent ledger of an identity token, in the journey's slot; scripts know it by the journey's name.

    Written by attribution; read by delivery last before it sends.
    """
    return f"{journey(shard, person_key)}:consent"


def traces(shard: int, person_key: str) -> str:
    """Returns the traces of an identity token, in the journey's slot; scripts know them by the journey's name."""
    return f"{journey(shard, person_key)}:traces"


def firsts(shard: int, person_key: str) -> str:
    """Returns how an identity token began, in the journey's slot; scripts know it by the journey's name."""
    return f"{journey(shard, person_key)}:firsts"


def tombstones() -> str:
    """Returns the identifiers that were erased, by their person keys, and until when what happened is gone."""
    return "trb:{erasures}:tombstones"


def open_erasures() -> str:
    """Returns the erasures that are not finished: field id -> all that is needed to go on."""
    return "trb:{erasures}:open"


def erasures_restored() -> str:
    """Returns the last loss of the state store after which the tombstones were read back from ClickHouse."""
    return "trb:{erasures}:restored"


def erased_names() -> str:
    """Returns what delivery is asked to forget of people who are erased (`erased_names.AskedToForget`)."""
    return "trb:{erasures}:names"


def consent_restored() -> str:
    """Returns the last loss of the state store after which the consent ledger was read back from ClickHouse."""
    return "trb:{consent}:restored"


def click(shard: int, number: str) -> str:
    """Returns the text of a click id, by its number in journeys (workspace included)."""
    return f"trb:{{p{shard}}}:click:{number}"


def data_key(shard: int, name: str) -> str:
    """Returns the wrapped key that seals the match keys of one identity token (workspace included in the name)."""
    return f"trb:{{p{shard}}}:data-key:{name}"


def data_key_tombstone(shard: int, name: str) -> str:
    """Returns until when the person of a destroyed data key was erased (workspace included in the name)."""
    return f"trb:{{p{shard}}}:data-key-tombstone:{name}"


def conversion(shard: int, conversion_id: str) -> str:
    """Returns the parts, published state and unpublished revisions of one conversion (workspace included in the id)."""
    return f"trb:{{c{shard}}}:conversion:{conversion_id}"


def conversion_log(shard: int) -> str:
    """Returns the stream of conversion revisions of one shard."""
    return f"trb:{{c{shard}}}:conversions"


def published(shard: int) -> str:
    """Returns the highest revision ever published of one shard: what tells an older copy of it."""
    return f"trb:{{c{shard}}}:published"


def deferred(shard: int) -> str:
    """Returns the conversions that wait to be credited again, by when they are handed out."""
    return f"trb:{{c{shard}}}:deferred"


def deferred_since(shard: int) -> str:
    """Returns the same conversions by when the oldest event was accepted that they wait to show."""
    return f"{deferred(shard)}:since"


def conversion_dead_letters(shard: int, group: str) -> str:
    """Returns the stream of revisions that `group` could not handle."""
    return f"trb:{{c{shard}}}:dead:{group}"


def descriptor(shard: int, number: str) -> str:
    """Returns the text of where touches came from, by its number in journeys (workspace included)."""
    return f"trb:{{p{shard}}}:descriptor:{number}"


def path_changes(shard: int) -> str:
    """Returns how published conversions changed the counts of paths, until that is added up."""
    return f"{published(shard)}:paths"


def path_changes_done(shard: int) -> str:
    """Returns how many of these changes were ever added up."""
    return f"{path_changes(shard)}:done"


def converted_paths(shard: int, workspace: str) -> str:
    """Returns the counts of paths that converted, of the conversions of one shard: what data_driven learns from."""
    return f"trb:{{c{shard}}}:paths:{workspace}"


def person_paths(shard: int, workspace: str) -> str:
    """Returns the counts of paths that did not convert, of the people of one shard."""
    return f"trb:{{p{shard}}}:paths:{workspace}"


def added_converted(shard: int, workspace: str, page: str) -> str:
    """Returns whether a page of paths was added to `converted_paths` again after their loss."""
    return f"{converted_paths(shard, workspace)}:added:{page}"


def added_people(shard: int, workspace: str, page: str) -> str:
    """Returns whether a page of paths was added to `person_paths` again after their loss."""
    return f"{person_paths(shard, workspace)}:added:{page}"


def person_path(shard: int, person: str) -> str:
    """Returns as what path a person is counted in `person_paths` (workspace included in the name)."""
    return f"trb:{{p{shard}}}:path:{person}"


def path_due(shard: int) -> str:
    """Returns the people whose path may have changed, by when they are looked at."""
    return f"trb:{{p{shard}}}:path-due"


def models() -> str:
    """Returns the models of data_driven in use: field `<workspace>|<conversion name>` -> `Model`."""
    return "trb:{models}:current"


def models_lease() -> str:
    """Returns what the process holds that evaluates the paths for all."""
    return "trb:{models}:lease"


def rebuild(what: Literal["progress", "lease"]) -> str:
    """Returns how far this store is made whole again after its last confirmed loss, or what who does so holds."""
    return f"trb:{{rebuild}}:{what}"


def reconciliation_lease(workspace: str, reconciliation_id: str) -> str:
    """Returns what the process holds that is at a run of reconciliation."""
    return f"trb:{{reconciliation}}:{workspace}|{reconciliation_id}"
