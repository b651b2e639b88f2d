"""What Prometheus and Grafana get is what `deploy/prometheus` and `deploy/grafana` hold."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT
from tests.deploy.chart.pods import COMPONENT, pods, selects
from tests.deploy.chart.rendering import MINIMAL, Chart, Rendering, merged
from tests.tools import tool

ALL_ON = merged(
    MINIMAL,
    {
        "monitoring": {
            name: {"enabled": True} for name in ("serviceMonitor", "prometheusRule", "dashboard")
        }
    },
)
RULES = yaml.safe_load((ROOT / "deploy" / "prometheus" / "rules.yaml").read_text())
RUNBOOK = "https://git.example.com/stream-app/"


@pytest.fixture(scope="module")
def watched(chart: Chart) -> Rendering:
    return chart.render(ALL_ON)


def test_the_rules_are_those_of_the_one_source(watched: Rendering) -> None:
    assert watched.one("PrometheusRule", "stream-app")["spec"] == RULES


def test_another_job_and_another_place_of_the_runbook_change_nothing_else(
    chart: Chart, tmp_path: Path
) -> None:
    more = {"job": "alerts/trial", "prometheusRule": {"runbookUrl": RUNBOOK}}
    rendering = chart.render(merged(ALL_ON, {"monitoring": more}))
    (rule,) = rendering.of_kind("PrometheusRule")
    text = yaml.safe_dump(rule["spec"])
    assert 'job="stream-app"' not in text
    back = text.replace('job="alerts/trial"', 'job="stream-app"').replace(RUNBOOK, "")
    assert yaml.safe_load(back) == RULES
    for group in rule["spec"]["groups"]:
        for one in group["rules"]:
            assert one["annotations"]["runbook_url"].startswith(f"{RUNBOOK}deploy/runbook.md#")
    (tmp_path / "rules.yaml").write_text(text)
    done = subprocess.run(
        [tool("promtool"), "check", "rules", tmp_path / "rules.yaml"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_is_that_of_the_one_source(watched: Rendering) -> None:
    (board,) = watched.of_kind("ConfigMap")
    (text,) = board["data"].values()
    assert json.loads(text) == json.loads(
        (ROOT / "deploy" / "grafana" / "stream-app.json").read_text()
    )
    assert board["metadata"]["labels"]["grafana_dashboard"] == "1"


def endpoint(rendering: Rendering) -> dict[str, Any]:
    (monitor,) = rendering.of_kind("ServiceMonitor")
    (found,) = monitor["spec"]["endpoints"]
    return dict(found)


def test_prometheus_finds_the_services_of_both_roles_and_nothing_else(watched: Rendering) -> None:
    (monitor,) = watched.of_kind("ServiceMonitor")
    services = watched.of_kind("Service")
    assert {one["metadata"]["labels"][COMPONENT] for one in services} == {"detector", "notifier"}
    for service in services:
        assert selects(monitor["spec"]["selector"], service["metadata"]["labels"])
        assert [port["name"] for port in service["spec"]["ports"]] == [endpoint(watched)["port"]]
        # A worker that is not ready is what a rule is about.
        assert service["spec"]["publishNotReadyAddresses"] is True
    for pod in pods(watched).values():
        name = next(iter(pod["spec"]["containers"]))["name"]
        found = [one for one in services if one["spec"]["selector"].items()
                 <= pod["metadata"]["labels"].items()]  # fmt: skip
        assert len(found) == (name in {"detector", "notifier"})


def test_series_have_the_job_that_the_rules_ask_for(chart: Chart) -> None:
    for job in ("", "alerts/trial"):
        rendering = chart.render(merged(ALL_ON, {"monitoring": {"job": job}}), name="stream-app")
        labels = {row["targetLabel"]: row for row in endpoint(rendering)["relabelings"]}
        given = labels["job"]["replacement"]
        (rule,) = rendering.of_kind("PrometheusRule")
        assert set(re.findall(r'job="([^"]*)"', yaml.safe_dump(rule))) == {given}
        assert labels["instance"]["sourceLabels"] == ["__meta_kubernetes_pod_name"]


def test_without_tls_and_token_prometheus_asks_plainly(watched: Rendering) -> None:
    assert {"scheme", "tlsConfig", "authorization"}.isdisjoint(endpoint(watched))


@pytest.mark.parametrize(
    ("more", "tls"),
    [
        ({}, {"serverName": "stream-app", "ca": {"secret": {"name": "tls", "key": "ca.crt"}}}),
        (
            {"serverName": "workers", "ca": {"configMap": "ca", "key": "root.pem"}},
            {"serverName": "workers", "ca": {"configMap": {"name": "ca", "key": "root.pem"}}},
        ),
    ],
)
def test_prometheus_gets_the_token_and_knows_the_certificate(
    more: dict[str, Any], tls: dict[str, Any], chart: Chart
) -> None:
    values = {
        "secrets": {"STREAM_APP_HTTP__TOKEN": {"secret": "metrics", "key": "token"}},
        "files": {
            "STREAM_APP_HTTP__TLS_CERTFILE": {"secret": "tls", "key": "tls.crt"},
            "STREAM_APP_HTTP__TLS_KEYFILE": {"secret": "tls", "key": "tls.key"},
        },
        "monitoring": {"serviceMonitor": more},
    }
    found = endpoint(chart.render(merged(ALL_ON, values)))
    assert found["scheme"] == "https"
    assert found["tlsConfig"] == tls
    assert found["authorization"] == {"credentials": {"name": "metrics", "key": "token"}}
