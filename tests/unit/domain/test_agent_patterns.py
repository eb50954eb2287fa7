"""What the index finds is what trying every pattern would find."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import regex
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from is_bot import Bots

from tributary_domain.agent_patterns import PatternIndex, plain_text

VECTORS = Path(__file__).parents[2] / "vectors"
SEEN = json.loads((VECTORS / "user_agents.json").read_text())
HELD_OUT = json.loads((VECTORS / "user_agents_held_out.json").read_text())
AGENTS = [
    *(case["ua"] for label in ("bots", "humans", "ai_crawlers") for case in SEEN[label]),
    *(agent for label in ("bots", "libraries", "humans") for agent in HELD_OUT[label]),
]
CRAWLERS = [entry["pattern"] for entry in CRAWLER_USER_AGENTS_DATA]
BOTS = sorted(Bots().patterns)


def found(index: PatternIndex, agent: str) -> set[int]:
    return {*index.always, *index.may_match(agent)}


def test_no_crawler_is_missed_and_few_are_tried() -> None:
    compiled = [re.compile(pattern) for pattern in CRAWLERS]
    index = PatternIndex(CRAWLERS)
    any_of_them = [re.compile("|".join(CRAWLERS[at : at + 100])) for at in range(0, len(CRAWLERS), 100)]
    tried = 0
    for agent in AGENTS:
        candidates = found(index, agent)
        tried += len(candidates)
        for chunk, pattern in enumerate(any_of_them):
            if pattern.search(agent):
                matching = {
                    n for n in range(100 * chunk, min(100 * chunk + 100, len(CRAWLERS))) if compiled[n].search(agent)
                }
                assert matching <= candidates, agent
    assert tried / len(AGENTS) < 20


def test_no_bot_is_missed() -> None:
    compiled = [regex.compile(pattern, regex.IGNORECASE) for pattern in BOTS]
    index = PatternIndex(BOTS, ignore_case=True)
    for agent in AGENTS[::3]:
        assert {n for n, pattern in enumerate(compiled) if pattern.search(agent)} <= found(index, agent), agent


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        (r"Googlebot\/", "Googlebot/"),
        (r"^Seekbot", "Seekbot"),
        (r"[wW]get", "get"),
        (r"colou?r-bot", "r-bot"),
        (r"ab+cdef", "cdef"),
        (r"ab{2}cdef", "cdef"),
        (r"word\d+more", "word"),
        (r"a|b", ""),
        (r"x(?:yz)?abcd", ""),
        (r"(?<!lib)http", ""),
        (r"a\.b\-c", "a.b-c"),
        (r"one\sthree", "three"),
        (r"[\]x]abcd", "abcd"),
        ("", ""),
    ],
)
def test_the_plain_text_of_a_pattern_is_in_all_its_matches(pattern: str, text: str) -> None:
    assert plain_text(pattern) == text
