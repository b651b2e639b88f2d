"""What else is in the cluster: topics as Strimzi's resources, and who may reach whom."""

from __future__ import annotations

from typing import Any

import pytest

from stream_app.kafka.cluster.topics import copies_config, topic_specs
from stream_app.settings import Settings
from tests.deploy.chart.pods import pods, selects
from tests.deploy.chart.rendering import MINIMAL, Chart, merged

STRIMZI = {"topics": {"by": "strimzi", "strimzi": {"cluster": "main", "namespace": "kafka"}}}


@pytest.mark.parametrize(
    ("config", "settings"),
    [
        ({}, {"partitions": 8, "kafka": {"replication_factor": 3}}),
        ({"STREAM_APP_KAFKA__REPLICATION_FACTOR": 2}, {"kafka": {"replication_factor": 2}}),
        ({"STREAM_APP_KAFKA__REPLICATION_FACTOR": 5}, {"kafka": {"replication_factor": 5}}),
        ({"STREAM_APP_PARTITIONS": 24, "STREAM_APP_TOPIC_PREFIX": "acme."},
         {"partitions": 24, "topic_prefix": "acme."}),
        ({"STREAM_APP_DRY_RUN": True, "STREAM_APP_TOPIC_PREFIX": "dry."},
         {"dry_run": True, "topic_prefix": "dry."}),
        ({"STREAM_APP_DRY_RUN": False}, {}),
    ],
)  # fmt: skip
def test_strimzi_makes_the_topics_that_the_command_makes(
    config: dict[str, Any], settings: dict[str, Any], chart: Chart
) -> None:
    rendering = chart.render(merged(merged(MINIMAL, STRIMZI), {"config": config}))
    copies = config.get("STREAM_APP_KAFKA__REPLICATION_FACTOR", 3)
    assert rendering.of_kind("Job") == []
    topics = rendering.of_kind("KafkaTopic")
    for topic in topics:
        meta = topic["metadata"]
        assert meta["namespace"] == "kafka"
        assert meta["labels"]["strimzi.io/cluster"] == "main"
        assert meta["annotations"]["helm.sh/resource-policy"] == "keep"
        assert topic["spec"]["replicas"] == copies
    made = {
        topic["metadata"]["name"]: (topic["spec"]["partitions"], topic["spec"]["config"])
        for topic in topics
    }
    assert len(made) == len(topics)
    # As stream_app/kafka/cluster/topic_creation.py makes them.
    assert made == {
        spec.name: (spec.partitions, {**spec.config, **copies_config(copies)})
        for spec in topic_specs(Settings(**settings))
    }


def test_nobody_makes_topics_when_somebody_else_does(chart: Chart) -> None:
    rendering = chart.render(merged(MINIMAL, {"topics": {"by": "none"}}))
    assert rendering.of_kind("Job") == rendering.of_kind("KafkaTopic") == []
    assert "stream-app topics create" in rendering.notes


@pytest.mark.parametrize(
    ("brokers", "more", "ports"),
    [
        ("a:9092", {}, {9092, 443}),
        ("a:9093, b:9094,c", {}, {9093, 9094, 9092, 443}),
        ("[fd00::1]:9095", {}, {9095, 443}),
        ("a:9092", {"kafkaPorts": [9098], "httpsPorts": [3128]}, {9098, 3128}),
    ],
)
def test_a_pod_may_reach_kafka_https_and_names_alone(
    brokers: str, more: dict[str, Any], ports: set[int], chart: Chart
) -> None:
    values = {
        "config": {"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": brokers},
        "networkPolicy": {"enabled": True, **more},
    }
    rendering = chart.render(merged(MINIMAL, values))
    policies = rendering.of_kind("NetworkPolicy")
    for component, pod in pods(rendering).items():
        (policy,) = [
            one["spec"]
            for one in policies
            if selects(one["spec"]["podSelector"], pod["metadata"]["labels"])
        ]
        assert policy["policyTypes"] == ["Ingress", "Egress"]
        (egress,) = policy["egress"]
        found = {(port["protocol"], port["port"]) for port in egress["ports"]}
        assert found == {("UDP", 53), ("TCP", 53), *(("TCP", port) for port in ports)}
        if component in {"operator", "topics"}:
            assert policy["ingress"] == []
            continue
        (ingress,) = policy["ingress"]
        assert ingress == {
            "from": [
                {
                    "namespaceSelector": {
                        "matchLabels": {"kubernetes.io/metadata.name": "monitoring"}
                    }
                }
            ],
            "ports": [{"port": "metrics", "protocol": "TCP"}],
        }


def test_a_role_s_own_brokers_may_be_reached(chart: Chart) -> None:
    own = {"config": {"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": "a:9097"}}
    values = {"networkPolicy": {"enabled": True}, "detector": own}
    rendering = chart.render(merged(MINIMAL, values))
    found = {}
    for name in ("detector", "notifier"):
        (egress,) = rendering.one("NetworkPolicy", f"stream-app-{name}")["spec"]["egress"]
        found[name] = {port["port"] for port in egress["ports"]} - {53, 443}
    assert found == {"detector": {9097}, "notifier": {9092}}
