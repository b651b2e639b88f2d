"""`stream-app doctor`: what works here, what does not, and what to do about it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import asdict

import click

from stream_app.cli.output import Styled, print_json, print_line, print_text, terminal_width
from stream_app.cli.tables import wrapped
from stream_app.doctor import broker, configuration, local, topics
from stream_app.doctor.check import NOT_LOOKED_AT, Check, CheckStatus, Finding, fail, ok, run_checks
from stream_app.domain.errors import ConfigurationError, KafkaUnreachableError
from stream_app.domain.foreign_text.printable import printable
from stream_app.domain.reports.problems import amount
from stream_app.settings import Settings, load_settings

#: In the order of their needs: later checks need what earlier ones look at.
CHECKS = (
    Check("secret keys", local.secret_keys, needs_broker=False),
    Check("disk", local.disk, needs_broker=False),
    Check("metrics page", local.metrics_page, needs_broker=False),
    Check("embedded Kafka", local.embedded_kafka, needs_broker=False),
    Check("sign-in", local.kafka_sign_in, needs_broker=False),
    Check("broker", broker.broker, needs_broker=False, is_broker=True),
    Check("broker's version", broker.version),
    Check("topics", topics.topics),
    Check("records", topics.records, needs_topics=True),
    Check("dead letters", topics.dead_letters, needs_topics=True),
    Check("transactions", topics.transactions, needs_topics=True),
    Check("replication", broker.replication),
    Check("state", topics.state, needs_topics=True),
    Check("workers", topics.groups, needs_topics=True),
    Check("closing", topics.closing, needs_topics=True),
    Check("clocks", broker.clocks),
    Check("client names", configuration.client_names, needs_topics=True),
    Check("API keys", configuration.keys, needs_topics=True),
    Check("endpoints", configuration.endpoints, needs_topics=True),
    Check("operator", configuration.operator, needs_topics=True),
    Check("heartbeat", configuration.heartbeat, needs_topics=True),
)
_STYLES = {CheckStatus.OK: "green", CheckStatus.WARN: "yellow", CheckStatus.FAIL: "red"}
_SETTINGS = "settings"
#: Narrowest column of a finding's text.
_LEAST_WIDTH = 20


@click.command(epilog="Example: stream-app doctor --json | jq 'select(.verdict == \"fail\")'")
@click.option("--json", "as_json", is_flag=True, help="Print each finding as JSON, one per line.")
def doctor(*, as_json: bool) -> None:
    """Check settings, Kafka, topics, keys, integrations and the heartbeat; say what to do.

    It ends with 0 when nothing fails, with 4 when only the broker or the sign-in does, and
    otherwise with 1. That no worker runs is a failure once one has run, and before that a warning.
    It changes nothing, sends no key to anybody, and pings no heartbeat. A check that cannot be
    carried out counts as failed.
    """
    # The findings hold what the libraries would log.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)
    try:
        settings = load_settings()
    except ConfigurationError as error:
        _show(fail(_SETTINGS, str(error), "mend it, then run this again"), as_json=as_json)
        raise click.exceptions.Exit(1) from None
    findings = asyncio.run(_run(settings, as_json=as_json))
    if not as_json:
        print_line()
        print_text(_summary(findings))
    failed = {finding.check for finding in findings if finding.verdict is CheckStatus.FAIL}
    if failed:
        is_about_kafka = "broker" in failed and failed <= {"broker", "sign-in"}
        code = KafkaUnreachableError.exit_code if is_about_kafka else 1
        raise click.exceptions.Exit(code)


async def _run(settings: Settings, *, as_json: bool) -> Sequence[Finding]:
    findings = [ok(_SETTINGS, "valid")]
    _show(findings[0], as_json=as_json)
    async for finding in run_checks(CHECKS, settings):
        findings.append(finding)
        _show(finding, as_json=as_json)
    return findings


def _summary(findings: Sequence[Finding]) -> str:
    """Return the last line: which checks fail, which only warn, and how many were skipped."""
    skipped = {one.check for one in findings if one.text.startswith(NOT_LOOKED_AT)}
    failed, warned = (
        list(dict.fromkeys(one.check for one in findings if one.verdict is verdict))
        for verdict in (CheckStatus.FAIL, CheckStatus.WARN)
    )
    parts = [f"failed: {', '.join(failed)}" if failed else "nothing failed"]
    if rest := [check for check in warned if check not in (*failed, *skipped)]:
        parts.append(f"warnings: {', '.join(rest)}")
    if skipped:
        parts.append(f"{NOT_LOOKED_AT}{amount(len(skipped), 'check')}")
    return "; ".join(parts)


def _show(finding: Finding, *, as_json: bool) -> None:
    if as_json:
        print_json(asdict(finding))
        return
    verdict = Styled(finding.verdict.value.ljust(4), _STYLES[finding.verdict])
    head = f"  {finding.check.ljust(16)}  "
    step = f"->  {finding.next_step}" if finding.next_step else ""
    width, margin = terminal_width(), len(head) + 4
    if width is None or margin + len(f"{finding.text}  {step}") <= width:
        print_line(verdict, head, f"{finding.text}  {step}")
        return
    first, *rest = wrapped(printable(finding.text), max(width - margin, _LEAST_WIDTH))
    print_line(verdict, head, first)
    for line in rest:
        print_line(" " * margin, line)
    if step:
        # Not wrapped: it can be copied whole.
        print_line(f"      {step}")
