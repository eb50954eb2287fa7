"""Bots and browsers, held against labels that others gave. Floors are what is reached, not what is hoped for."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tributary_domain.bots import AgentKind, Observer, classify_user_agent, judge_user_agent
from tributary_domain.reasons import ReasonCode

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "user_agents.json").read_text())
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


def share(label: str, *kinds: AgentKind) -> float:
    agents = [classify_user_agent(case["ua"]) for case in VECTORS[label]]
    return sum(agent.kind in kinds for agent in agents) / len(agents)


def test_every_bot_of_the_vectors_is_told_from_a_human() -> None:
    assert share("bots", AgentKind.BOT, AgentKind.LIBRARY) == 1.0


def test_programs_among_the_bots_are_few() -> None:
    assert share("bots", AgentKind.LIBRARY) <= 0.06


def test_at_most_six_in_a_thousand_browsers_are_called_bots() -> None:
    assert share("humans", AgentKind.BOT, AgentKind.LIBRARY) <= 0.006


def test_every_ai_crawler_is_a_bot() -> None:
    assert share("ai_crawlers", AgentKind.BOT) == 1.0


@pytest.mark.parametrize(
    ("user_agent", "name", "category"),
    [
        (GOOGLEBOT, "Googlebot", "search"),
        ("Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "GPTBot", "ai"),
        ("python-requests/2.31.0", "python-requests", "library"),
        (BROWSER, "", ""),
    ],
)
def test_an_agent_has_a_name_and_a_category(user_agent: str, name: str, category: str) -> None:
    agent = classify_user_agent(user_agent)
    assert (agent.name, agent.category) == (name, category)


@pytest.mark.parametrize(
    ("user_agent", "observer", "is_touchpoint", "code"),
    [
        pytest.param(GOOGLEBOT, Observer.BROWSER, True, ReasonCode.BOT_USER_AGENT, id="a bot's browser"),
        pytest.param(GOOGLEBOT, Observer.UNSPECIFIED, True, ReasonCode.BOT_USER_AGENT, id="unset is a browser"),
        pytest.param(GOOGLEBOT, Observer.APP, False, ReasonCode.BOT_USER_AGENT, id="a conversion in an app"),
        pytest.param(GOOGLEBOT, Observer.BACKEND, True, None, id="a backend's is not judged"),
        pytest.param(GOOGLEBOT, Observer.FORWARDED, True, None, id="a forwarded one is not judged"),
        pytest.param(GOOGLEBOT, Observer.UNSPECIFIED, False, None, id="a conversion is the backend's"),
        pytest.param("", Observer.UNSPECIFIED, True, ReasonCode.USER_AGENT_MISSING, id="a touchpoint without"),
        pytest.param("", Observer.APP, True, ReasonCode.USER_AGENT_MISSING, id="an app's touchpoint without"),
        pytest.param("", Observer.BACKEND, True, None, id="a backend's touchpoint without"),
        pytest.param("", Observer.BROWSER, False, None, id="a conversion without"),
        pytest.param("okhttp/4.9", Observer.BROWSER, True, ReasonCode.HTTP_LIBRARY_USER_AGENT, id="a library"),
        pytest.param(BROWSER, Observer.BROWSER, True, None, id="a human"),
    ],
)
def test_only_what_a_browser_or_app_showed_is_judged(
    user_agent: str, observer: Observer, is_touchpoint: bool, code: ReasonCode | None
) -> None:
    _, reason = judge_user_agent(user_agent, observer, is_touchpoint)
    assert (reason.code if reason else None) == code
