"""Who made a deal, as a CRM says it: whether we did, and as what it is kept.

The one rule: a deal that we made is never evidence, however the CRM spells us. Whether we did is asked of what was
sent, where only a token is kept of it: no pattern would match that.
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from tributary_domain.ids import REDACTED_PREFIX
from tributary_domain.personal import holds_personal
from tributary_domain.personal_texts import names_somebody

OWN_CREATOR: Final = f"{REDACTED_PREFIX}tributary"
"""What is kept of a creator that was declared as ours when the deal came, and that cannot be kept as it was sent. It
says so whatever is declared later; what was not declared then has a token, which only the whole name matches."""


def creator_pattern(names: Iterable[str]) -> str:
    r"""Returns the regular expression that who is declared matches, as a whole and without regard to case.

    Args:
        names: `*` stands for any text.

    Returns:
        In the syntax that Python and ClickHouse share; empty if there are no names.

    >>> creator_pattern(["*tributary*", "api (sync)"])
    '(?is)(?:.*tributary.*|api\\ \\(sync\\))'
    """
    patterns = "|".join(".*".join(map(re.escape, name.split("*"))) for name in names)
    return f"(?is)(?:{patterns})" if patterns else ""


def own_creators(names: Iterable[str]) -> Callable[[str], bool]:
    """Returns what tells whether a creator, as sent, is one of those that are declared as ours."""
    pattern = creator_pattern(names)
    if not pattern:
        return lambda _created_by: False
    match = re.compile(pattern).fullmatch
    return lambda created_by: match(created_by) is not None


def stored_creator(
    created_by: str, email_token: Callable[[str], str], token: Callable[[str], str], is_own: Callable[[str], bool]
) -> str:
    """Returns as what it is stored who made a deal: CRMs like to say it by an e-mail address.

    Args:
        created_by: In the CRM's words.
        email_token: E-mail address -> its identity token; empty if it is none, or nobody's.
        token: Text -> what stands for it.
        is_own: Tells whether it is declared as ours.
    """
    if not names_somebody(created_by):
        return created_by
    return OWN_CREATOR if is_own(created_by) else creator_token(created_by, email_token, token)


def creator_token(created_by: str, email_token: Callable[[str], str], token: Callable[[str], str]) -> str:
    """Returns what stands for who made a deal, without regard to whether it is ours; itself, if it is nobody's."""
    if not names_somebody(created_by):
        return created_by
    return (email_token(created_by) if holds_personal(created_by) else "") or token(created_by)


def kept_creators(created_by: str, email_token: Callable[[str], str], token: Callable[[str], str]) -> frozenset[str]:
    """Returns all as what it may be stored who made a deal: by earlier releases, and whatever was declared as ours.

    Earlier releases knew of e-mail addresses and phone numbers alone, and kept nothing in place of a text with more, or
    of an address that the workspace blocks.

    >>> sorted(kept_creators("Ann (ann@shop.example)", lambda text: "", lambda text: "x1:1f"))
    ['', 'x1:1f', 'x1:tributary']
    """
    if not names_somebody(created_by):
        return frozenset((created_by,))
    formerly = (email_token(created_by), "") if holds_personal(created_by) else (created_by,)
    return frozenset((*formerly, token(created_by), OWN_CREATOR))
