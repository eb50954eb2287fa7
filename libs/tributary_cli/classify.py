"""`tributary classify`: says of visits, one per line, which channel they are and why, and whether a bot made them."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from tributary_cli.errors import CommandError

if TYPE_CHECKING:
    from tributary_domain.addresses import AddressBook
    from tributary_runtime.workspaces import Workspace


@click.command()
@click.option(
    "--workspaces-file",
    type=click.Path(dir_okay=False, path_type=Path),
    envvar="TRIBUTARY_WORKSPACES_FILE",
    show_envvar=True,
    help="workspaces.yaml, for a workspace's own domains, rules and address lists.",
)
@click.option("--workspace", metavar="ID", help="Which workspace of the file; unset: the only one of the file named.")
@click.option("--details", is_flag=True, help="Say more: warnings, what was recovered, what the user agent is.")
@click.option("--json", "_", is_flag=True, help="No effect: each line is a JSON document anyway.")
@click.pass_context
def classify(ctx: click.Context, workspaces_file: Path | None, workspace: str | None, details: bool, _: bool) -> None:
    """Classify visits from standard input, by the rules of the door.

    One JSON object per line, with any of user_agent, client_ip, page_url, referrer_url, utm_source, utm_medium and
    utm_campaign. Other fields are passed over, unless one looks like these (referer), or there is none of these: that
    is an error, for the answer would be Direct. Each line is answered at once by a line with channel, source, medium,
    campaign, click_ids, bot, bot_name and rule: the rule that decided. What is empty is null; a visit that is no new
    touch (a return from a payment page, a step inside the own site) has no channel. A line that cannot be read is
    answered by an object with `error`, and the exit status is then 1.
    """
    from tributary_cli.json_lines import BadLineError, read_lines
    from tributary_cli.visit_lines import classify as classify_visit  # heavy: `--help` does without
    from tributary_cli.visit_lines import read_visit
    from tributary_domain.addresses import NO_ADDRESSES
    from tributary_domain.channel import ChannelClassifier
    from tributary_runtime.workspace_channels import channels_of

    is_asked_for = ctx.get_parameter_source("workspaces_file") is not ParameterSource.ENVIRONMENT
    declared = _find(workspaces_file, workspace) if workspace is not None or is_asked_for else None
    channels = channels_of(declared) if declared is not None else ChannelClassifier()
    addresses = _addresses_of(declared) if declared is not None else NO_ADDRESSES
    bad = 0
    for number, line in enumerate(read_lines(sys.stdin.buffer), start=1):
        if not line.strip():
            continue
        try:
            answer = classify_visit(read_visit(line), channels, addresses, details=details)
        except BadLineError as error:
            bad += 1
            answer = {"line": number, "field": error.field or None, "error": str(error)}
        sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")  # UTF-8 on every terminal
        sys.stdout.buffer.flush()  # who asks line by line is answered line by line
    if bad:
        click.echo(f"{bad} lines could not be read.", err=True)
        ctx.exit(1)


def _addresses_of(workspace: Workspace) -> AddressBook:
    from tributary_runtime.address_lists import InvalidAddressListError, read_book

    try:
        return read_book(workspace.bot_addresses)
    except InvalidAddressListError as error:
        raise CommandError(error.message, "Mend the list; the door goes on with what it read before.") from error


def _find(file: Path | None, workspace_id: str | None) -> Workspace | None:
    if file is None:
        if workspace_id is None:
            return None
        message = f"The rules of workspace {workspace_id} are in no file."
        raise CommandError(message, "Name the file: --workspaces-file workspaces.yaml.")
    from tributary_runtime.workspaces_file import InvalidWorkspacesError, parse_workspaces

    try:
        workspaces = parse_workspaces(file, resolve_secrets=False)
    except InvalidWorkspacesError as error:
        message = f"{file} cannot be used."
        raise CommandError(message, "Mend what is wrong with it.", "\n".join(error.problems)) from error
    if workspace_id is not None:
        found = workspaces.by_id.get(workspace_id)
        if found is None:
            message = f"{file} has no workspace {workspace_id}."
            raise CommandError(message, f"It has: {', '.join(workspaces.by_id) or 'none'}.")
        return found
    if len(workspaces.workspaces) != 1:
        message = f"{file} has {len(workspaces.workspaces)} workspaces."
        raise CommandError(message, "Say which one: --workspace ID.")
    return workspaces.workspaces[0]
