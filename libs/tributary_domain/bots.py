"""User agent -> a human's browser, a bot, or a program's HTTP library.

Two well-kept lists decide together (`is-bot` finds more, `crawler-user-agents` knows names and kinds), and both are
slow, hundreds of microseconds per text, so answers are kept per user agent. What neither knows is named here. The one
rule: what matters is who *observed* the event; only a browser or an app shows the person's own user agent.
"""

import re
from enum import IntEnum, StrEnum
from functools import cache, lru_cache
from typing import Any, Final, NamedTuple

import regex
from crawleruseragents import CRAWLER_USER_AGENTS_DATA
from is_bot import Bots

from tributary_domain.agent_patterns import PatternIndex
from tributary_domain.personal import may_hold_personal, without_personal
from tributary_domain.reasons import Reason, ReasonCode

USER_AGENTS_KEPT: Final = 16_384
"""Answers kept, of at most 1 KiB each: a large shop sees some ten thousand user agents a day."""


UNNAMED: Final = "unnamed"
"""The name of a bot that does not say it, or says nothing but an address or a number."""

ADDRESS_CATEGORY: Final = "address"
"""Category of what only its address gave away; its name is that of the list."""


_LOOKED_AT, _LAST = 400, 100
"""Characters of a user agent that are looked at, and how many of them are its last: what it is called stands at one of
its ends. The lists take milliseconds over a thousand characters, and anybody may send anything."""


class Observer(IntEnum):
    """Whose address and user agent an event carries, as `event.v1.Observer`."""

    UNSPECIFIED = 0
    BROWSER = 1
    APP = 2
    FORWARDED = 3
    BACKEND = 4


class AgentKind(StrEnum):
    """What a user agent is."""

    HUMAN = "human"
    """A browser or an app in somebody's hand, as far as anyone can tell."""
    BOT = "bot"
    """Nobody looks at what it fetches: QUARANTINED."""
    LIBRARY = "library"
    """A program's HTTP library: usually a backend that forwards its own user agent by mistake, so only a warning."""


class Agent(NamedTuple):
    """What a user agent is."""

    kind: AgentKind
    name: str
    """As it calls itself: "Googlebot"; empty for a human."""
    category: str
    """"search", "ai", "monitor", "scraper" and the like; "other" for a bot of no known kind; "library" for a program;
    empty for a human."""


_HUMAN: Final = Agent(AgentKind.HUMAN, "", "")

_CATEGORIES: Final = {
    "ai-crawler": "ai",
    "search-engine": "search",
    "monitoring": "monitor",
    "social-preview": "preview",
    "http-library": "scraper",
    "feed-reader": "feed",
    "browser-automation": "automation",
    "advertising": "advertising",
    "seo": "seo",
    "scanner": "scanner",
    "archiver": "archive",
    "academic": "academic",
}
"""Tag of crawler-user-agents -> our word; where an agent has several, the first here counts."""

_IN_APP_BROWSERS: Final = frozenset({"Viber", "MetaIAB Facebook", r"AP3A\.240617\.008"})
"""Patterns of crawler-user-agents that match what a human holds: an app's built-in browser, phones by their Android."""

_VS_CODE: Final = r"Code\/1\."
_READ_ANEW: Final = {
    "WhatsApp": "^WhatsApp",
    "Sonic": r"Sonic(?:/|SiteAuditor)",
    _VS_CODE: r"(?<!\w)Code(?: - Insiders)?/1\.",
}
"""Patterns of crawler-user-agents that would match apps too -> what was meant."""

_NAMES: Final = {_VS_CODE: "VS Code"}
"""Patterns of crawler-user-agents whose bot nobody would know by what they match -> what it is called."""

_PROGRAMS: Final = (
    (re.compile(r"\bclaude-web\b", re.IGNORECASE), "ai"),
    (
        re.compile(
            r"\b(?:wkhtmlto(?:pdf|image)|\w*screen-?shots?\w*|webscreenie|cutycapt|browsershot|weasyprint|prerender|"
            r"zombie\.js|slimerjs|casperjs|htmlunit|jsdom|testcafe|sitespeed\.io)\b",
            re.IGNORECASE,
        ),
        "automation",
    ),
)
"""Programs that neither list knows, and their category: they show themselves as the browser that they are built on."""

_HUMAN_APPS: Final = re.compile(
    r"\bbaiduboxapp\b|^Avant Browser/|^Mozilla/5\.0 \(Web0S; Linux/SmartTV\).* WebAppManager$"
)
"""What is-bot takes for a bot: an app's built-in browser, one that names its home page, and that of televisions."""

_WEB_VIEW: Final = re.compile(
    r"Mozilla/5\.0 \((?:(?:iPhone|iPad|iPod)\b[^()]*\) AppleWebKit/[\d.]+ \(KHTML, like Gecko\)"
    r"(?: Version/[\d.]+)? Mobile/\w+|Linux;(?: U;)? Android [^()]*(?:; wv|Google TV Streamer)\b)"
)
"""How the page begins to say who it is that an app shows within itself; what follows is the app's name, any word."""
_CRAWLS: Final = re.compile(
    r"https?:|www\.|compatible|@|(?<!cu)bots?\b|crawl|spider|preview|fetch|scrap|headless|lighthouse|monitor|synthetic|"
    r"validator|scanner|\bptst\b|pingdom|gtmetrix|devtools",
    re.IGNORECASE,
)
"""What crawlers say of themselves that show themselves as such a page; where nothing does, a human holds the app."""

_OWN_WORD: Final = re.compile(
    r"https?:|\bwww\.|(?:(?<!cu)bot|crawler|spider|scraper)s?(?![a-z])|headless", re.IGNORECASE
)
"""What a bot says of itself whoever shows it; not the beginning of a word that goes on."""

_LIBRARY = re.compile(
    r"""^(?:
    python(?:-(?:requests|urllib3?|httpx|httplib2)/|/\d)|python-urllib|aiohttp|httpx|pycurl/|grequests/|boto3/|
    okhttp|java(?:[/-]|$)|apache-(?:http(?:async)?client|cxf/)|ahc/|jersey/|google-http-java-client|
    resttemplate|reactornetty|unirest-java|vert\.x-webclient|ktor|akka-http|dispatch/|
    go-http-client|go-resty|go\ http\ package|go\ 1\.1\ package\ http|fasthttp|
    axios|node(?:\.js)?(?:/|$)|deno/|bun/|node-fetch|(?:node-)?superagent|node-urllib|undici|needle/|got[/\ (]|
    request\.js|electron-fetch|insomnia/|
    guzzle|php(?:-soap)?/|php-curl-class|symfony|pear\ httprequest|http_request2|zend[_\\]|laminas|drupal|
    ruby|faraday|httparty|excon/|rest-client|http\.rb/|httpclient/|typhoeus|
    dart/|hackney/|finch/|req/|reqwest|ureq/|hyper/|isahc/|feign/|microsoft-winhttp|winhttp|
    libwww-perl|http-tiny/|restsharp|cpp-httplib|libcurl|curl(?:[/\ ]|$)|wget[/\ ]|grpc-|
    lua-resty-http/|ngx_lua/|jetty/|postmanruntime|httpie/
    )""",
    re.IGNORECASE | re.VERBOSE,
)
"""How the HTTP libraries of backends begin their user agents. A framework for crawling (Scrapy, colly) is none."""

_CONTACT = re.compile(r"\+https?://(?!github\.com/)")
"""Who gives an address for complaints crawls, whatever library it uses."""

_CONTACTS: Final = re.compile(r"\S*(?:://|@|\bwww\.)\S*")
"""Addresses of who is to blame for a bot."""
_WORD: Final = re.compile(r"(?<!\w)[A-Za-z][A-Za-z._-]+(?:\d{1,2}[._-]?[A-Za-z][A-Za-z._-]*)?")
"""A word that may be a name; what has many digits is a number of something, or of somebody."""
_WORDS_OF_BROWSERS: Final = frozenset(
    [
        *("mozilla", "applewebkit", "webkit", "khtml", "like", "gecko", "chrome", "chromium", "safari", "version"),
        *("mobile", "mobi", "tablet", "compatible", "windows", "win", "wow", "nt", "msie", "trident", "net", "clr"),
        *("linux", "ubuntu", "cros", "macintosh", "intel", "mac", "os", "x", "android", "build", "cpu", "us", "rv"),
        *("iphone", "ipad", "ipod", "firefox", "opera", "presto", "opr", "edge", "edg", "de", "en", "en-us", "fr"),
    ]
)
"""What a bot that shows itself as a browser says beside its own name."""

_CRAWLERS: Final = tuple(
    (
        re.compile(_READ_ANEW.get(entry["pattern"], entry["pattern"])),
        _CATEGORIES.get(next(iter(entry.get("tags", ())), ""), "other"),
        _NAMES.get(entry["pattern"], ""),
    )
    for entry in CRAWLER_USER_AGENTS_DATA
    if entry["pattern"] not in _IN_APP_BROWSERS
)
_LIBRARIES: Final = frozenset(
    number
    for number, name in enumerate(pattern.pattern.lstrip("^").rstrip("\\/") for pattern, *_ in _CRAWLERS)
    if (found := _LIBRARY.match(f"{name}/")) is not None and found.end() >= len(name)
)
"""Which of them are no crawlers but what some are built with, as apps are."""
_CRAWLER_INDEX: Final = PatternIndex(pattern.pattern for pattern, *_ in _CRAWLERS)
_BOTS: Final = Bots()
_BOT_PATTERNS: Final = sorted(_BOTS.patterns)
_BOT_INDEX: Final = PatternIndex(_BOT_PATTERNS, ignore_case=True)
_UNINDEXED_BOTS: Final = Bots([_BOT_PATTERNS[number] for number in _BOT_INDEX.always])
"""The patterns of is-bot that have too little plain text to be looked up."""


@cache
def _bot_pattern(number: int) -> Any:
    return regex.compile(_BOT_PATTERNS[number], regex.IGNORECASE)


@lru_cache(USER_AGENTS_KEPT)
def classify_user_agent(user_agent: str) -> Agent:
    """Returns what a user agent is.

    >>> classify_user_agent("Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    Agent(kind=<AgentKind.BOT: 'bot'>, name='Googlebot', category='search')
    """
    if len(user_agent) > _LOOKED_AT:
        user_agent = f"{user_agent[: _LOOKED_AT - _LAST]} {user_agent[-_LAST:]}"
    if _WEB_VIEW.match(user_agent) is not None and _CRAWLS.search(user_agent) is None:
        return _HUMAN
    found = _LIBRARY.match(user_agent)
    if found is not None and _CONTACT.search(user_agent) is None:
        return Agent(AgentKind.LIBRARY, found[0].strip(" /-(_\\"), "library")
    named = _named_crawler(user_agent) or _program(user_agent)
    if named is not None:
        return named
    is_bot = _UNINDEXED_BOTS.is_bot(user_agent) or any(
        _bot_pattern(number).search(user_agent) for number in _BOT_INDEX.may_match(user_agent)
    )
    name = _BOTS.find(user_agent) if is_bot else None
    if name is None or _HUMAN_APPS.search(user_agent) is not None:
        return _HUMAN
    return Agent(AgentKind.BOT, _product(user_agent, name), "other")


def _named_crawler(user_agent: str, but: frozenset[int] = frozenset()) -> Agent | None:
    """Returns which of the crawlers that have a name in the lists it is, `but` some."""
    for number in sorted({*_CRAWLER_INDEX.always, *_CRAWLER_INDEX.may_match(user_agent)} - but):
        pattern, category, name = _CRAWLERS[number]
        found = pattern.search(user_agent)
        if found is not None:
            return Agent(AgentKind.BOT, name or _tidy(found[0]), category)
    return None


def _program(user_agent: str) -> Agent | None:
    """Returns which program it is that shows itself as a browser."""
    for pattern, category in _PROGRAMS:
        found = pattern.search(user_agent)
        if found is not None:
            return Agent(AgentKind.BOT, found[0][:64], category)
    return None


@lru_cache(USER_AGENTS_KEPT)
def classify_app(user_agent: str) -> Agent:
    """Returns what the user agent of an app is: a bot only if a list names it, or it says so itself.

    An app calls itself as its makers like, often by one word and a number, as no browser does and many bots do.

    >>> classify_app("MyShop/2.0").kind, classify_user_agent("MyShop/2.0").kind
    (<AgentKind.HUMAN: 'human'>, <AgentKind.BOT: 'bot'>)
    """
    agent = classify_user_agent(user_agent)
    if agent.kind is not AgentKind.BOT or _OWN_WORD.search(user_agent) is not None:
        return agent
    shown = user_agent[:_LOOKED_AT]
    if (named := _named_crawler(shown, _LIBRARIES)) is not None:
        return named
    library = _named_crawler(shown)  # the app's own name comes before it, and after it what else there is
    return _HUMAN if library is None else Agent(AgentKind.LIBRARY, library.name, "library")


def _product(user_agent: str, found: str) -> str:
    """Returns what a bot calls itself that no list names: a word of its own, with nothing that may be somebody's.

    Args:
        user_agent: The bot's.
        found: What gave it away; it may be a part of the word, or all that there is.
    """
    said = _CONTACTS.sub(" ", without_personal(user_agent))
    at = said.find(found)
    first = ""
    for word in _WORD.finditer(said):
        name = word[0].rstrip("._-")[:64]
        if name.lower() in _WORDS_OF_BROWSERS or not _is_name(name):
            continue
        if at <= word.start() < at + len(found) or word.start() <= at < word.end():
            return name
        first = first or name
    return first or UNNAMED


def _is_name(text: str) -> bool:
    """Tells whether a text may be what a bot is called, and is nobody's address or number."""
    return any(map(str.isalpha, text)) and not may_hold_personal(text)


def _tidy(name: str) -> str:
    return name.strip(" /;:()[]+,")[:64]


def is_persons_own(observer: int, is_touchpoint: bool) -> bool:
    """Tells whether an event shows the person's own address, user agent and clock: a browser or an app observed it.

    Args:
        observer: `Context.observed_by`; unspecified is a browser for a touchpoint, a backend for anything else.
        is_touchpoint: Whether it is a touchpoint.
    """
    return observer <= Observer.APP and bool(observer or is_touchpoint)


def judge_user_agent(user_agent: str, observer: int, is_touchpoint: bool) -> tuple[Agent, Reason | None]:
    """Returns what showed itself, and why that quarantines the event or is worth a warning.

    Args:
        user_agent: As sent; may be empty.
        observer: `Context.observed_by`; unspecified is a browser for a touchpoint, a backend for anything else.
        is_touchpoint: Whether it is a touchpoint.
    """
    if not is_persons_own(observer, is_touchpoint):
        return _HUMAN, None
    if not user_agent:
        return _HUMAN, _MISSING if is_touchpoint else None
    agent = classify_app(user_agent) if observer == Observer.APP else classify_user_agent(user_agent)
    if agent is _HUMAN:
        return agent, None
    if agent.kind is AgentKind.BOT:
        return agent, _BOT
    return agent, _LIBRARY_OF_APP if observer == Observer.APP else _LIBRARY_AGENT


_MISSING: Final = Reason(
    ReasonCode.USER_AGENT_MISSING,
    "context.user_agent",
    "A touchpoint that a browser observed needs its user agent; or say in `observed_by` that a backend did.",
)
_BOT: Final = Reason(ReasonCode.BOT_USER_AGENT, "context.user_agent", "This user agent is a bot's.")
_LIBRARY_AGENT: Final = Reason(
    ReasonCode.HTTP_LIBRARY_USER_AGENT,
    "context.user_agent",
    "This user agent is a program's, probably your backend's own: forward the person's.",
)
_LIBRARY_OF_APP: Final = Reason(
    ReasonCode.HTTP_LIBRARY_USER_AGENT,
    "context.user_agent",
    "This user agent is an HTTP library's: right if the app is built with it; else forward the app's.",
)
