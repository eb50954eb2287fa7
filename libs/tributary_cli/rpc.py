"""How commands call services: a channel, the API key, and what an error means for the user."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from tributary_cli.errors import CommandError
from tributary_cli.local import data_option

if TYPE_CHECKING:
    import grpc

_Command = TypeVar("_Command", bound=Callable[..., Any])

_OPTIONS = [
    ("grpc.max_receive_message_length", 64 * 2**20),
    ("grpc.max_reconnect_backoff_ms", 5_000),  # else who is patient would find a service back after minutes only
]
_NEXT_STEPS = {
    "UNAVAILABLE": "Is it running? `tributary up` starts everything here; --target names another address.",
    "DEADLINE_EXCEEDED": "It is slow or unreachable; try again, or ask `tributary doctor`.",
    "UNAUTHENTICATED": "Check --api-key or TRIBUTARY_API_KEY; `tributary keys create` makes a key.",
    "PERMISSION_DENIED": "Use a key with that scope; `tributary keys create --scope ...` makes one.",
    "UNIMPLEMENTED": "Is this the address of the right service, in a version that can do this?",
}


def connection_options(service: str) -> Callable[[_Command], _Command]:
    """Adds --target, --api-key, --tls and --data to a command that calls `service`.

    Without --target and --api-key, those of the local installation in --data are used.
    """

    def add(command: _Command) -> _Command:
        for option in (
            data_option,
            _file_option("--tls-key", "Its key, PEM."),
            _file_option("--tls-certificate", "Your own certificate, PEM, where callers must show one (mTLS)."),
            _file_option("--tls-ca", "Who signs the server's certificate, PEM; default: whom the system trusts."),
            click.option("--tls", is_flag=True, help="Connect over TLS; so do the options that name its files."),
            click.option("--api-key", envvar="TRIBUTARY_API_KEY", show_envvar=True, help="trb_..."),
            click.option(
                "--target",
                envvar=f"TRIBUTARY_{service.upper()}_TARGET",
                show_envvar=True,
                help=f"Where {service} is, host:port.",
            ),
        ):
            command = option(command)
        return command

    return add


def _file_option(name: str, about: str) -> Callable[[_Command], _Command]:
    """Makes an option whose file `credentials_of` finds; commands do not see it."""

    def keep(context: click.Context, _option: click.Parameter, path: Path | None) -> None:
        if path is not None:
            context.meta[f"{__name__}{name}"] = path

    kind = click.Path(path_type=Path, exists=True, dir_okay=False, readable=True)
    return click.option(name, type=kind, callback=keep, expose_value=False, help=about)


def credentials_of(*, tls: bool) -> grpc.ChannelCredentials | None:
    """Returns the credentials of a channel, or None to send in the clear.

    Raises:
        CommandError: A certificate was given without its key, or a key without its certificate.
    """
    import grpc  # heavy: only who calls pays

    context = click.get_current_context(silent=True)
    named: list[Path | None] = [
        None if context is None else context.meta.get(f"{__name__}{name}")
        for name in ("--tls-ca", "--tls-key", "--tls-certificate")
    ]
    if not tls and not any(named):
        return None
    authority, key, certificate = (None if path is None else path.read_bytes() for path in named)
    if (key is None) != (certificate is None):
        raise CommandError("A certificate and its key belong together.", "Give --tls-certificate and --tls-key.")
    return grpc.ssl_channel_credentials(authority, key, certificate)


def metadata_of(api_key: str) -> tuple[tuple[str, str], ...]:
    """Returns the metadata that says who calls."""
    return (("authorization", f"Bearer {api_key}"),)


@contextmanager
def open_channel(target: str, *, tls: bool) -> Iterator[grpc.Channel]:
    """Opens a channel and closes it on exit; connects lazily."""
    import grpc

    credentials = credentials_of(tls=tls)
    with (
        grpc.insecure_channel(target, _OPTIONS)
        if credentials is None
        else grpc.secure_channel(target, credentials, _OPTIONS)
    ) as channel:
        yield channel


def explain(code: grpc.StatusCode, said: str, target: str) -> CommandError:
    """Turns the status of a failed call into what the user needs to know.

    Args:
        code: Its code.
        said: Its message.
        target: Whom we called.
    """
    if code.name == "UNAVAILABLE" and "connect" in said.lower():
        said = "nobody answers there"
    return CommandError(f"{target}: {code.name}: {said}", _NEXT_STEPS.get(code.name, ""))


def explain_call(error: grpc.RpcError, target: str) -> CommandError:
    """As `explain`, for an error as a stub raises it, with what the answer says about single fields."""
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    call = cast("grpc.Call", error)  # what the stubs do not say: the error is the call
    explained = explain(call.code(), call.details() or "", target)
    status = rpc_status.from_call(call)
    for detail in status.details if status is not None else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            lines = [f"{violation.field}: {violation.description}" for violation in bad.field_violations]
            explained.detail = "\n".join(lines)
    return explained


@contextmanager
def explaining_calls(target: str) -> Iterator[None]:
    """Turns what calls made inside raise into what the user needs to know: `explain_call`.

    Raises:
        CommandError: A call failed.
    """
    import grpc

    try:
        yield
    except grpc.RpcError as error:
        raise explain_call(error, target) from error


def reasons_of(error: grpc.RpcError) -> list[str]:
    """Returns the stable reasons of single fields that an error gives, as a stub raises it."""
    from google.rpc import error_details_pb2
    from grpc_status import rpc_status

    status = rpc_status.from_call(cast("grpc.Call", error))
    reasons: list[str] = []
    for detail in status.details if status is not None else ():
        bad = error_details_pb2.BadRequest()
        if detail.Unpack(bad):
            reasons += [violation.reason for violation in bad.field_violations]
    return reasons
