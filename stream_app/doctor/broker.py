"""Checks of the cluster: whether it answers and is new enough, and its replicas and clock."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from aiokafka.protocol.admin import ApiVersionRequest

from stream_app.doctor.check import Finding, fail, ok, warn
from stream_app.domain.events.times import BY_THE_BROKER
from stream_app.domain.reports.problems import amount
from stream_app.kafka.cluster.admin import Admin, contract_counts
from stream_app.kafka.cluster.broker_clock import TOLERANCE_SECONDS, cluster_time
from stream_app.kafka.cluster.connection import resolve_bootstrap
from stream_app.kafka.cluster.topic_copies import NO_LEADER, NO_WRITES, read_copies
from stream_app.kafka.cluster.topics import BROKER_CLOCK, topic_specs
from stream_app.kafka.history.newest_records import read_newest
from stream_app.settings import Settings

SLOW_SECONDS = 1.0
#: Kinds of requests, as Kafka's protocol numbers them.
PRODUCE, FETCH, INIT_PRODUCER_ID = 0, 1, 22
#: Produce requests of this version carry headers and idempotent writes (Kafka 0.11).
HEADERS_VERSION = 3
#: The oldest version of fetch requests that Kafka 4.0 accepts.
KAFKA_4_FETCH_VERSION = 4


async def broker(settings: Settings) -> Sequence[Finding]:
    """Check whether a broker answers, how fast, and whether there is a controller."""
    began = time.monotonic()
    async with Admin(settings) as client:
        cluster = await client.describe_cluster()
    seconds = time.monotonic() - began
    brokers = len(cluster["brokers"])
    text = f"{resolve_bootstrap(settings)} answers in {seconds * 1000:.0f} ms, "
    text += amount(brokers, "broker")
    if cluster["controller_id"] not in {row["node_id"] for row in cluster["brokers"]}:
        return [fail("broker", f"{text}, and no controller is known", "look at the cluster's log")]
    text += f", controller {cluster['controller_id']}"
    if seconds > SLOW_SECONDS:
        return [warn("broker", text, "is the network or the cluster overloaded?")]
    return [ok("broker", text)]


async def version(settings: Settings) -> Sequence[Finding]:
    """Check whether the broker has what the workers need: headers and idempotent writes."""
    name = "broker's version"
    async with Admin(settings) as client:
        # The client itself asks this on each connection, but keeps the answer to itself.
        response: Any = await client._send_request(ApiVersionRequest())  # noqa: SLF001 - as said
    versions = {kind: (oldest, newest) for kind, oldest, newest, *_ in response.api_versions}
    _, newest = versions.get(PRODUCE, (0, 0))
    if newest < HEADERS_VERSION or INIT_PRODUCER_ID not in versions:
        text = f"too old: produce requests up to version {newest}, {HEADERS_VERSION} is needed"
        return [fail(name, text, "use Kafka 2.0 or newer")]
    oldest, _ = versions.get(FETCH, (0, 0))
    text = "Kafka 4.0 or newer" if oldest >= KAFKA_4_FETCH_VERSION else "a Kafka before 4.0"
    return [ok(name, f"{text}, by the requests it takes: headers and idempotent writes are there")]


async def replication(settings: Settings) -> Sequence[Finding]:
    """Compare the copies of each topic with the setting and the number of brokers."""
    name, wanted = "replication", settings.kafka.replication_factor
    async with Admin(settings) as client:
        copies = await read_copies(settings, client)
    findings, brokers = [], len(copies.brokers)
    if wanted > brokers + len(copies.away):
        has = f"the cluster has {amount(brokers, 'broker')}"
        text = f"STREAM_APP_KAFKA__REPLICATION_FACTOR is {wanted}, and {has}"
        findings.append(fail(name, text, "lower it, or add brokers"))
    alike: dict[tuple[str, str], list[str]] = {}
    for one in copies.problems:
        alike.setdefault((one.problem, one.remedy), []).append(one.topic)
    for (what, remedy), topics in alike.items():
        report = fail if what.endswith((NO_LEADER, NO_WRITES)) else warn
        findings.append(report(name, f"{', '.join(topics)}: {what}", remedy))
    if brokers == 1 and not findings:
        text = "one broker, one copy: what it loses is lost"
        return [warn(name, text, "three brokers and a factor of 3 for anything that matters")]
    return findings or [
        ok(name, f"{amount(wanted, 'copy', 'copies')}, {amount(brokers, 'broker')}, all in step")
    ]


async def clocks(settings: Settings) -> Sequence[Finding]:
    """Compare this machine's clock with the cluster's, or with the newest time of a record.

    If the cluster does not tell its time, a record from the future shows that this clock is behind.
    Nothing shows that it is ahead.
    """
    name = "clocks"
    async with Admin(settings) as client:
        known = await contract_counts(client, settings)
        stamp = await cluster_time(client, lambda: time.time_ns() // 1_000_000)
    if stamp is not None:
        return [_difference(name, stamp.ahead_seconds)]
    newest_ms = await _newest_stamp_ms(settings, known)
    ahead_seconds = time.time() - newest_ms / 1000
    if not newest_ms:
        return [warn(name, "not known: no topic has a record yet", "look again when one has")]
    if ahead_seconds < 0:
        return [_difference(name, ahead_seconds)]
    text = f"not behind; the newest record is stamped {ahead_seconds:.0f} s ago"
    if ahead_seconds > TOLERANCE_SECONDS:
        text += ": nothing was written since, or this machine's clock is ahead"
        return [warn(name, text, "the cluster does not tell its time: look at both clocks")]
    return [ok(name, text)]


def _difference(name: str, ahead_seconds: float) -> Finding:
    if abs(ahead_seconds) > TOLERANCE_SECONDS:
        way = "ahead of" if ahead_seconds > 0 else "behind"
        text = f"this machine's clock is {abs(ahead_seconds):.0f} s {way} the brokers'"
        return fail(name, text, "set both by NTP")
    return ok(name, f"this machine's and the brokers' differ by {abs(ahead_seconds):.1f} s")


async def _newest_stamp_ms(settings: Settings, known: Mapping[str, int]) -> int:
    """Return the newest timestamp that a broker has given a record; 0 if there is none."""
    newest_ms = 0
    stamped = [
        spec.name
        for spec in topic_specs(settings)
        if spec.name in known and BROKER_CLOCK.items() <= spec.config.items()
    ]

    def take(record: Any) -> None:
        nonlocal newest_ms
        if record.timestamp_type == BY_THE_BROKER:
            newest_ms = max(newest_ms, record.timestamp)

    if stamped:
        await read_newest(settings, stamped, take, most=sum(known[topic] for topic in stamped))
    return newest_ms
