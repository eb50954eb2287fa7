"""Every Redis key of the role `jobs`, which delivery owns: its pattern, type and life. Those of other roles: `keys`.

| key                                         | type   | life                       |
|---------------------------------------------|--------|----------------------------|
| `trb:{j:<workspace>:<destination>}:due`     | zset   | until done                 |
| `trb:{j:<workspace>:<destination>}:planned` | zset   | until done                 |
| `trb:{j:<workspace>:<destination>}:mending` | zset   | until all of it was due    |
| `trb:{j:<ws>:<dest>}:job:<conversion id>`   | hash   | until done                 |
| `trb:{j:<ws>:<dest>}:sent:<conversion id>`  | string | longest correction window  |
| `trb:{j:<ws>:<dest>}:object:<digest>`       | hash   | minutes                    |
| `trb:{j:<ws>:<dest>}:seconds:<digest>`      | hash   | longest correction window  |
| `trb:{j:<ws>:<dest>}:leads:<family id>`     | hash   | 400 days, until erased     |
| `trb:{j:<ws>:<dest>}:lead:<digest>`         | string | until it is converted      |
| `trb:{j:<workspace>:<destination>}:state`   | hash   | for ever                   |
| `trb:{j:<workspace>:<destination>}:dead`    | zset   | each: as the ledger's line |
| `trb:{j:<workspace>:<destination>}:quota`   | string | a minute                   |
| `trb:{j:<workspace>:<destination>}:reports` | zset   | until reported, or 45 days |
| `trb:{j:<ws>:<dest>}:reports:lease`         | string | minutes                    |
| `trb:{j:<ws>:<dest>}:warehouse:<what>`      | hash   | for ever; lease: a minute  |
| `trb:{k:<credential>}:circuit`              | hash   | ten minutes                |
| `trb:{k:<credential>}:quota:<span>`         | string | its span                   |
| `trb:{k:<credential>}:token:<what>`         | string | for ever; lease: seconds   |

Fields of a job (`delivery_jobs`):

| field | holds                                                                                                  |
|-------|--------------------------------------------------------------------------------------------------------|
| `r`   | the newest revision that was planned                                                                   |
| `n`   | when that was planned                                                                                  |
| `t`   | the revision being tried                                                                               |
| `a`   | how often it was tried                                                                                 |
| `p`   | when the revision being tried was planned                                                              |
| `c`   | the creation that was tried first, and may have been taken                                             |
| `f`   | 1 where it is certain that the destination took nothing                                                |
| `l`   | token of the lease                                                                                     |
| `u`   | since when it is not known whether the revision being tried was taken; 0: it is                        |
| `w`   | the attempt that left it unknown first                                                                 |
| `k`   | the id, name and account under which the creation that was tried first went, its value and time       |
| `b`   | when it was tried first, later by the time that it was due since and nobody tried; 0: never            |
| `g`   | 1 where somebody asked for it who risks that what may have been taken counts twice                     |
"""

from __future__ import annotations

from typing import Literal


def due(workspace: str, destination: str) -> str:
    """Returns the conversions that wait for a destination, by due time."""
    return f"trb:{{j:{workspace}:{destination}}}:due"


def planned(workspace: str, destination: str) -> str:
    """Returns the conversions that wait for a destination, by when what waits was planned."""
    return f"trb:{{j:{workspace}:{destination}}}:planned"


def mending(workspace: str, destination: str) -> str:
    """Returns the conversions that wait because a destination's settings are to blame, by when they are due."""
    return f"trb:{{j:{workspace}:{destination}}}:mending"


def job(workspace: str, destination: str, conversion_id: str) -> str:
    """Returns the job that brings a conversion to a destination."""
    return f"trb:{{j:{workspace}:{destination}}}:job:{conversion_id}"


def sent(workspace: str, destination: str, conversion_id: str) -> str:
    """Returns what a destination last took of a conversion."""
    return f"trb:{{j:{workspace}:{destination}}}:sent:{conversion_id}"


def object_hold(workspace: str, destination: str, digest: str) -> str:
    """Returns what is being said of an object at a destination, or may still be carried out there.

    Args:
        workspace: Whose.
        destination: Where.
        digest: Of what names the object: nothing in the clear.
    """
    return f"trb:{{j:{workspace}:{destination}}}:object:{digest}"


def click_seconds(workspace: str, destination: str, digest: str) -> str:
    """Returns which conversion has which second of a click at a destination.

    Args:
        workspace: Whose.
        destination: Where.
        digest: Of the click id, as `click_digests` makes it: nothing in the clear.
    """
    return f"trb:{{j:{workspace}:{destination}}}:seconds:{digest}"


def lead_claims(workspace: str, destination: str, family: str) -> str:
    """Returns by what a destination knows the objects of a lead (`tributary_domain.lead_claims`).

    Args:
        workspace: Whose.
        destination: Where.
        family: The family id of the lead's id, or of its root order: nothing in the clear.
    """
    return f"trb:{{j:{workspace}:{destination}}}:leads:{family}"


def old_lead_name(workspace: str, destination: str, digest: str) -> str:
    """Returns the same as an earlier version kept it: a name in plain text, which no erasure finds.

    Args:
        workspace: Whose.
        destination: Where.
        digest: Of account, kind and the lead's id, or its root order.
    """
    return f"trb:{{j:{workspace}:{destination}}}:lead:{digest}"


def dead(workspace: str, destination: str) -> str:
    """Returns the conversions that were given up for a destination, by when."""
    return f"trb:{{j:{workspace}:{destination}}}:dead"


def quota(workspace: str, destination: str) -> str:
    """Returns the theoretical arrival time of a destination's next call."""
    return f"trb:{{j:{workspace}:{destination}}}:quota"


def reports(workspace: str, destination: str) -> str:
    """Returns the requests that a destination will report on, by when to ask next."""
    return f"trb:{{j:{workspace}:{destination}}}:reports"


def reports_lease(workspace: str, destination: str) -> str:
    """Returns who asks a destination for its reports."""
    return f"trb:{{j:{workspace}:{destination}}}:reports:lease"


def circuit(credential: str) -> str:
    """Returns the failures of all that call with one credential, and until when nobody does.

    Args:
        credential: A digest; nothing in the clear.
    """
    return f"trb:{{k:{credential}}}:circuit"


def credential_quota(credential: str, span: str) -> str:
    """Returns the theoretical arrival time of the next call with a credential: by `seconds`, `minute`, `day`."""
    return f"trb:{{k:{credential}}}:quota:{span}"


def shared_token(credential: str, what: Literal["sealed", "lease"]) -> str:
    """Returns the tokens that all processes of a credential share, sealed; or who asks for other ones."""
    return f"trb:{{k:{credential}}}:token:{what}"


def destination_state(workspace: str, destination: str) -> str:
    """Returns a destination's pauses, how fast it is called, its counts, and what it said last."""
    return f"trb:{{j:{workspace}:{destination}}}:state"


def warehouse(workspace: str, destination: str, what: Literal["progress", "lease"]) -> str:
    """Returns how far the export to a warehouse is (`warehouse_progress.WarehousePlace`), or what who does it holds."""
    return f"trb:{{j:{workspace}:{destination}}}:warehouse:{what}"
