"""What a run of the demo has done, for its end: events, alerts, deliveries, requests."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import httpx
from prometheus_client.parser import text_string_to_metric_families

from stream_app.opsgenie.sandbox.state import RequestView

#: A worker that does not answer by then is not waited for: it is to be stopped.
ANSWER_SECONDS = 1.0
ALERTS = "stream_app_alerts_total"
FINISHED = "stream_app_deliveries_total"
PENDING = "stream_app_pending_deliveries"


@dataclass(frozen=True)
class Summary:
    """What a run has done; None: the worker that knows it did not answer."""

    seconds: float
    events: int
    alerts: int | None
    deliveries: Mapping[str, int] | None
    requests: Mapping[str, int]

    def text(self) -> str:
        """Return it in sentences."""
        return (
            f"In {self.seconds:.0f} s: {_amount(self.events, 'event')} sent, "
            f"{_amount(self.alerts, 'alert')} fired.\n"
            f"The notifier has {_with_parts(self.deliveries, 'delivery', 'deliveries')}.\n"
            f"The sandbox saw {_with_parts(self.requests, 'request')}."
        )


def request_result(request: RequestView) -> str:
    """Return what the sandbox did with a request, in a word or two."""
    if request.fault:
        return "failed on demand"
    return "accepted" if 200 <= request.status < 300 else "refused"  # noqa: PLR2004 - HTTP's


async def summary_of(
    detector: str, notifier: str, *, seconds: float, events: int, requests: Mapping[str, int]
) -> Summary:
    """Ask the workers at these addresses, and return the summary."""
    counted, delivered = await asyncio.gather(_metrics(detector), _metrics(notifier))
    deliveries = None
    if delivered is not None:
        deliveries = {outcome: number for (name, outcome), number in delivered.items()
                      if name in (FINISHED, PENDING)}  # fmt: skip
    alerts = None
    if counted is not None:
        alerts = sum(number for (name, _), number in counted.items() if name == ALERTS)
    return Summary(seconds, events, alerts, deliveries, dict(requests))


async def _metrics(url: str) -> dict[tuple[str, str], int] | None:
    """Return the sums of a worker's samples by name and outcome; None if it does not answer."""
    found: Counter[tuple[str, str]] = Counter()
    with contextlib.suppress(httpx.HTTPError, ValueError):
        async with httpx.AsyncClient(trust_env=False, timeout=ANSWER_SECONDS) as http:
            text = (await http.get(f"{url}/metrics")).raise_for_status().text
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                outcome = "pending" if sample.name == PENDING else sample.labels.get("outcome", "")
                if sample.name in (ALERTS, FINISHED, PENDING):
                    found[sample.name, outcome] += int(sample.value)
        return dict(found)
    return None


def _amount(number: int | None, one: str, many: str = "") -> str:
    """Return a number with its unit."""
    if number is None:
        return f"an unknown number of {many or one + 's'}"
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def _with_parts(parts: Mapping[str, int] | None, one: str, many: str = "") -> str:
    """Return a sum with its unit and parts; parts of 0 are left out."""
    if parts is None:
        return _amount(None, one, many)
    shown = [f"{number:,} {name.replace('_', ' ')}" for name, number in parts.items() if number]
    return ": ".join([_amount(sum(parts.values()), one, many), ", ".join(shown)]).rstrip(": ")
