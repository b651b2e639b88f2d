"""Fixtures for all tests: a clean environment, and a real Kafka for those that ask for it."""

from __future__ import annotations

import functools
import os
import signal
import ssl
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from stream_app.kafka.brokers import bootstrapping
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.kafka.records.fetcher import install_fetcher
from stream_app.opsgenie import client, network
from stream_app.setting_groups import EmbeddedSettings, KafkaSettings
from stream_app.settings import Settings
from tests import java_cache
from tests.contract import command_output
from tests.examples import HAS_FEW_EXAMPLES, examples

# The tests' own clients leave no connection open, either: its warning would fail another test.
bootstrapping.install()
# The product's consumers read this way. So would the tests' own, but only in a process that has run
# certain tests before.
install_fetcher()
command_output.install()


@functools.cache
def _usual_trust() -> ssl.SSLContext:
    return network.create_ssl_context(None)


def _create_ssl_context(ca_file: Path | None) -> ssl.SSLContext:
    return network.create_ssl_context(ca_file) if ca_file else _usual_trust()


# The certificates of the usual authorities are read once, not for the client of each test: that
# takes 15 ms of a core, more than most of these tests do.
vars(client)["create_ssl_context"] = _create_ssl_context

if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell in the background ignores SIGINT, and so would every process that a test starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Slow examples come from a busy machine, and say nothing about a strategy.
hypothesis.settings.register_profile(
    "quiet", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "quiet")
if HAS_FEW_EXAMPLES:
    hypothesis.settings.register_profile("few", hypothesis.settings(), max_examples=examples(100))
    hypothesis.settings.load_profile("few")

ROOT, JARS = java_cache.ROOT, java_cache.JARS
# All brokers start from it, those of commands too.
os.environ.update(java_cache.java_options())

#: Read before any test runs: the environment of a test has no settings.
REAL_KAFKA = os.environ.get("STREAM_APP_KAFKA__BOOTSTRAP_SERVERS")


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STREAM_APP_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Return the address of a broker for all tests. It fails where Kafka cannot start."""
    if REAL_KAFKA:
        yield REAL_KAFKA
        return
    # Each process of a run has its own: one that has the topics of all tests is slower.
    directory = tmp_path_factory.mktemp("kafka")
    broker = EmbeddedKafka(EmbeddedSettings(directory=directory, jars_directory=JARS))
    try:
        yield broker.start()
    finally:
        broker.stop()


@pytest.fixture
def own_kafka(tmp_path: Path) -> Iterator[Callable[[], EmbeddedKafka]]:
    """Return a function that starts a broker for this test alone, which it may stop and kill.

    `stop()` or `kill()`, then `start()`, brings it back at the same address with its data.
    """
    brokers: list[EmbeddedKafka] = []

    def start() -> EmbeddedKafka:
        directory = tmp_path / f"kafka-{len(brokers)}"
        broker = EmbeddedKafka(EmbeddedSettings(directory=directory, jars_directory=JARS))
        brokers.append(broker)
        broker.start()
        return broker

    yield start
    for broker in brokers:
        broker.stop()


@pytest.fixture
def topic_prefix() -> str:
    """Return a prefix that no other test's topics have."""
    return f"t{uuid.uuid4().hex[:10]}."


def shared_kafka(address: str) -> KafkaSettings:
    """Return the settings of a connection to the shared broker.

    Idle workers ask it for records 5 times a second, not 20 times as by default: with many of them
    that was most of its work.
    """
    return KafkaSettings(bootstrap_servers=address, fetch_max_wait_ms=200)


@pytest.fixture
def partitions() -> int:
    """Return how many partitions the topics have that may have many; folders may have fewer."""
    return 4


@pytest.fixture
def settings(kafka: str, topic_prefix: str, partitions: int) -> Settings:
    """Return the settings of an installation of this test's own on the shared broker."""
    return Settings(kafka=shared_kafka(kafka), topic_prefix=topic_prefix, partitions=partitions)
