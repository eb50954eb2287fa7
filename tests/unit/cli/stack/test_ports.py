"""Two stacks of one machine never get the same port."""

from __future__ import annotations

import socket

from tributary_cli.stack.ports import HOST, Ports


def test_a_port_is_not_given_twice_while_it_is_held() -> None:
    with Ports() as one, Ports() as other:
        port = one.take()
        assert not other.hold(port)


def test_a_held_port_can_be_listened_on() -> None:
    with Ports() as ports, socket.create_server((HOST, ports.take())) as server:
        assert server.getsockname()[0] == HOST


def test_a_port_somebody_listens_on_is_not_given() -> None:
    with socket.create_server((HOST, 0)) as server, Ports() as ports:
        assert not ports.hold(server.getsockname()[1])


def test_a_port_is_free_again_after_closing() -> None:
    with Ports() as one:
        port = one.take()
    with Ports() as other:
        assert other.hold(port)
