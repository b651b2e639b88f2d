"""`stream-app get`: show configured objects, in a form that `apply` takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import click

from stream_app.cli.completing import ObjectId, id_option
from stream_app.cli.configuration.yaml_values import dump_all
from stream_app.cli.did_you_mean import PLURALS, KindName
from stream_app.cli.output import print_json, print_lines, print_table, say
from stream_app.cli.parameters import start_command
from stream_app.domain.configuration.kinds import STAMPS, Kind
from stream_app.domain.configuration.known_fields import known_part, unknown_paths
from stream_app.domain.configuration.triggers import read_trigger
from stream_app.domain.errors import StreamAppError, UsageError
from stream_app.domain.plans.api_answers import wrap_answer
from stream_app.domain.plans.keys import shown_form
from stream_app.domain.reports.silent_integrations import silent_integrations, trigger_notes
from stream_app.kafka.configuration.records import read_stored

#: Column for what has no effect here in a trigger.
NOTES = "notes"
#: Kind -> fields of the table; `a.b` is the field `b` of `a`.
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
@click.argument("kind", type=KindName())
@click.argument("object_id", metavar="[ID]", required=False, type=ObjectId())
@click.option(
    "-o",
    "--output",
    type=click.Choice(["table", "yaml", "json", "api"]),
    default="table",
    show_default=True,
    help="How to print them; `stream-app apply` accepts all but the table. api: as the security "
    "cloud's API answers with triggers or integrations.",
)
@click.option("--json", "as_json", is_flag=True, help="The same as `-o json`.")
@id_option(Kind.CLIENT, "Only those of this client.")
def get(
    kind: str, object_id: int | None, output: str, client_id: int | None, *, as_json: bool
) -> None:
    """Show configured triggers, integrations or clients.

    Keys are never shown: `token: (sealed)` stands for one that is stored sealed, and `apply`
    then keeps the stored key. Names of keys (`env:`, `file:`) are shown.

    NOTES in the table says which parts of a trigger are kept but not evaluated here, and which
    trigger tells nobody because none of its integrations takes its alerts.
    """
    chosen = PLURALS[kind]
    if output == "api" and chosen is Kind.CLIENT:
        raise UsageError(
            "-o api: the API has no answer with clients in this form: use -o yaml or -o json"
        )
    settings = start_command()
    stored = asyncio.run(read_stored(settings))
    objects = stored[chosen]
    if object_id is not None and object_id not in objects:
        raise StreamAppError(
            f"{chosen} {object_id} is not configured: `stream-app get {kind}` shows which are"
        )
    found = [
        obj
        for number, obj in sorted(objects.items())
        if object_id in (None, number) and client_id in (None, obj.get("client_id"))
    ]
    for obj in found:
        _say_what_is_not_shown(chosen, obj)
    rows = [shown(chosen, obj) for obj in found]
    if output == "api":
        print_json(wrap_answer(chosen, rows, is_one=object_id is not None))
    elif as_json or output == "json":
        for row in rows:
            print_json(row)
    elif output == "yaml":
        if rows:
            print_lines(dump_all(rows).removesuffix("\n"))
    else:
        columns = COLUMNS[chosen]
        if chosen is Kind.TRIGGER:
            rows = [{**row, NOTES: _notes(row, stored[Kind.INTEGRATION])} for row in rows]
        print_table(
            [_heading(path) for path in columns],
            [[_field(row, path) for path in columns] for row in rows],
        )


def shown(kind: Kind, obj: Mapping[str, object]) -> dict[str, object]:
    """Return a stored object without its key, in the form that `apply` takes."""
    row = shown_form(obj) if kind is Kind.INTEGRATION else obj
    return {"kind": kind.value, **known_part(kind, row)}


def _say_what_is_not_shown(kind: Kind, obj: Mapping[str, object]) -> None:
    """Say which fields of a record are not shown: `apply` refuses fields that it does not know.

    Those that our commands set are left out silently.
    """
    paths = [path for path in unknown_paths(kind, obj) if path not in STAMPS[kind]]
    if paths:
        number = obj.get("client_id" if kind is Kind.CLIENT else "id")
        say(
            f"{kind} {number}: {', '.join(paths)}: not shown, this version does not know it: a "
            "newer one wrote it, or it is a slip that an older `apply` took"
        )


def _notes(record: Mapping[str, object], integrations: Mapping[int, Mapping[str, object]]) -> str:
    trigger, _ = read_trigger(record, allowed_periods=())
    return trigger_notes(trigger, silent_integrations(trigger, integrations))


def _heading(path: str) -> str:
    name = path.rpartition(".")[2]
    return "CLIENT" if name == "client_id" else name.upper()


def _field(row: Mapping[str, object], path: str) -> str:
    name, _, rest = path.partition(".")
    value = row.get(name)
    if rest:
        return _field(value, rest) if isinstance(value, dict) else ""
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
