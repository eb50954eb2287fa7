"""What checks of a run found, where there may be more of it than a run names or looks at.

The one rule: nothing is said to be settled that nobody looked at. What is found beyond those that are named is known to
be so still; where there is more than was looked at, nothing is known of others of its kind.
"""

from __future__ import annotations

from collections.abc import Sequence

from tributary_domain.findings import Finding, FindingKind, Severity


class Answers:
    """What checks found."""

    MOST_NAMED = 10_000
    """Findings of one check that are named at once; a later run names the rest."""

    def __init__(self) -> None:
        """Nothing was found yet."""
        self.named: list[Finding] = []
        self.unnamed: set[str] = set()
        """Ids of findings that would be named if they were fewer."""
        self.cut: set[FindingKind] = set()
        """Kinds of which there is more than was looked at."""
        self.passed_over: set[str] = set()
        """Conversions that differ, or only seem to: what an erasure is copying."""
        self.hides_errors = False
        """Whether something that breaks a promise is not named, or may not be."""

    def add(self, found: Sequence[Finding], *, is_cut: bool = False) -> None:
        """Adds what one check found.

        Args:
            found: Findings, those first that are to be named first.
            is_cut: Whether there may be more that was not looked at.
        """
        self.named += found[: self.MOST_NAMED]
        self.unnamed.update(one.finding_id for one in found[self.MOST_NAMED :])
        if is_cut:
            self.cut.update(one.kind for one in found)
        if is_cut or len(found) > self.MOST_NAMED:
            self.hides_errors = self.hides_errors or any(one.severity is Severity.ERROR for one in found)
