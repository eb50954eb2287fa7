"""A workspace's own channel rules: conditions -> channel, before the built-in ones.

The one rule: all conditions of a rule must hold, case never counts, `*` stands for any text, first match wins.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from tributary_domain.sites import plain_host


class ChannelRuleLike(Protocol):
    """A rule as `workspaces.yaml` declares it; unset conditions are `None`."""

    @property
    def channel(self) -> str:
        """The channel."""
        ...

    @property
    def sub_channel(self) -> str:
        """Any finer name."""
        ...

    @property
    def source(self) -> str | None:
        """UTM source, or host of the referrer."""
        ...

    @property
    def medium(self) -> str | None:
        """UTM medium."""
        ...

    @property
    def campaign(self) -> str | None:
        """UTM campaign."""
        ...

    @property
    def referrer(self) -> str | None:
        """Host of the referrer."""
        ...

    @property
    def page(self) -> str | None:
        """Path of the landing page."""
        ...

    @property
    def click_id(self) -> str | None:
        """Family of a click id that is present."""
        ...


class _Compiled(NamedTuple):
    position: int
    channel: str
    sub_channel: str
    patterns: tuple[tuple[int, re.Pattern[str]], ...]
    """(which of the texts, pattern)."""
    click_id: str | None


_TEXTS = ("source", "medium", "campaign", "referrer", "page")


class CompiledRules:
    """The rules of one workspace, ready to be asked. False if there are none.

    Args:
        rules: In order.
    """

    __slots__ = ("_rules",)

    def __init__(self, rules: Sequence[ChannelRuleLike]) -> None:
        self._rules = tuple(
            _Compiled(position, rule.channel, rule.sub_channel, tuple(_patterns(rule)), rule.click_id)
            for position, rule in enumerate(rules)
        )

    def __bool__(self) -> bool:
        return bool(self._rules)

    def match(
        self, source: str, medium: str, campaign: str, referrer: str, page: str, clicks: Mapping[str, str]
    ) -> tuple[int, str, str] | None:
        """Returns (position, channel, sub-channel) of the first rule that holds."""
        texts = (source, medium, campaign, referrer, page)
        for rule in self._rules:
            if rule.click_id is not None and rule.click_id not in clicks:
                continue
            if all(pattern.fullmatch(texts[which]) for which, pattern in rule.patterns):
                return rule.position, rule.channel, rule.sub_channel
        return None


def _patterns(rule: ChannelRuleLike) -> list[tuple[int, re.Pattern[str]]]:
    found = []
    for which, name in enumerate(_TEXTS):
        text: str | None = getattr(rule, name)
        if text is not None:
            text = plain_host(text) if name == "referrer" else text
            pattern = ".*".join(re.escape(part) for part in text.split("*"))
            found.append((which, re.compile(pattern, re.IGNORECASE | re.DOTALL)))
    return found
