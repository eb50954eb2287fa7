"""A script touches only the keys it is given, all of one hash tag, and says what a second run does."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from types import ModuleType

import pytest

from tributary_storage.redis import job_keys, keys

REDIS = Path(keys.__file__).parent
SCRIPTS = sorted((REDIS / "lua").glob("*.lua"))
_TAG = re.compile(r"\{([^}]*)\}")
_PLACEHOLDER = re.compile(r"<[^>]*>")

EXAMPLES = {
    **dict.fromkeys(("shard", "bucket"), 3),
    **{"lane": "live", "group": "record", "workspace": "shop", "destination": "crm", "conversion_id": "shop|c1:a"},
}
"""What the functions of both tables are called with; any text for what is not listed."""


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_says_what_it_takes_answers_and_costs(script: Path) -> None:
    header = [line for line in script.read_text().splitlines() if line.startswith("--")]
    for word in ("-- KEYS ", "-- Answer ", "-- Cost "):
        assert any(line.startswith(word) for line in header), word
    assert "econd run" in "".join(header)


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_makes_up_no_key(script: Path) -> None:
    code = "\n".join(line.partition("--")[0] for line in script.read_text().splitlines())
    assert "trb:" not in code
    assert "KEYS" in code


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda script: script.stem)
def test_a_script_has_one_caller(script: Path) -> None:
    callers = [module.name for module in REDIS.glob("*.py") if f'Script("{script.stem}")' in module.read_text()]
    assert len(callers) == 1, callers


@pytest.mark.parametrize("table", [keys, job_keys], ids=lambda table: table.__name__.rpartition(".")[2])
def test_every_key_is_in_the_table(table: ModuleType) -> None:
    patterns = [
        re.compile(_PLACEHOLDER.sub(".+", re.escape(pattern).replace(r"\<", "<").replace(r"\>", ">")))
        for pattern in re.findall(r"`(trb:[^`]*)`", table.__doc__ or "")
    ]
    for name, function in inspect.getmembers(table, inspect.isfunction):
        if function.__module__ != table.__name__ or name.startswith("_"):
            continue
        arguments = [EXAMPLES.get(one, "x|1") for one in inspect.signature(function).parameters]
        key = re.sub(r"\{([lpcv])\d+\}", r"{\g<1>3}", str(function(*arguments)))
        assert any(pattern.fullmatch(key) for pattern in patterns), f"{name}: {key}"


def test_what_is_kept_of_a_person_lives_with_the_journey() -> None:
    own = [keys.journey, keys.ties, keys.consent, keys.traces, keys.firsts]
    assert {_TAG.search(of(3, "p1:x"))[1] for of in own} == {"p3"}  # type: ignore[index]


def test_all_keys_of_a_destination_live_together() -> None:
    lane = ("shop", "crm")
    own = [
        *(job_keys.due(*lane), job_keys.destination_state(*lane), job_keys.quota(*lane)),
        *(job_keys.job(*lane, "c1:a"), job_keys.sent(*lane, "c1:b"), job_keys.object_hold(*lane, "d")),
    ]
    assert len({_TAG.search(key)[1] for key in own}) == 1  # type: ignore[index]
    assert len(set(own)) == len(own)
