"""`stream-app integrations test`: test an integration, before or after it is saved."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import click

from stream_app.cli.completing import ObjectId
from stream_app.cli.configuration.apply import rules_of, with_own_secret
from stream_app.cli.configuration.files import read_objects
from stream_app.cli.output import print_json, print_text, say
from stream_app.cli.parameters import start_command
from stream_app.domain.configuration.api_objects import stored_form
from stream_app.domain.configuration.clients import Client, usable_client
from stream_app.domain.configuration.fields import listed
from stream_app.domain.configuration.integrations import (
    Integration,
    is_stored_key,
    read_integration,
)
from stream_app.domain.configuration.kinds import Kind, Stored, kind_of
from stream_app.domain.errors import ConfigurationError, StreamAppError, UsageError
from stream_app.domain.plans.file_object import FileObject
from stream_app.domain.plans.planner import make_plan
from stream_app.domain.plans.unsupported import other_type
from stream_app.kafka.cluster.dry_run import is_dry_run
from stream_app.kafka.configuration.records import read_stored
from stream_app.key_ring import KeyRing
from stream_app.notifier.direct.trial import Trial
from stream_app.notifier.direct.trial_report import (
    Step,
    StepReporter,
    StepStatus,
    TrialResult,
    TrialStage,
)
from stream_app.settings import Settings

ENDINGS = {
    TrialResult.OK: "the integration works",
    TrialResult.INVALID: "the configuration is invalid: mend it first",
    TrialResult.REFUSED: "refused for good: mend it, then test it again",
    TrialResult.RETRYABLE: "failed, but may work later: test it again",
}


_DRY_RUN = (
    "this is a dry run, which sends nothing to anybody: test the integration without "
    "STREAM_APP_DRY_RUN, in the installation that is to use it or from its file with -f"
)


class Subject(NamedTuple):
    """The integration to be tested, its client, and the ring that opens its key."""

    integration: Integration
    client: Client | None
    keys: KeyRing


@click.command(
    "test",
    epilog="Examples: stream-app integrations test -f acme.yaml --silent; "
    "stream-app integrations test 521",
)
@click.argument("integration_id", metavar="[ID]", type=ObjectId(Kind.INTEGRATION), required=False)
@click.option(
    "-f",
    "--file",
    metavar="FILE",
    help="Test an integration of this file (`-`: stdin), without Kafka; ID picks one of several.",
)
@click.option("--silent", is_flag=True, help="Check the key, and send no test message.")
@click.option("--keep-open", is_flag=True, help="Leave the test alerts open.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as one JSON document.")
def test(
    integration_id: int | None, file: str | None, *, silent: bool, keep_open: bool, as_json: bool
) -> None:
    """Test an integration: its configuration, host and key, then a message for each event.

    The key is checked by closing an alert that does not exist, which pages nobody; no service
    documents such a check, and it is not verified against the real one. Then each selected event
    gets one test message, a P5 alert that MAY PAGE somebody, is followed and closed again.

    Nothing is saved, and nothing counts against the integration. Exit codes: 0 it works;
    3 invalid configuration; 5 refused for good; 6 failed, but may work later.
    """
    if integration_id is None and file is None:
        raise UsageError("name the integration by its ID, or a file with -f")
    settings = start_command()
    if settings.dry_run:
        raise UsageError(_DRY_RUN)
    steps: list[Step] = []
    # The steps are what was asked for; a program gets them as JSON.
    tell = say if as_json else print_text

    def report(step: Step) -> None:
        steps.append(step)
        tell(f"{step.stage}: {step.status}: {step.text}")

    subject = _subject(settings, integration_id, file, report)
    result = TrialResult.INVALID
    if subject is not None:
        reporter, hosts = StepReporter(report), settings.console_hosts
        trial = Trial(settings.delivery, subject.keys, reporter, console_hosts=hosts)
        integration, client, _ = subject
        result = asyncio.run(trial.run(integration, client, silent=silent, keep_open=keep_open))
        integration_id = integration.id
    if as_json:
        print_json(
            {
                "integration_id": integration_id,
                "result": result.name.lower(),
                "exit_code": int(result),
                "steps": [step.as_json() for step in steps],
            }
        )
    tell(_ending(result, silent=silent))
    raise click.exceptions.Exit(int(result))


def _ending(result: TrialResult, *, silent: bool) -> str:
    if result is TrialResult.OK and silent:
        return "the host and the key work; no message was sent"
    return ENDINGS[result]


def _subject(
    settings: Settings, number: int | None, file: str | None, report: Callable[[Step], None]
) -> Subject | None:
    """Return what is to be tested, or None after reporting which rule it breaks.

    Raises:
        StreamAppError: there is no such integration, or Kafka does not answer.
    """
    try:
        if file is not None:
            return _of_file(settings, file, number)
        return _of_record(settings, number or 0)
    except ConfigurationError as error:
        report(Step(TrialStage.CONFIGURATION, StepStatus.FAILED, str(error), TrialResult.INVALID))
        return None


def _of_record(settings: Settings, number: int) -> Subject:
    if asyncio.run(is_dry_run(settings)):
        raise UsageError(_DRY_RUN)
    stored = asyncio.run(read_stored(settings))
    record = stored[Kind.INTEGRATION].get(number)
    if record is None:
        raise StreamAppError(
            f"integration {number} is not configured: `stream-app integrations list` shows which "
            "are; -f FILE tests one that is not saved yet"
        )
    integration, problems = read_integration(record)
    if problems:
        raise ConfigurationError(
            f"integration {number} cannot be used: {problems[0]}: mend it with `stream-app apply`"
        )
    client = usable_client(stored[Kind.CLIENT].get(integration.client_id))
    return Subject(integration, client, KeyRing.from_settings(settings))


def _of_file(settings: Settings, file: str, number: int | None) -> Subject:
    """Return the integration of a file as `apply` would store it."""
    objects = read_objects([file])
    chosen = _choose(file, objects, number)
    target = stored_form(chosen.obj).get("target")
    token = target.get("token") if isinstance(target, dict) else None
    if settings.secret_keys is None and not is_stored_key(token):
        # The plan seals a key; a secret key of this process will do, as nothing is stored.
        settings = with_own_secret(settings)
    clients = [item for item in objects if kind_of(item.obj) is Kind.CLIENT]
    plan = make_plan([*clients, chosen], _known_clients(chosen), rules_of(settings))
    if plan.problems:
        raise ConfigurationError(listed(plan.problems))
    records = {(change.kind, change.id): change.record or {} for change in plan.changes}
    (record,) = [record for (kind, _), record in records.items() if kind is Kind.INTEGRATION]
    integration, _ = read_integration(record)
    client = usable_client(records.get((Kind.CLIENT, integration.client_id)))
    return Subject(integration, client, KeyRing.from_settings(settings))


def _choose(file: str, objects: list[FileObject], number: int | None) -> FileObject:
    found = [
        item
        for item in objects
        if kind_of(item.obj) is Kind.INTEGRATION
        and other_type(item.obj, is_answer=item.is_answer) is None
    ]
    ids = [stored_form(item.obj).get("id") for item in found]
    shown = ", ".join(map(str, ids)) or "none"
    if number is not None:
        found = [item for item, known in zip(found, ids, strict=True) if known == number]
        if len(found) != 1:
            raise ConfigurationError(f"{file}: integration {number}: must be there once: {shown}")
    elif len(found) > 1:
        raise UsageError(f"{file} holds the integrations {shown}: add the ID of one")
    elif not found:
        raise ConfigurationError(f"{file}: holds no integration: write one with target and events")
    return found[0]


def _known_clients(chosen: FileObject) -> Stored:
    """Return stored records that hold only the integration's client: Kafka is not asked."""
    number = stored_form(chosen.obj).get("client_id")
    stored: Stored = {kind: {} for kind in Kind}
    if isinstance(number, int):
        stored[Kind.CLIENT][number] = {}
    return stored
