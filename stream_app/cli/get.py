"""`stream-app get`: show configured objects, in a form that `apply` takes."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import click
import yaml

from stream_app.cli.changes import PLURALS
from stream_app.cli.output import print_json, print_table
from stream_app.domain.errors import StreamAppError
from stream_app.domain.plan_keys import shown_form
from stream_app.domain.plans import STAMPS, Kind
from stream_app.domain.trigger_notes import notes_of
from stream_app.kafka.config_records import read_stored
from stream_app.logs import configure_logs
from stream_app.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

#: Column of what a trigger says that does nothing here.
NOTES = "notes"
#: Kind -> fields of the table; `a.b` stands inside `a`.
COLUMNS = {
    Kind.CLIENT: ("client_id", "name", "cloud"),
    Kind.INTEGRATION: (
        "id", "client_id", "name", "active", "type", "target.api", "target.token",
    ),
    Kind.TRIGGER: (
        "id", "client_id", "name", "enabled", "template_id", "threshold.count", "threshold.period",
        NOTES,
    ),
}  # fmt: skip


@click.command(epilog="Example: stream-app get triggers --client 1111 -o yaml > triggers.yaml")
@click.argument("kind", type=click.Choice(sorted(PLURALS)))
@click.argument("object_id", metavar="[ID]", required=False, type=int)
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "yaml", "json"]),
    default="table",
    show_default=True,
    help="How to print them; yaml and json can be given to `stream-app apply`.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as `-o json`.")
@click.option("--client", "client_id", type=int, help="Only those of this client.")
def get(
    kind: str, object_id: int | None, output: str, client_id: int | None, *, as_json: bool
) -> None:
    """Show configured triggers, integrations or clients.

    Keys are never shown: `token: (sealed)` stands for one that is stored sealed, and `apply`
    takes it as the key that it has. Names of keys (`env:`, `file:`) are shown.

    NOTES in the table says what of a trigger is kept, but not evaluated here, and which trigger
    names no integration.
    """
    settings = load_settings()
    configure_logs(settings.log)
    chosen = PLURALS[kind]
    objects = asyncio.run(read_stored(settings))[chosen]
    if object_id is not None and object_id not in objects:
        raise StreamAppError(
            f"{chosen} {object_id} is not configured: `stream-app get {kind}` shows which are"
        )
    rows = [
        _shown(chosen, obj)
        for number, obj in sorted(objects.items())
        if object_id in (None, number) and client_id in (None, obj.get("client_id"))
    ]
    if as_json or output == "json":
        print_json(rows)
    elif output == "yaml":
        if rows:
            click.echo(yaml.safe_dump_all(rows, sort_keys=False, allow_unicode=True), nl=False)
    else:
        columns = COLUMNS[chosen]
        if chosen is Kind.TRIGGER:
            rows = [{**row, NOTES: notes_of(row)} for row in rows]
        print_table(
            [path.rpartition(".")[2].upper() for path in columns],
            [[_field(row, path) for path in columns] for row in rows],
        )


def _shown(kind: Kind, obj: Mapping[str, object]) -> dict[str, object]:
    shown = shown_form(obj) if kind is Kind.INTEGRATION else dict(obj)
    for name in STAMPS[kind]:
        shown.pop(name, None)
    return {"kind": kind.value, **shown}


def _field(row: Mapping[str, object], path: str) -> str:
    name, _, rest = path.partition(".")
    value = row.get(name)
    if rest:
        return _field(value, rest) if isinstance(value, dict) else ""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
