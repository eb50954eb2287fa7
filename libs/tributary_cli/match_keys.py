"""`tributary match-keys`: says what a destination is sent of a person's e-mail, phone, name, and so on.

So a low match rate can be looked into without guessing.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import click

from tributary_cli.errors import CommandError

_MOST_CHARACTERS = 4_096
_FIELDS = ("field", "value")


@click.command(name="match-keys")
@click.argument("destination")
@click.option(
    "--country",
    metavar="CODE",
    default="",
    help="Where numbers without a country code are from, ISO 3166-1 alpha-2; a line's own `country` comes first.",
)
@click.option("--json", "_", is_flag=True, help="No effect: each line is a JSON document anyway.")
@click.pass_context
def match_keys(ctx: click.Context, destination: str, country: str, _: bool) -> None:
    """Normalise and hash values from standard input, just as DESTINATION is sent them.

    One JSON object per line: {"field": "em", "value": "Ann@Example.com", "country": "US"}, `field` as the destination
    names it (or as events do: email, phone, email_sha256, apple_advertising_ids, ...; one value a line), `country`
    optional. Each is answered at once by a line
    with `field`, `normalized` and `sha256`, which is null for what is sent as it stands; `also` holds further forms
    that are sent beside it. A value that the destination cannot recognise anybody by has `error`, saying why.

    A line that cannot be read, or names no field of the destination, is answered by an `error` with its `line`, stops
    no other, and makes the exit status 1. Nothing that is read is kept, or written anywhere but in the answer.
    """
    from tributary_cli.json_lines import BadLineError, read_lines  # heavy: `--help` does without
    from tributary_domain.match_keys.tables import DESTINATIONS, OTHER_NAMES

    destination = OTHER_NAMES.get(destination, destination)
    if destination not in DESTINATIONS:
        message = f"There is no destination {destination} that people are matched at."
        raise CommandError(message, f"There are: {', '.join(DESTINATIONS)}.")
    if country and not (country := _country(country)):
        message = "The country is no ISO 3166-1 alpha-2 code."
        raise CommandError(message, "Give one like DE or US.")
    bad = 0
    for number, line in enumerate(read_lines(sys.stdin.buffer), start=1):
        if not line.strip():
            continue
        try:
            answer = _answer(destination, line, country)
        except BadLineError as error:
            bad += 1
            answer = {"line": number, "field": error.field or None, "normalized": None, "sha256": None}
            answer["error"] = str(error)
        sys.stdout.buffer.write(json.dumps(answer, ensure_ascii=False).encode() + b"\n")
        sys.stdout.buffer.flush()  # who asks line by line is answered line by line
    if bad:
        click.echo(f"{bad} lines could not be read.", err=True)
        ctx.exit(1)


def _answer(destination: str, line: bytes, country: str) -> dict[str, Any]:
    from tributary_cli.json_lines import BadLineError, check_text, read_object
    from tributary_domain.match_keys.keys import MatchKey, NoKey
    from tributary_domain.match_keys.tables import DESTINATIONS, find_field

    said = read_object(line)
    for name in _FIELDS:
        if name not in said:
            message = "is missing"
            raise BadLineError(message, name)
    asked = check_text(said["field"], "field", _MOST_CHARACTERS)
    value = "" if said["value"] is None else check_text(said["value"], "value", _MOST_CHARACTERS)
    own_country = said.get("country")
    if own_country is not None and own_country != "":
        country = _country(check_text(own_country, "country", _MOST_CHARACTERS))
        if not country:
            message = "is no ISO 3166-1 alpha-2 country code"
            raise BadLineError(message, "country")
    found = find_field(destination, asked)
    if found is None:
        names = ", ".join(field.name for field in DESTINATIONS[destination])
        message = f"is no field of {destination}, which has: {names}"
        raise BadLineError(message, asked)
    field, is_digest = found
    key: MatchKey | NoKey = field.key_of_digest(value) if is_digest else field.key(value, country)
    if isinstance(key, NoKey):
        return {"field": asked, "normalized": None, "sha256": None, "error": key.reason}
    answer: dict[str, Any] = {"field": asked, "normalized": key.normalized, "sha256": key.sha256}
    if key.also:
        answer["also"] = [{"normalized": other.normalized, "sha256": other.sha256} for other in key.also]
    return answer


def _country(code: str) -> str:
    from tributary_domain.match_keys.places import is_country

    code = code.strip().upper()
    return code if is_country(code) else ""
