"""`stream-app heartbeat`: test the heartbeat of the settings before relying on it."""

from __future__ import annotations

import asyncio

import click

from stream_app.cli.output import print_json, print_text, say
from stream_app.cli.parameters import start_command
from stream_app.domain.configuration.integrations import read_integration
from stream_app.domain.configuration.kinds import Kind
from stream_app.domain.delivery.reasons import LocalReason, RefusedError
from stream_app.domain.errors import ConfigurationError, SealingError
from stream_app.domain.reports.integration_state import why_unusable
from stream_app.kafka.configuration.records import read_statuses, read_stored
from stream_app.key_ring import KeyRing
from stream_app.notifier.direct.heartbeat_trial import HeartbeatTrial
from stream_app.notifier.direct.trial_report import Report, Step, StepReporter, TrialResult
from stream_app.opsgenie.destination import (
    Destinations,
    Endpoint,
    ResolveIntegration,
    allowed_endpoint,
)
from stream_app.settings import Settings

ENDINGS = {
    TrialResult.OK: "nothing is wrong with the heartbeat, as far as is known from here",
    TrialResult.INVALID: "nothing was sent: mend the configuration first",
    TrialResult.REFUSED: "refused for good: mend it, then test it again",
    TrialResult.RETRYABLE: "failed, but may work later: test it again",
}
NO_TARGET = (
    "no heartbeat is set: set STREAM_APP_HEARTBEAT__TARGET to opsgenie, jsm or url, and what that "
    "needs (deploy/heartbeat.md)"
)
NO_PING = "nothing was pinged: `stream-app heartbeat --ping` tries that, too"


@click.command(epilog="Example: stream-app heartbeat --ping")
@click.option("--ping", is_flag=True, help="Ping it once, and look whether that arrives.")
@click.option("--json", "as_json", is_flag=True, help="Print the steps as one JSON document.")
def heartbeat(*, ping: bool, as_json: bool) -> None:
    """Test the heartbeat of the settings: is it there and enabled, and do pings reach it?

    Pings are answered with PONG even if there is no such heartbeat; so it is read, too, where the
    service allows that. What cannot be known is said. From the first ping on, the service PAGES
    SOMEBODY when the next ones stay away: use --ping when a notifier is to follow.

    Exit codes: 0 nothing is wrong; 3 invalid configuration; 5 refused for good, or not there;
    6 failed, but may work later.
    """
    settings = start_command()
    if settings.heartbeat.target is None:
        raise ConfigurationError(NO_TARGET)
    resolve = _resolver(settings)
    steps: list[Step] = []
    # The steps are what was asked for; a program gets them as JSON.
    tell = say if as_json else print_text

    def report(step: Step) -> None:
        steps.append(step)
        tell(f"{step.stage}: {step.status}: {step.text}")

    result = asyncio.run(_run(settings, resolve, report, ping=ping))
    if as_json:
        print_json(
            {
                "result": result.name.lower(),
                "exit_code": int(result),
                "steps": [step.as_json() for step in steps],
            }
        )
    tell(ENDINGS[result])
    if not ping and result is TrialResult.OK:
        tell(NO_PING)
    raise click.exceptions.Exit(int(result))


async def _run(
    settings: Settings, resolve: ResolveIntegration, report: Report, *, ping: bool
) -> TrialResult:
    async with Destinations(settings.delivery) as destinations:
        target = destinations.open_heartbeat(settings.heartbeat, resolve)
        if target is None:
            raise ConfigurationError(NO_TARGET)
        return await HeartbeatTrial(target, StepReporter(report)).run(ping=ping)


def _resolver(settings: Settings) -> ResolveIntegration:
    """Return what finds an integration of the configuration as it is now, and opens its key."""
    if settings.heartbeat.target != "opsgenie":
        stored, statuses = {}, {}
    else:
        stored = asyncio.run(read_stored(settings))[Kind.INTEGRATION]
        statuses = asyncio.run(read_statuses(settings))

    def resolve(number: int) -> tuple[Endpoint, str]:
        why = why_unusable(number, stored.get(number), statuses.get(number))
        if why is not None:
            raise RefusedError(
                LocalReason.INTEGRATION_UNAVAILABLE, f"{why}: see `stream-app integrations list`"
            )
        integration, _ = read_integration(stored[number])
        try:
            endpoint = allowed_endpoint(integration.api, settings.delivery)
            key = KeyRing.from_settings(settings).open(integration.key, integration.key_context)
        except SealingError as error:
            raise RefusedError(LocalReason.KEY_UNREADABLE, str(error)) from None
        except ConfigurationError as error:
            raise RefusedError(LocalReason.ENDPOINT_REFUSED, str(error)) from None
        return endpoint, key

    return resolve
