"""Tests an integration step by step, even before its configuration is saved.

It says in plain words what works and what does not: the configuration, the host, the key and, if
wanted, messages that become alerts. It stores nothing, and sends the key only to allowed hosts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import partial

from stream_app.domain.alerts.trial_text import trial_messages
from stream_app.domain.configuration.clients import Client
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.configuration.repeat_options import RepeatOptions
from stream_app.domain.delivery.reasons import AttemptReason, IntegrationType
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.domain.episodes.descriptions import as_written, in_words
from stream_app.domain.errors import ConfigurationError
from stream_app.key_ring import KeyRing
from stream_app.notifier.direct.trial_messages import TrialSender
from stream_app.notifier.direct.trial_report import (
    StepReporter,
    StepStatus,
    TrialResult,
    TrialStage,
)
from stream_app.opsgenie.destination import (
    UNVERIFIED_PROBE,
    Destination,
    Destinations,
    Endpoint,
    allowed_endpoint,
)
from stream_app.setting_groups import DeliverySettings


@dataclass(frozen=True)
class Trial:
    """Tests one integration; `console_hosts`, by cloud, win over the documented hosts of links."""

    settings: DeliverySettings
    keys: KeyRing
    steps: StepReporter
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep
    console_hosts: Mapping[str, str] | None = None

    async def run(
        self, integration: Integration, client: Client | None, *, silent: bool, keep_open: bool
    ) -> TrialResult:
        """Run the steps until one fails.

        Args:
            integration: it has passed the rules of `apply`.
            client: its client; None: not known, and not named in the messages.
            silent: send no message.
            keep_open: leave the alerts of the messages open.
        """
        try:
            endpoint, key = self._open(integration)
        except ConfigurationError as error:
            stage, invalid = TrialStage.CONFIGURATION, TrialResult.INVALID
            return self.steps.say(stage, StepStatus.FAILED, str(error), result=invalid)
        self._say_configuration(integration, endpoint, client)
        self._say_alerts(integration.repeats, endpoint)
        async with Destinations(self.settings) as destinations:
            destination = destinations.open(endpoint, key)
            result = await self._try_host(destination)
            if result is TrialResult.OK:
                result = await self._try_key(destination)
            if result is TrialResult.OK and not silent:
                check = partial(
                    destination.check, sleep=self.sleep, scale=self.settings.retry_scale
                )
                sender = TrialSender(destination, check, integration, self.steps)
                messages = trial_messages(integration.events, client, self.console_hosts)
                result = await sender.run(messages, keep_open=keep_open)
        return result

    def _open(self, integration: Integration) -> tuple[Endpoint, str]:
        endpoint = allowed_endpoint(integration.api, self.settings)
        return endpoint, self.keys.open(integration.key, integration.key_context)

    async def _try_host(self, destination: Destination) -> TrialResult:
        reached = await destination.reach()
        if not reached.is_reached:
            return self.steps.fail(TrialStage.HOST, reached.outcome, reached.text)
        status = reached.outcome.status
        return self.steps.say(TrialStage.HOST, StepStatus.OK, reached.text, {"http_status": status})

    async def _try_key(self, destination: Destination) -> TrialResult:
        outcome = await destination.probe()
        facts = {"probe": "unverified"}
        if not outcome.key_works:
            text = f"the key does not work: {outcome.message} ({UNVERIFIED_PROBE})"
            result = self.steps.fail(TrialStage.KEY, outcome, text, **facts)
            if outcome.reason is AttemptReason.UNAUTHORIZED:
                await self._try_other_region(destination)
            return result
        text = (
            f"the key works: HTTP {outcome.status} to closing an alert that does not exist, "
            f"which pages nobody ({UNVERIFIED_PROBE})"
        )
        known = {"http_status": outcome.status, "request_id": outcome.request_id, **facts}
        self.steps.say(TrialStage.KEY, StepStatus.OK, text, known)
        if outcome.accepted and outcome.request_id:
            await self._follow_probe(destination, outcome.request_id)
        return TrialResult.OK

    async def _follow_probe(self, destination: Destination, request_id: str) -> None:
        """Report what became of the probe. Whatever it is, the key was accepted."""
        check = await destination.check(request_id, self.sleep, self.settings.retry_scale)
        facts = {"request_id": request_id, "status": check.status, "probe": "unverified"}
        if check.outcome in (CheckOutcome.SUCCESS, CheckOutcome.FAILED):
            expected = ", as it must be" if check.outcome is CheckOutcome.FAILED else ""
            status, text = StepStatus.OK, f'that request has ended with "{check.status}"{expected}'
        else:
            status = StepStatus.UNKNOWN
            text = f"what became of that request is not known: {check.status}"
        self.steps.say(TrialStage.KEY, status, text, facts)

    async def _try_other_region(self, destination: Destination) -> None:
        """Try a refused key at the other region of the same service, and report what that says."""
        found = destination.other_region()
        if found is None:
            return
        region, elsewhere = found
        outcome = await elsewhere.probe()
        facts: dict[str, object] = {"region": region, "http_status": outcome.status}
        if outcome.key_works:
            facts["use"] = elsewhere.endpoint.alerts_url
            text = f"the key belongs to the {region} instance: use {facts['use']}"
        elif outcome.reason is AttemptReason.UNAUTHORIZED:
            text = f"the {region} instance refuses the key, too: it is wrong or turned off"
        else:
            text = f"the {region} instance could not be asked: {outcome.message}"
        self.steps.say(TrialStage.KEY, StepStatus.NOTE, text, facts)

    def _say_configuration(
        self, integration: Integration, endpoint: Endpoint, client: Client | None
    ) -> None:
        events = ", ".join(integration.events) or "none, only triggers send to it"
        parts = [
            f'integration {integration.id} "{integration.name}" is valid',
            f"to {endpoint.alerts_url}",
            f"events: {events}",
        ]
        if not integration.active:
            parts.append("it is turned off, and gets nothing but this test")
        if client is None:
            parts.append("its client is not known here, and not named in messages")
        facts = {"api": endpoint.alerts_url, "events": list(integration.events)}
        self.steps.say(TrialStage.CONFIGURATION, StepStatus.OK, "; ".join(parts), facts)

    def _say_alerts(self, options: RepeatOptions, endpoint: Endpoint) -> None:
        """Say what the chosen options make of one attack, and what is not documented of it."""
        text = f"{as_written(options)}: {in_words(options)}"
        self.steps.say(TrialStage.ALERTS, StepStatus.OK, text)
        is_jsm = endpoint.integration_type is IntegrationType.JSM
        if is_jsm and options.has_episodes and options.repeat_notes:
            self.steps.say(
                TrialStage.ALERTS,
                StepStatus.NOTE,
                "Jira Service Management documents notes by an integration's key, but not their "
                "path: Opsgenie's (/notes) is used, and is not verified there; repeat_notes: "
                "false does without",
            )
