"""The client of Redis: whatever ends a connection shows as what adapters translate."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest
import redis
import uvloop

from tributary_storage.redis.client import connect


@pytest.mark.parametrize("new_loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_a_connection_that_is_closed_before_a_command_is_written_is_an_outage(
    redis_url: str, new_loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    async def write() -> None:
        async with connect(redis_url, name="test") as client:
            connection = await client.connection_pool.get_connection()
            try:
                await connection.send_command("PING")
                assert await connection.read_response() == b"PONG"
                connection._writer.transport.abort()
                await asyncio.sleep(0)
                with pytest.raises(redis.ConnectionError):
                    await connection.send_command("PING")
            finally:
                await client.connection_pool.release(connection)
            assert await client.ping(), "the next command is written to another one"

    with asyncio.Runner(loop_factory=new_loop) as runner:
        runner.run(write())
