"""`stream-app topics` as a process, against a real broker."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from stream_app.domain.errors import KafkaUnreachableError
from stream_app.kafka.cluster.connection import resolve_bootstrap
from stream_app.kafka.cluster.topics import BROKER_CLOCK, topic_specs
from stream_app.kafka.embedded.ports import free_port
from stream_app.setting_groups import EmbeddedSettings
from stream_app.settings import Settings
from tests import processes
from tests.processes import STREAM_APP

Done = subprocess.CompletedProcess[str]
Run = Callable[..., Done]


def stream_app(cwd: Path, *args: str, **environ: str) -> Done:
    return processes.run((*STREAM_APP, *args), os.environ | environ, cwd=cwd)


@pytest.fixture
def topics(settings: Settings, kafka: str, tmp_path: Path) -> Run:
    """Run `stream-app topics` for this test's installation."""

    def run(*args: str, **environ: str) -> Done:
        common = {
            "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": kafka,
            "STREAM_APP_TOPIC_PREFIX": settings.topic_prefix,
            "STREAM_APP_PARTITIONS": str(settings.partitions),
        }
        return stream_app(tmp_path, "topics", *args, **(common | environ))

    return run


async def _with_admin(bootstrap: str, work: Callable[[AIOKafkaAdminClient], Any]) -> Any:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        return await work(admin)
    finally:
        await admin.close()


def make(bootstrap: str, topic: NewTopic) -> None:
    asyncio.run(_with_admin(bootstrap, lambda admin: admin.create_topics([topic])))
    wait_for_partitions(bootstrap, topic.name, topic.num_partitions)


def add_partitions(bootstrap: str, topic: str, count: int) -> None:
    new = {topic: NewPartitions(total_count=count)}
    asyncio.run(_with_admin(bootstrap, lambda admin: admin.create_partitions(new)))
    wait_for_partitions(bootstrap, topic, count)


def configure(bootstrap: str, topic: str, name: str, value: str) -> None:
    change = [ConfigResource(ConfigResourceType.TOPIC, topic, {name: value})]
    asyncio.run(_with_admin(bootstrap, lambda admin: admin.alter_configs(change)))
    wait_until(lambda: config_of(bootstrap, {topic: [name]}) == {topic: {name: value}})


def config_of(bootstrap: str, names: Mapping[str, Iterable[str]]) -> dict[str, dict[str, str]]:
    """Return the named settings of each topic."""
    questions = [
        ConfigResource(ConfigResourceType.TOPIC, topic, dict.fromkeys(settings))
        for topic, settings in names.items()
    ]
    responses = asyncio.run(_with_admin(bootstrap, lambda admin: admin.describe_configs(questions)))
    return {
        topic: {entry[0]: entry[1] for entry in entries}
        for response in responses
        for _, _, _, topic, entries in response.resources
    }


def wait_for_partitions(bootstrap: str, topic: str, count: int) -> None:
    def has_them() -> bool:
        rows = asyncio.run(_with_admin(bootstrap, lambda admin: admin.describe_topics([topic])))
        return len(rows[0]["partitions"]) == count

    wait_until(has_them)


def wait_until(is_so: Callable[[], bool]) -> None:
    """Wait until the broker knows of a change that the controller has accepted."""
    deadline = time.monotonic() + 20
    while not is_so():
        assert time.monotonic() < deadline, "the broker does not show the change"
        time.sleep(0.05)


def known(bootstrap: str, prefix: str) -> set[str]:
    names = asyncio.run(_with_admin(bootstrap, lambda admin: admin.list_topics()))
    return {name for name in names if name.startswith(prefix)}


def rows(done: Done) -> list[dict[str, Any]]:
    return [json.loads(line) for line in done.stdout.splitlines()]


def problems(done: Done) -> dict[str, tuple[str, str]]:
    assert done.returncode == 3, done
    return {row["topic"]: (row["problem"], row["remedy"]) for row in rows(done)}


def test_all_topics_are_made_once_and_then_fit(topics: Run, kafka: str, settings: Settings) -> None:
    wanted = {spec.name for spec in topic_specs(settings)}

    made = rows(topics("create", "--json"))
    assert {row["topic"] for row in made} == wanted
    assert known(kafka, settings.topic_prefix) == wanted

    again = topics("create")
    assert (again.returncode, again.stdout) == (0, "")
    assert again.stderr == "all topics exist\n"
    checked = topics("check")
    assert (checked.returncode, checked.stdout) == (0, "")
    listed = {row["topic"]: row for row in rows(topics("list", "--json"))}
    assert set(listed) == wanted
    for spec in topic_specs(settings):
        assert listed[spec.name]["partitions"] == spec.partitions


def test_two_commands_at_once_make_each_topic_once(topics: Run, settings: Settings) -> None:
    with ThreadPoolExecutor(2) as pool:
        done = list(pool.map(lambda _: topics("create", "--json"), range(2)))

    assert [one.returncode for one in done] == [0, 0], done
    made = [row["topic"] for one in done for row in rows(one)]
    assert sorted(made) == sorted(spec.name for spec in topic_specs(settings))


def test_topics_have_the_settings_of_the_contract(
    topics: Run, kafka: str, settings: Settings
) -> None:
    topics("create")
    specs = {spec.name: spec.config for spec in topic_specs(settings)}
    assert config_of(kafka, specs) == specs


def test_a_dry_run_makes_nothing(topics: Run, kafka: str, settings: Settings) -> None:
    done = topics("create", "--dry-run")

    assert done.returncode == 0
    for spec in topic_specs(settings):
        assert spec.name in done.stdout
    assert known(kafka, settings.topic_prefix) == set()


def test_missing_topics_are_problems(topics: Run, kafka: str, settings: Settings) -> None:
    found = problems(topics("check", "--json"))

    wanted = {spec.name for spec in topic_specs(settings)}
    assert found == dict.fromkeys(wanted, ("does not exist", "stream-app topics create"))
    table = topics("check")
    assert table.returncode == 3
    assert "stream-app topics create" in table.stdout
    assert "missing" in topics("list").stdout


def test_event_topics_may_have_other_partition_counts(
    topics: Run, kafka: str, settings: Settings
) -> None:
    own = NewTopic(f"{settings.topic_prefix}events.hits", 7, 1, topic_configs=BROKER_CLOCK)
    make(kafka, own)
    topics("create")

    assert topics("check").returncode == 0
    listed = rows(topics("list", "--json"))
    hits = next(row for row in listed if row["topic"] == own.name)
    assert (hits["partitions"], hits["wanted_partitions"]) == (7, 4)


def test_one_wanted_partition_does_not_bind_the_owners_of_event_topics(
    topics: Run, kafka: str, settings: Settings
) -> None:
    make(kafka, NewTopic(f"{settings.topic_prefix}events.hits", 3, 1, topic_configs=BROKER_CLOCK))
    topics("create", STREAM_APP_PARTITIONS="1")

    assert topics("check", STREAM_APP_PARTITIONS="1").returncode == 0


def test_unequal_deliveries_and_results_are_a_problem(
    topics: Run, kafka: str, settings: Settings
) -> None:
    topics("create")
    results = f"{settings.topic_prefix}delivery-results"
    add_partitions(kafka, f"{settings.topic_prefix}deliveries", 6)

    ((topic, (problem, remedy)),) = problems(topics("check", "--json")).items()

    assert topic == results
    assert "4" in problem
    assert "6" in problem
    assert remedy == "stream-app topics create"
    (row,) = rows(topics("create", "--dry-run", "--json"))
    assert (row["topic"], row["partitions"]) == (results, 6)
    assert topics("check").returncode == 3
    assert rows(topics("create", "--json")) == [row]
    assert topics("check").returncode == 0
    assert rows(topics("create", "--json")) == []


def test_results_are_made_with_as_many_partitions_as_deliveries(
    topics: Run, kafka: str, settings: Settings
) -> None:
    make(kafka, NewTopic(f"{settings.topic_prefix}deliveries", 6, 1, topic_configs=BROKER_CLOCK))

    made = {row["topic"]: row for row in rows(topics("create", "--json"))}

    assert made[f"{settings.topic_prefix}delivery-results"]["partitions"] == 6
    assert topics("check").returncode == 0


@pytest.mark.parametrize("topic", ["config.triggers", "status.integrations"])
def test_a_configuration_topic_with_more_partitions_is_a_problem(
    topics: Run, kafka: str, settings: Settings, topic: str
) -> None:
    name = f"{settings.topic_prefix}{topic}"
    make(kafka, NewTopic(name, 2, 1, topic_configs={"cleanup.policy": "compact"}))
    topics("create")

    ((found, (problem, remedy)),) = problems(topics("check", "--json")).items()

    assert (found, problem) == (name, "has 2 partitions, must have 1")
    assert f"--delete --topic {name}" in remedy


@pytest.mark.parametrize("policy", ["delete", "compact,delete"])
def test_a_configuration_topic_that_is_not_compacted_is_a_problem(
    topics: Run, kafka: str, settings: Settings, policy: str
) -> None:
    topics("create")
    name = f"{settings.topic_prefix}config.clients"
    configure(kafka, name, "cleanup.policy", policy)

    ((found, (problem, remedy)),) = problems(topics("check", "--json")).items()

    assert (found, problem) == (name, f"cleanup.policy is {policy}, must be compact")
    assert f"--topic {name} --add-config cleanup.policy=compact" in remedy


@pytest.mark.parametrize("topic", ["alerts.dlq", "deliveries"])
def test_a_topic_that_takes_less_than_a_worker_writes_is_a_problem(
    topics: Run, kafka: str, settings: Settings, topic: str
) -> None:
    name = f"{settings.topic_prefix}{topic}"
    (spec,) = [spec for spec in topic_specs(settings) if spec.name == name]
    small = spec.config | {"max.message.bytes": "1000"}
    larger = [one for one in topic_specs(settings) if one.name.endswith("hits.dlq")]
    large = larger[0].config | {"max.message.bytes": "2000000"}
    make(kafka, NewTopic(name, 4, 1, topic_configs=small))
    make(kafka, NewTopic(larger[0].name, 4, 1, topic_configs=large))
    topics("create")

    ((found, (problem, remedy)),) = problems(topics("check", "--json")).items()

    assert (found, problem) == (name, "max.message.bytes is 1000, must be at least 1048588")
    assert f"--topic {name} --add-config max.message.bytes=1048588" in remedy


def test_a_topic_that_forgets_which_integrations_were_deleted_is_a_problem(
    topics: Run, kafka: str, settings: Settings
) -> None:
    name = f"{settings.topic_prefix}config.integrations"
    make(kafka, NewTopic(name, 1, 1, topic_configs={"cleanup.policy": "compact"}))
    topics("create")

    ((found, (problem, remedy)),) = problems(topics("check", "--json")).items()

    assert found == name
    assert problem == "delete.retention.ms is 86400000, must be 315360000000"
    assert f"--topic {name} --add-config delete.retention.ms=315360000000" in remedy


@pytest.mark.parametrize("topic", ["events.hits", "counts"])
def test_a_topic_with_the_clocks_of_its_producers_is_a_problem(
    topics: Run, kafka: str, settings: Settings, topic: str
) -> None:
    topics("create")
    name = f"{settings.topic_prefix}{topic}"
    configure(kafka, name, "message.timestamp.type", "CreateTime")

    ((found, (problem, remedy)),) = problems(topics("check", "--json")).items()

    assert (found, problem) == (name, "message.timestamp.type is CreateTime, must be LogAppendTime")
    assert f"--topic {name} --add-config message.timestamp.type=LogAppendTime" in remedy


def test_a_topic_that_the_brokers_refuse_is_named(topics: Run, kafka: str) -> None:
    done = topics("create", STREAM_APP_KAFKA__REPLICATION_FACTOR="3")

    assert done.returncode == 1
    assert "STREAM_APP_KAFKA__REPLICATION_FACTOR is 3" in done.stderr
    assert "the cluster has 1 broker now" in done.stderr
    assert "Traceback" not in done.stderr


def test_brokers_that_do_not_answer_end_the_command_before_the_driver_would(
    tmp_path: Path,
) -> None:
    """The command gives them ten seconds; the driver alone would wait for at least forty."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        began = time.monotonic()
        done = stream_app(tmp_path, "topics", "list", STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=address)
    assert time.monotonic() - began < 40
    assert done.returncode == 4
    assert address in done.stderr


@pytest.mark.parametrize("command", ["create", "check", "list"])
def test_an_address_without_a_broker_is_one_line_on_stderr(tmp_path: Path, command: str) -> None:
    address = f"127.0.0.1:{free_port()}"
    done = stream_app(tmp_path, "topics", command, STREAM_APP_KAFKA__BOOTSTRAP_SERVERS=address)

    assert (done.returncode, done.stdout) == (4, "")
    (line,) = done.stderr.splitlines()
    assert address in line
    assert "STREAM_APP_KAFKA__BOOTSTRAP_SERVERS" in line


@pytest.mark.parametrize(
    ("environ", "named"),
    [
        ({"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "localhost:x"}, "BOOTSTRAP_SERVERS"),
        ({"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "localhost:70000"}, "BOOTSTRAP_SERVERS"),
        ({"STREAM_APP_KAFKA__SECURITY_PROTOCOL": "SASL_SSL"}, "SASL_USERNAME"),
        (
            {
                "STREAM_APP_KAFKA__SECURITY_PROTOCOL": "SSL",
                "STREAM_APP_KAFKA__SSL_CAFILE": "missing.pem",
            },
            "SSL_CAFILE",
        ),
    ],
)
def test_a_setting_of_the_connection_that_cannot_be_used_is_named(
    tmp_path: Path, environ: dict[str, str], named: str
) -> None:
    given = {"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "localhost:9092"} | environ
    done = stream_app(tmp_path, "topics", "list", **given)

    assert done.returncode == 3
    assert f"STREAM_APP_KAFKA__{named}" in done.stderr
    assert "Traceback" not in done.stderr


def test_without_any_kafka_both_ways_to_one_are_named(tmp_path: Path) -> None:
    settings = Settings(embedded=EmbeddedSettings(directory=tmp_path / "kafka"))

    with pytest.raises(KafkaUnreachableError) as refusal:
        resolve_bootstrap(settings)

    for part in ("STREAM_APP_KAFKA__BOOTSTRAP_SERVERS", "stream-app kafka start"):
        assert part in str(refusal.value)
