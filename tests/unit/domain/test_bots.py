"""Bots and browsers, held against labels that others gave. Floors are what is reached, not what is hoped for."""

from __future__ import annotations

import json
import random
from collections import Counter
from pathlib import Path
from time import process_time

import pytest

from tributary_domain.bots import (
    USER_AGENTS_KEPT,
    AgentKind,
    Observer,
    classify_app,
    classify_user_agent,
    judge_user_agent,
)
from tributary_domain.reasons import ReasonCode

VECTORS = json.loads((Path(__file__).parents[2] / "vectors" / "user_agents.json").read_text())
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
LINUX = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko)"
BROWSER = "Mozilla/5.0 (X11; Linux x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/140.0.0.0 Safari/537.36"


HELD_OUT = json.loads((Path(__file__).parents[2] / "vectors" / "user_agents_held_out.json").read_text())
IN_APPS = json.loads((Path(__file__).parents[2] / "vectors" / "user_agents_in_apps.json").read_text())

SEEN = {label: [case["ua"] for case in VECTORS[label]] for label in ("bots", "humans", "ai_crawlers")}


def kinds(agents: list[str]) -> Counter[AgentKind]:
    return Counter(classify_user_agent(agent).kind for agent in agents)


@pytest.mark.parametrize(
    "agents",
    [
        pytest.param(SEEN["bots"], id="of the vectors"),
        pytest.param(SEEN["ai_crawlers"], id="AI crawlers of the vectors"),
        pytest.param(HELD_OUT["bots"], id="of a list not looked at before"),
        pytest.param(IN_APPS["bots"], id="of the year"),
    ],
)
def test_at_least_99_in_100_bots_are_bots_apart_from_the_http_libraries_among_them(agents: list[str]) -> None:
    found = kinds(agents)
    assert found[AgentKind.BOT] >= 0.99 * (len(agents) - found[AgentKind.LIBRARY])
    assert found[AgentKind.LIBRARY] <= 0.03 * len(agents)


@pytest.mark.parametrize(
    "agents",
    [
        pytest.param(SEEN["humans"], id="of the vectors"),
        pytest.param(HELD_OUT["humans"], id="of lists not looked at before"),
        pytest.param(IN_APPS["humans"], id="in apps, on televisions and consoles"),
    ],
)
def test_at_most_1_in_100_browsers_is_called_a_bot_or_a_library(agents: list[str]) -> None:
    assert len(agents) >= 300
    assert kinds(agents)[AgentKind.HUMAN] >= 0.99 * len(agents)


def test_a_library_is_a_warning_unless_it_crawls() -> None:
    found = kinds(HELD_OUT["libraries"])
    assert found[AgentKind.LIBRARY] >= 0.9 * len(HELD_OUT["libraries"])
    assert found[AgentKind.HUMAN] == 0
    for runtime in ("node", "node.js", "Node/22", "Deno/2.1.4", "Bun/1.1", "superagent/8", "req/0.5", "hyper/1.0"):
        assert classify_user_agent(runtime).kind is AgentKind.LIBRARY, "what a backend's own `fetch` calls itself"
    for crawls in ("Scrapy/1.0.3 (+http://scrapy.org)", "Python-urllib/2.7 (+http://ella.juls.savba.sk/aranea_about)"):
        assert classify_user_agent(crawls).kind is AgentKind.BOT


PHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148"
WEB_VIEW = (
    "Mozilla/5.0 (Linux; Android 15; CPH2609 Build/{}; wv) AppleWebKit/537.36 (KHTML, like Gecko) Version/4.0 "
    "Chrome/142.0.7444.102 Mobile Safari/537.36"
)


@pytest.mark.parametrize(
    "user_agent",
    [
        pytest.param(f"{PHONE} Tripadvisor/68", id="an app whose name looks like a tool's"),
        pytest.param(f"{PHONE} NewsArticle/10.8.4 NetType/WIFI", id="a news app"),
        pytest.param(WEB_VIEW.format("AP3A.240617.008"), id="a phone by its Android, which a crawler once named"),
        pytest.param(f"{WEB_VIEW.format('BP3A.250905.014')} MetaIAB Facebook", id="the built-in browser of Facebook"),
        pytest.param(f"{WEB_VIEW.format('UTTK.241108.002')} Grab/5.370.0 (Android 15)", id="an app that is a verb"),
    ],
)
def test_a_page_within_an_app_is_a_humans_until_something_says_that_it_crawls(user_agent: str) -> None:
    assert classify_user_agent(user_agent).kind is AgentKind.HUMAN
    for said in ("(compatible; examplebot/1.0)", "(+https://example.com/why-we-visit)", "BingPreview/1.0b"):
        assert classify_user_agent(f"{user_agent} {said}").kind is AgentKind.BOT


def test_every_bot_has_a_name_and_a_category() -> None:
    for agent in SEEN["bots"] + HELD_OUT["bots"]:
        found = classify_user_agent(agent)
        assert found.name
        assert found.category


@pytest.mark.parametrize("text", ["203.0.113.77", "+491715550177", "0171 5550177", "ann@example.com"])
def test_what_is_somebodys_is_no_bots_name(text: str) -> None:
    assert text not in classify_user_agent(text).name


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        ("Mozilla/5.0 (compatible; GrokBot/1.0)", "GrokBot"),
        ("MyCompanyBot/1.0 (+https://shop.example/bot)", "MyCompanyBot"),
        ("Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/103.0 Safari/537.36 Cypress/10.3.1", "Cypress"),
        ("NewRelicPinger/1.0 (543245)", "NewRelicPinger"),
        ("Mozilla/5.0 (+http://shop.example/spider)", "unnamed"),
        ("backend-of-ann/0a1b2c3d4e5f", "backend-of-ann"),
        ("visitor4711008 0a1b2c3d4e5f", "visitor"),
    ],
)
def test_a_bot_that_no_list_names_is_called_by_one_word_and_not_by_its_whole_user_agent(
    user_agent: str, name: str
) -> None:
    found = classify_user_agent(user_agent)
    assert (found.kind, found.name) == (AgentKind.BOT, name)


def test_of_a_long_user_agent_both_ends_are_looked_at() -> None:
    app = f"{BROWSER} [FBAN/FBIOS;{'FBDV/iPhone12,1;' * 40}]"
    assert classify_user_agent(app).kind is AgentKind.HUMAN
    assert (
        classify_user_agent(f"{app} (compatible; Googlebot/2.1; +http://www.google.com/bot.html)").name == "Googlebot"
    )
    assert classify_user_agent(f"{GOOGLEBOT} {app}").name == "Googlebot"


def test_a_hostile_user_agent_costs_little() -> None:
    rng = random.Random(7)
    hostile = ["".join(rng.choices("abcdefghijklmnop ABCDE/.;()0123456789", k=1024)) for _ in range(20)]
    started = process_time()
    for user_agent in hostile:
        classify_user_agent(user_agent)
    assert process_time() - started < 0.5, "10 ms each without the bound"


def test_answers_are_kept_for_a_bounded_number_of_user_agents() -> None:
    assert classify_user_agent.cache_info().maxsize == USER_AGENTS_KEPT


@pytest.mark.parametrize(
    ("user_agent", "name", "category"),
    [
        (GOOGLEBOT, "Googlebot", "search"),
        ("Mozilla/5.0 (compatible; GPTBot/1.2; +https://openai.com/gptbot)", "GPTBot", "ai"),
        ("python-requests/2.31.0", "python-requests", "library"),
        ("PHP/8.3.14", "PHP", "library"),
        ("PHP-SOAP/8.2.0", "PHP-SOAP", "library"),
        ("lua-resty-http/0.17.2 (Lua) ngx_lua/10026", "lua-resty-http", "library"),
        ("Jetty/12.0.14", "Jetty", "library"),
        ("Zend_Http_Client", "Zend", "library"),
        (f"{LINUX} wkhtmltopdf Safari/534.34", "wkhtmltopdf", "automation"),
        (f"{LINUX} wkhtmltoimage Safari/534.34", "wkhtmltoimage", "automation"),
        (f"{LINUX} webscreenie Safari/537.21", "webscreenie", "automation"),
        (
            f"{LINUX} www.HomepageScreenshot.de - Free ScreenShotService/1.0 Safari/537.21",
            *("HomepageScreenshot", "automation"),
        ),
        ("Mozilla/5.0 Chrome/10.0.613.0 Safari/534.15 Zombie.js/5.0.7", "Zombie.js", "automation"),
        (f"{LINUX} Chrome/119.0.0.0 Safari/537.36 claude-web", "claude-web", "ai"),
        (f"{LINUX} CutyCapt Safari/537.21", "CutyCapt", "automation"),
        (f"{LINUX} Code/1.95.0 Chrome/128.0.6613.186 Electron/32.2.1 Safari/537.36", "VS Code", "automation"),
        (
            f"{LINUX} Code - Insiders/1.96.0 Chrome/128.0.6613.186 Electron/32.2.1 Safari/537.36",
            "VS Code",
            "automation",
        ),
        (f"{LINUX} QRCode/1.2 Chrome/128.0.6613.186 Safari/537.36", "", ""),
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


@pytest.mark.parametrize(
    ("user_agent", "kind"),
    [
        ("MyShop-Android/3.2.1 okhttp/4.12.0", AgentKind.LIBRARY),
        ("fr.boutique.app/512 (Linux; U; Android 15; Pixel 9) okhttp/5.0.0", AgentKind.LIBRARY),
        ("MyShop/3.2.1 (Android 14; Pixel 8; okhttp/4.12.0)", AgentKind.LIBRARY),
        ("MyShop/3.2.1 (Android 14) axios/1.7.9", AgentKind.LIBRARY),
        ("AhrefsBot/7.0 okhttp/4.12.0", AgentKind.BOT),
        ("MyShop/3.2.1 okhttp/4.12.0 facebookexternalhit/1.1", AgentKind.BOT),
        ("Scrapy/2.11", AgentKind.BOT),
        ("colly - v2", AgentKind.BOT),
    ],
)
def test_what_an_app_is_built_with_makes_it_no_bot(user_agent: str, kind: AgentKind) -> None:
    assert classify_app(user_agent).kind is kind


@pytest.mark.parametrize(
    ("user_agent", "is_bot"),
    [
        *(("MyShop/2.0", False), ("MyShop-Android/4.12.3", False), ("App/1.0", False), ("com.myshop.android", False)),
        *(
            ("BotiqueApp/1.0 (iPhone; iOS 17)", False),
            ("MyScreenshots/2.1 (iPhone)", False),
            ("Spiderman Store/1.1 (Android 13)", False),
        ),
        *(("AhrefsBot/7.0", True), ("SomeCrawler/1.0", True), ("Shopbots/1", True), ("HeadlessChrome/120", True)),
        *(("MyShop/2.0 (+https://crawler.example)", True), ("facebookexternalhit/1.1", True)),
    ],
)
def test_an_app_is_called_as_its_makers_like_and_a_bot_only_if_it_says_so(user_agent: str, is_bot: bool) -> None:
    _, reason = judge_user_agent(user_agent, Observer.APP, is_touchpoint=False)
    assert (reason is not None and reason.code is ReasonCode.BOT_USER_AGENT) == is_bot
