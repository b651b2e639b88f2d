"""`stream-app apply`: write clients, integrations and triggers from files to Kafka."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from functools import partial

import click
from pydantic import SecretStr

from stream_app.cli.completing import ObjectId
from stream_app.cli.configuration.change_report import WOULD, show_changes, warn_of_operator
from stream_app.cli.configuration.changes import Statuses, carry_out
from stream_app.cli.configuration.files import read_objects
from stream_app.cli.output import say
from stream_app.cli.parameters import end_undone, files_option, start_command
from stream_app.domain.configuration.fields import listed
from stream_app.domain.configuration.kinds import Kind, Stored
from stream_app.domain.errors import ConfigurationError, HiddenWriteError
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.plan import Action, Plan, PlanRules
from stream_app.domain.plans.planner import make_plan
from stream_app.kafka.cluster.dry_run import check_marked
from stream_app.kafka.configuration.records import read_statuses, read_stored
from stream_app.key_ring import KeyRing, generate_secret_key
from stream_app.opsgenie.endpoints import resolve_endpoint
from stream_app.settings import Settings

ACTOR = "stream-app apply"


@click.command(
    epilog="Example: stream-app apply -f clients.yaml -f triggers.yaml --dry-run",
)
@files_option(
    "YAML or JSON with one or many objects; `-` is stdin. May be repeated.",
    required=True,
)
@click.option(
    "--client",
    "client_id",
    metavar="ID",
    type=ObjectId(Kind.CLIENT, minimum=1),
    help="Client of the triggers and integrations that do not name one.",
)
@click.option(
    "--only-client",
    metavar="ID",
    type=ObjectId(Kind.CLIENT, minimum=1),
    help="Accept only objects of this client; any other in the files is an error.",
)
@click.option("--dry-run", is_flag=True, help="Show what would change, and stop there.")
@click.option(
    "--prune",
    is_flag=True,
    help="Delete triggers and integrations that the files don't hold; needs --yes.",
)
@click.option("--yes", is_flag=True, help="Delete what --prune finds; needed for that.")
@click.option(
    "--no-notify", is_flag=True, help="Send no last message to integrations that go out of use."
)
@click.option("--json", "as_json", is_flag=True, help="Print the changes as JSON.")
def apply(
    files: tuple[str, ...],
    client_id: int | None,
    only_client: int | None,
    *,
    dry_run: bool,
    prune: bool,
    yes: bool,
    no_notify: bool,
    as_json: bool,
) -> None:
    """Create or update clients, integrations and triggers.

    Objects are recognised by their shape (or by `kind`): a trigger has `template_id`, an
    integration `target` and `events`, a client `name` and `cloud`. If one object breaks a rule,
    none is applied. Keys of integrations are sealed before they leave this process.

    Answers of the security cloud's API with triggers or integrations are accepted as they are; add
    --client, because integrations do not name their client there. Integrations of other types than
    opsgenie are left out, and named.

    --prune deletes only objects of the kinds that occur in the files, and only of the clients
    that the files mention; clients themselves are never pruned (`stream-app delete clients`).

    --only-client is for files that a client writes: objects of other clients, or without one, are
    refused before anything is written. Names of keys (`env:STREAM_APP_KEY_<CLIENT>_<NAME>`,
    `file:<client>/<name>`) are always the client's own.

    An integration that is turned off or pruned gets a last message, if it has `system` selected.
    One that the system has disabled stays so until `stream-app integrations enable`.

    Triggers whose condition or reactions are the product's own work (brute force, block_ips and
    others) are checked and kept as they are. Their lines say what is not evaluated here.
    """
    settings = start_command()
    plan, stored, statuses = asyncio.run(
        _plan(settings, read_objects(files, client_id), prune=prune, only_client=only_client)
    )
    needs_yes = any(c.action is Action.DELETED for c in plan.changes) and not (yes or dry_run)
    is_dry = dry_run or needs_yes
    hidden: HiddenWriteError | None = None
    if not is_dry:
        try:
            asyncio.run(
                carry_out(
                    settings, plan.changes, stored, statuses, actor=ACTOR, notify=not no_notify
                )
            )
        except HiddenWriteError as error:
            hidden = error  # what has been written is shown anyway
    show_changes(plan.changes, statuses, dry_run=is_dry, as_json=as_json, left_out=plan.left_out)
    warn_of_operator(settings, plan.changes)
    for change in plan.changes:
        for path in change.key_fields:
            say(f"{change.kind} {change.id}: {path}: left out, it looks like a key")
    actions = [change.action for change in plan.changes]
    shown = [a for a in Action if a is not Action.DELETED or prune]
    if is_dry:
        counts = ", ".join(f"{WOULD[action]} {actions.count(action)}" for action in shown)
        say(f"dry run, nothing applied: {counts}")
    elif hidden is not None:
        raise hidden
    else:
        say("applied: " + ", ".join(f"{actions.count(action)} {action}" for action in shown))
    if needs_yes:
        say("something would be deleted, which needs --yes; without --prune nothing is deleted")
        end_undone(as_json=as_json)


async def _plan(
    settings: Settings,
    objects: Sequence[FileObject],
    *,
    prune: bool,
    only_client: int | None,
) -> tuple[Plan, Stored, Statuses]:
    if settings.dry_run:
        await check_marked(settings)
    rules = rules_of(settings)
    stored, statuses = await read_stored(settings), await read_statuses(settings)
    plan = make_plan(objects, stored, rules, prune=prune, only_client=only_client)
    if plan.problems:
        raise ConfigurationError(f"nothing was applied, {listed(plan.problems)}")
    return plan, stored, statuses


def rules_of(settings: Settings) -> PlanRules:
    """Return the rules by which an installation judges objects.

    A dry run opens no key. Without a secret key it seals with one that is thrown away.

    Raises:
        SealingError: a secret key is not one.
    """
    if settings.dry_run and settings.secret_keys is None:
        settings = with_own_secret(settings)
    return PlanRules(
        now_ms=time.time_ns() // 1_000_000,
        allowed_periods=settings.detector.allowed_periods,
        keeper=KeyRing.from_settings(settings),
        check_api=partial(resolve_endpoint, sandbox_url=settings.delivery.sandbox_url),
    )


def with_own_secret(settings: Settings) -> Settings:
    """Return the settings with a secret key that only this process has."""
    own = SecretStr(generate_secret_key())
    return settings.model_copy(update={"secret_keys": own})
