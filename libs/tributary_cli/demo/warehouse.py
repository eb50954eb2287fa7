"""Asks ClickHouse itself, past every service: the outside view that the checks compare with the truth."""

from __future__ import annotations

import json
from typing import Any

import httpx


class Warehouse:
    """ClickHouse's HTTP interface; one statement per call."""

    def __init__(self, address: str, database: str, workspace: str) -> None:
        """Connects lazily.

        Args:
            address: host:port of the HTTP interface.
            database: The installation's database.
            workspace: Bound as `{workspace:String}` in every statement.
        """
        self._client = httpx.AsyncClient(base_url=f"http://{address}", timeout=30, trust_env=False)
        self._parameters = {"database": database, "param_workspace": workspace, "default_format": "JSONEachRow"}

    async def rows(self, statement: str) -> list[dict[str, Any]]:
        """Returns the rows of a SELECT; 64-bit integers come as numbers.

        Raises:
            httpx.HTTPError: ClickHouse did not answer, or refused the statement.
        """
        parameters = {**self._parameters, "output_format_json_quote_64bit_integers": "0"}
        answer = await self._client.post("/", params=parameters, content=statement)
        answer.raise_for_status()
        return [json.loads(line) for line in answer.text.splitlines()]

    async def number(self, statement: str) -> int:
        """Returns the only number of a SELECT."""
        (row,) = await self.rows(statement)
        (number,) = row.values()
        return int(number)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._client.aclose()
