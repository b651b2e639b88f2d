"""Sends the test messages of an integration, asks what became of them, and closes them again.

Each message is one request without resends: a person waits, and can run the command again. None of
this goes through Kafka, so no test ever counts against an integration.
"""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections.abc import Awaitable, Callable, Sequence

import msgspec

from stream_app.domain.alerts.alert import PRODUCT
from stream_app.domain.alerts.trial_text import TrialMessage
from stream_app.domain.configuration.alert_options import Priority
from stream_app.domain.configuration.integrations import Integration
from stream_app.domain.delivery.reasons import AttemptReason, IntegrationType
from stream_app.domain.delivery.status_checks import CheckOutcome
from stream_app.notifier.direct.trial_report import (
    StepReporter,
    StepStatus,
    TrialResult,
    TrialStage,
    result_of,
    worst,
)
from stream_app.opsgenie.destination import Destination, Outcome, RequestCheck, alert_body

#: A key may have the right to create alerts and not to read them: the integration is still fine.
MAY_NOT_READ = (AttemptReason.UNAUTHORIZED, AttemptReason.FORBIDDEN)
REFUSED_LATER = (
    "the service took the request and then made no alert of it: look at the rules of the "
    "integration, and at the service's own logs"
)
#: How long an interrupted test asks whether its alerts are made; a service needs some seconds.
INTERRUPTED_SECONDS = 25.0


class TrialSender:
    """Sends the messages of one test, with the integration's options except its priority."""

    def __init__(
        self,
        destination: Destination,
        check: Callable[[str], Awaitable[RequestCheck]],
        integration: Integration,
        steps: StepReporter,
    ) -> None:
        self._destination = destination
        self._check = check
        self._client_id = integration.client_id
        self._options = msgspec.structs.replace(integration.alert, priority=Priority.P5)
        self._steps = steps
        #: Alias -> event of the alerts that may be open now.
        self._open: dict[str, str] = {}
        #: Alias -> request id, if it came, of those that the service may not have made yet.
        self._unmade: dict[str, str | None] = {}

    async def run(self, messages: Sequence[TrialMessage], *, keep_open: bool) -> TrialResult:
        """Send, ask, and close; close even if the command is interrupted before.

        A close that the service gets before it has made the alert closes nothing. So an interrupted
        command still asks for the state of its requests first.
        """
        what = "1 test alert" if len(messages) == 1 else f"{len(messages)} test alerts"
        text = f"{what} of priority P5 will be sent now, which may page somebody"
        self._steps.say(TrialStage.SEND, StepStatus.NOTE, text)
        results: list[TrialResult] = []
        try:
            sent, result = await self._send_all(messages)
            results.append(result)
            results += await asyncio.gather(*(self._follow(*request) for request in sent))
            self._unmade.clear()
        except asyncio.CancelledError:
            if not keep_open:
                await self._wait_for_alerts()
            raise
        finally:
            for alias, event in self._open.items():
                results.append(await self._close(alias, event, keep_open=keep_open))
        return worst(*results)

    async def _send_all(
        self, messages: Sequence[TrialMessage]
    ) -> tuple[list[tuple[str, str | None]], TrialResult]:
        """Send until a message is not accepted; return (alias, request id) of the accepted ones."""
        sent: list[tuple[str, str | None]] = []
        for number, message in enumerate(messages, start=1):
            alias = f"{PRODUCT}:{self._client_id}:test:{uuid.uuid4().hex}"
            outcome, result = await self._send(message, alias)
            if not outcome.accepted:
                left = ", ".join(skipped.event for skipped in messages[number:])
                if left:
                    self._steps.say(TrialStage.SEND, StepStatus.NOTE, f"not sent: {left}")
                return sent, result
            sent.append((alias, outcome.request_id))
        return sent, TrialResult.OK

    async def _send(self, message: TrialMessage, alias: str) -> tuple[Outcome, TrialResult]:
        body = alert_body(message.title, message.description, alias, message.details, self._options)
        # Noted before the request, which may be accepted even if the command is interrupted.
        self._open[alias], self._unmade[alias] = message.event, None
        outcome = await self._destination.post(body)
        facts = {"event": message.event, "alias": alias, "request_id": outcome.request_id}
        if not outcome.accepted:
            if outcome.status is not None:
                del self._open[alias], self._unmade[alias]
            text = f"{message.event}: not accepted: {outcome.message}"
            return outcome, self._steps.fail(TrialStage.SEND, outcome, text, **facts)
        self._unmade[alias] = outcome.request_id
        text = f'{message.event}: "{message.title}" accepted, request {outcome.request_id}'
        known = {"http_status": outcome.status, **facts}
        return outcome, self._steps.say(TrialStage.SEND, StepStatus.OK, text, known)

    async def _follow(self, alias: str, request_id: str | None) -> TrialResult:
        """Report what became of an accepted message."""
        event = self._open[alias]
        if request_id is None:
            text = f"{event}: the service gave no request id to ask with"
            return self._steps.say(TrialStage.STATUS, StepStatus.UNKNOWN, text, {"event": event})
        return self._say_status(event, request_id, await self._check_made(alias, request_id))

    async def _check_made(self, alias: str, request_id: str) -> RequestCheck:
        check = await self._check(request_id)
        if check.outcome in (CheckOutcome.SUCCESS, CheckOutcome.FAILED):
            self._unmade.pop(alias, None)
        return check

    async def _wait_for_alerts(self) -> None:
        """Wait until the service has made the alerts of accepted messages, as far as it tells."""
        for alias, event in self._open.items():
            text = f"{event}: interrupted: closing it; if that fails, close alias {alias} by hand"
            facts = {"event": event, "alias": alias}
            self._steps.say(TrialStage.CLOSE, StepStatus.NOTE, text, facts)
        known = {alias: number for alias, number in self._unmade.items() if number is not None}
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(INTERRUPTED_SECONDS):
                await asyncio.gather(*(self._check_made(*one) for one in known.items()))

    def _say_status(self, event: str, request_id: str, check: RequestCheck) -> TrialResult:
        is_known = check.outcome in (CheckOutcome.SUCCESS, CheckOutcome.FAILED)
        facts: dict[str, object] = {
            "event": event,
            "request_id": request_id,
            "is_success": check.outcome is CheckOutcome.SUCCESS if is_known else None,
            "status": check.status,
        }
        if check.outcome is CheckOutcome.SUCCESS:
            text = f'{event}: isSuccess true, "{check.status}"'
            return self._steps.say(TrialStage.STATUS, StepStatus.OK, text, facts)
        if check.outcome is CheckOutcome.FAILED:
            text = f'{event}: isSuccess false, "{check.status}": {REFUSED_LATER}'
            return self._steps.say(
                TrialStage.STATUS, StepStatus.FAILED, text, facts, TrialResult.REFUSED
            )
        text = f"{event}: accepted, and what became of it is not known: {check.status}"
        result = self._unknown(check)
        return self._steps.say(TrialStage.STATUS, StepStatus.UNKNOWN, text, facts, result)

    def _unknown(self, check: RequestCheck) -> TrialResult:
        """Return the result if a message was accepted, and what became of it is not known."""
        if check.answer.reason in MAY_NOT_READ:
            return TrialResult.OK
        if check.outcome is CheckOutcome.UNKNOWN:
            is_jsm = self._destination.endpoint.integration_type is IntegrationType.JSM
            return TrialResult.OK if is_jsm else TrialResult.RETRYABLE
        return worst(TrialResult.RETRYABLE, result_of(check.answer))

    async def _close(self, alias: str, event: str, *, keep_open: bool) -> TrialResult:
        facts = {"event": event, "alias": alias}
        if keep_open:
            text = f"{event}: left open, alias {alias}"
            return self._steps.say(TrialStage.CLOSE, StepStatus.NOTE, text, facts)
        outcome = await self._destination.close(alias)
        if outcome.key_works:
            status, text = StepStatus.OK, f"{event}: closed again"
            if alias in self._unmade:
                status = StepStatus.UNKNOWN
                text = (
                    f"{event}: the close may have come before the service made the alert: if it "
                    f"is open, close it by hand, alias {alias}"
                )
            return self._steps.say(TrialStage.CLOSE, status, text, facts)
        text = f"{event}: not closed: {outcome.message}; close it by hand, alias {alias}"
        return self._steps.fail(TrialStage.CLOSE, outcome, text, **facts)
