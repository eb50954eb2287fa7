"""Sends what `tributary import` read, a bounded call at a time, and keeps what became of it."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from typing import Any

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from tributary.ingestion.v1.import_result_pb2 import ImportOutcome
from tributary.ingestion.v1.ingestion_service_pb2_grpc import IngestionServiceStub
from tributary_cli.console import messages, output, print_json
from tributary_cli.csv_cells import Line
from tributary_cli.import_lines import ROWS_PER_SLICE, Problem, Statement
from tributary_cli.patient_calls import call_patiently
from tributary_cli.rpc import metadata_of

_CALL_SECONDS = 60.0
_SHOWN_PROBLEMS = 20
_KEPT_WARNINGS = 1_000
_STATEMENTS_PER_CALL = 500
_SLICES_PER_CALL = 100
_ROW = re.compile(r"rows\[(\d+)\]\.")
_ORDER = ("stored", "outdated", "duplicate", "conflict", "rejected", "valid")
_BAD = frozenset({"conflict", "rejected"})


class Importer:
    """Sends statements in calls of a bounded size, and keeps what became of them.

    Args:
        method: Of `IngestionService`.
        request: Makes a request of some statements.
        noun: What statements are called: "slices".
        validate_only: Whether nothing is to be stored.
        patience_seconds: How long a call is tried again while what is in its way may pass.
    """

    def __init__(
        self,
        method: str,
        request: Callable[[list[Any]], Any],
        noun: str,
        *,
        validate_only: bool,
        patience_seconds: float,
    ) -> None:
        self.problems: list[Problem] = []
        self.warnings: list[Problem] = []
        """Of what was taken all the same; the first thousand."""
        self._warned = 0
        self._method = method
        self._request = request
        self._validate_only = validate_only
        self._patience_seconds = patience_seconds
        self._is_whole = False
        """Whether the file was read and sent to its end."""
        self._said = ""
        """Why it waited last."""
        self._outcomes: Counter[str] = Counter()
        self._noun = noun
        self._read = self._lines = 0

    def counted(self, lines: Iterable[Line]) -> Iterator[Line]:
        """Passes on the lines of the file, and counts them."""
        for line in lines:
            self._read += 1
            yield line

    def run(self, found: Iterable[Statement | Problem], channel: Any, api_key: str, *, hide: bool) -> None:
        """Sends everything; shows how far it is, and what it waits for.

        Raises:
            CommandError: It ended early; `present` tells what became of the file so far.
        """
        call = getattr(IngestionServiceStub(channel), self._method)
        console = messages()
        columns = (SpinnerColumn(), TextColumn("Importing {task.fields[lines]:,} lines"), TimeElapsedColumn())
        with Progress(*columns, console=console, disable=hide or not console.is_terminal) as bar:
            task = bar.add_task("import", total=None, lines=0)
            for some in _some_at_once(self._without_problems(found)):
                self._send(some, partial(call, timeout=_CALL_SECONDS, metadata=metadata_of(api_key)), console)
                bar.update(task, lines=self._lines)
        self._is_whole = True

    def _without_problems(self, found: Iterable[Statement | Problem]) -> Iterator[Statement]:
        for one in found:
            if isinstance(one, Problem):
                self.problems.append(one)
            else:
                yield one

    def _send(self, some: list[Statement], call: Callable[[Any], Any], console: Console) -> None:
        request = self._request([statement.message for statement in some])
        request.validate_only = self._validate_only

        def waits(seconds: float, why: str) -> None:
            if why != self._said:  # a key over its rate is so before every call
                console.print(f"{why} (waits {seconds:,.1f} s, and again whenever it must)", markup=False, style="dim")
            self._said = why

        # what was stored before an answer was lost is "duplicate" then
        results = call_patiently(partial(call, request), "ingestion", self._patience_seconds, waits).results
        for statement, result in zip(some, results, strict=True):
            outcome = ImportOutcome.Name(result.outcome).removeprefix("IMPORT_OUTCOME_").lower()
            self._outcomes[outcome] += 1
            self._lines += len(statement.lines)
            said = [_problem(statement, reason) for reason in result.reasons]
            if outcome in _BAD:
                self.problems += said
            else:
                self._warned += len(said)
                self.warnings += said[: _KEPT_WARNINGS - len(self.warnings)]

    def present(self, *, as_json: bool) -> None:
        """Writes what became of the file, or of its part that is known where `run` ended early."""
        outcomes = {name: self._outcomes[name] for name in _ORDER}
        if as_json:
            said = {"problems": list(map(_as_json, self.problems)), "warnings": list(map(_as_json, self.warnings))}
            counts = {"whole": self._is_whole, "read": self._read, "lines": self._lines, "outcomes": outcomes}
            print_json({**counts, **said, "warned": self._warned})
            return
        _say(self.problems, len(self.problems), "", "yellow")
        _say(self.warnings, self._warned, "taken, but: ", "dim")
        counted = ", ".join(f"{count:,} {name}" for name, count in outcomes.items() if count)
        sent = f"{self._lines:,} sent as {sum(outcomes.values()):,} {self._noun}: {counted}" if counted else "none sent"
        warned = f", {self._warned:,} warnings" if self._warned else ""
        ended = "" if self._is_whole else "; ended early, the rest is not known to be stored"
        output().print(f"{self._read:,} lines, {sent}{warned}{ended}")


def _as_json(said: Problem) -> dict[str, Any]:
    return {"line": said.line, "column": said.column, "message": said.message}


def _say(said: list[Problem], in_all: int, begin: str, style: str) -> None:
    """Writes the first of what was said of lines."""
    console = messages()
    for one in said[:_SHOWN_PROBLEMS]:
        place = ": ".join(part for part in (f"line {one.line}" if one.line else "", one.column) if part)
        console.print(f"{place}: {begin}{one.message}" if place else f"{begin}{one.message}", markup=False, style=style)
    if in_all > _SHOWN_PROBLEMS:
        console.print(f"... and {in_all - _SHOWN_PROBLEMS} more; --json lists them.")


def _some_at_once(statements: Iterable[Statement]) -> Iterator[list[Statement]]:
    """Yields statements, as many at once as one call takes."""
    some: list[Statement] = []
    rows = 0
    for statement in statements:
        is_slice = hasattr(statement.message, "rows")
        most = _SLICES_PER_CALL if is_slice else _STATEMENTS_PER_CALL
        if some and (len(some) == most or (is_slice and rows + len(statement.lines) > ROWS_PER_SLICE)):
            yield some
            some, rows = [], 0
        some.append(statement)
        rows += len(statement.lines)
    if some:
        yield some


def _problem(statement: Statement, reason: Any) -> Problem:
    """Returns a reason of the service with the line of the file that it is about."""
    row = _ROW.match(reason.field)
    if row is not None:
        return Problem(statement.lines[int(row[1])], reason.field[row.end() :], reason.message)
    line = statement.lines[0] if len(statement.lines) == 1 else 0
    return Problem(line, reason.field, reason.message)
