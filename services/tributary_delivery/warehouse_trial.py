"""Tries a warehouse out: writes a small file below the prefix, of a name that nothing loads, and reads it again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from tributary_delivery.destinations.destination import CONFIG, OK, RETRY, THROTTLED, Outcome
from tributary_delivery.findings import CREDENTIAL, REACHED, SETTINGS, TOKEN, Findings
from tributary_delivery.trial_runs import MakeTrialRun, MayAgain, TrialRun
from tributary_delivery.warehouse_export import bucket_of
from tributary_runtime.destination_settings import DestinationSettings
from tributary_runtime.errors import UnavailableError
from tributary_runtime.warehouse_destinations import WarehouseDestination
from tributary_storage.clickhouse.warehouse_files import FileError, FileFault, WarehouseFiles

_PATH: Final = "_test/written_by_tributary.txt"
_TEXT: Final = "Tributary wrote this to see whether it can. Nothing reads it; delete it as you like.\n"
_CLASSES: Final = {FileFault.CONFIG: CONFIG, FileFault.THROTTLED: THROTTLED, FileFault.AGAIN: RETRY}


@dataclass(frozen=True, slots=True)
class TrialRuns:
    """Makes what tries any destination out."""

    others: MakeTrialRun
    """For destinations that are called over HTTP."""
    files: WarehouseFiles

    def trial_run(self, settings: DestinationSettings, code: str) -> TrialRun:
        """Makes one; nothing connects.

        Raises:
            TypeError: There is no such type of destination.
        """
        if isinstance(settings, WarehouseDestination):
            return WarehouseTrialRun(settings, self.files)
        return self.others.trial_run(settings, code)


class WarehouseTrialRun:
    """Tries out one warehouse.

    Args:
        settings: Of the destination.
        files: Writes to its bucket.
    """

    def __init__(self, settings: WarehouseDestination, files: WarehouseFiles) -> None:
        self._settings = settings
        self._files = files

    async def prepare(self, findings: Findings) -> None:
        """Says what is written and as whom; there is no token."""
        findings.passed(SETTINGS, f"Tables {', '.join(self._settings.tables)} go to {self._settings.uri}.")
        given = self._settings.access_key_id is not None
        findings.passed(CREDENTIAL, "An access key is given." if given else "ClickHouse uses a role of its own.")
        findings.passed(TOKEN, "A bucket needs none.")

    async def call(self, findings: Findings, may_again: MayAgain) -> None:
        """Has ClickHouse write the file and read it."""
        del may_again  # once is enough
        bucket = bucket_of(self._settings)
        try:
            await self._files.write_text(bucket, _PATH, _TEXT)
            is_same = await self._files.read_text(bucket, _PATH) == _TEXT
        except UnavailableError as outage:
            findings.failed(REACHED, outage.message, "See that ClickHouse runs: it is what writes to the bucket.")
            return
        except FileError as error:
            outcome = Outcome(_CLASSES[error.fault], message=error.said)
        else:
            outcome = Outcome(OK) if is_same else Outcome(CONFIG, message="What was read is not what was written.")
        findings.passed(REACHED, f"ClickHouse called {self._settings.url}.")
        findings.answered(outcome, f"{_PATH} was written and read")

    async def aclose(self) -> None:
        """Has no connections of its own."""
