"""Fixtures for all tests: a clean environment, and a real Kafka for those that ask for it."""

from __future__ import annotations

import os
import signal
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import hypothesis
import pytest

from stream_app.kafka.cluster import bootstrapping
from stream_app.kafka.embedded.broker import EmbeddedKafka
from stream_app.setting_groups import EmbeddedSettings, KafkaSettings
from stream_app.settings import Settings
from tests.examples import HAS_FEW_EXAMPLES, examples
from tests.processes import STREAM_APP, run

# The tests' own clients leave no connection open, either: its warning would fail another test.
bootstrapping.install()

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

ROOT = Path(__file__).parents[1]
JARS = ROOT / ".local" / "jars"
#: Read before any test runs: the environment of a test has no settings.
REAL_KAFKA = os.environ.get("STREAM_APP_KAFKA__BOOTSTRAP_SERVERS")


#: What the shared broker is told.
SHARED_SETTINGS = ("directory", "jars_directory", "heap_mb")
#: Longest start of a broker, with its download.
START_SECONDS = 600


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("STREAM_APP_")]:
        monkeypatch.delenv(name)


def _shared_broker(tmp_path_factory: pytest.TempPathFactory) -> EmbeddedSettings:
    """Return the settings of the one broker of all processes of this run."""
    directory = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        directory = directory.parent  # that of the process that started this one
    return EmbeddedSettings(directory=directory / "kafka", jars_directory=JARS, heap_mb=1024)


@pytest.fixture(scope="session")
def kafka(tmp_path_factory: pytest.TempPathFactory) -> str:
    """Return the address of a broker for all tests. It fails where Kafka cannot start."""
    if REAL_KAFKA:
        return REAL_KAFKA
    settings = _shared_broker(tmp_path_factory).model_dump(include={*SHARED_SETTINGS})
    env = {f"STREAM_APP_EMBEDDED__{name.upper()}": str(value) for name, value in settings.items()}
    # The first process that asks starts it; the others wait for that. By a command, because the
    # broker outlives the process that asks.
    started = run([*STREAM_APP, "kafka", "start"], os.environ | env, timeout=START_SECONDS)
    assert started.returncode == 0, started.stderr
    return started.stdout.strip()


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the shared broker when all processes are done with it."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        settings = _shared_broker(session.config._tmp_path_factory)  # type: ignore[attr-defined]
        EmbeddedKafka(settings).stop()


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


@pytest.fixture
def settings(kafka: str, topic_prefix: str) -> Settings:
    """Return the settings of an installation of this test's own on the shared broker."""
    return Settings(
        kafka=KafkaSettings(bootstrap_servers=kafka), topic_prefix=topic_prefix, partitions=4
    )
