"""What `deploy/` names is what a worker shows, and what the runbook tells."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml

from stream_app.kafka.cluster.topics import CONFIG_TOPICS, EVENT_TOPICS, Topic
from stream_app.metrics import Metrics
from stream_app.worker.roles import WORKER_ROLES
from tests.acls import PAGE, page_part, rights
from tests.conftest import ROOT
from tests.promql import SELECTOR, known_series, problems
from tests.tools import tool

DEPLOY = ROOT / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
RUNBOOK = (DEPLOY / "runbook.md").read_text()
SECTIONS = re.findall(r"^## (\w+)$", RUNBOOK, flags=re.MULTILINE)
PARTS = ("**Means**", "**Effect**", "**Find**", "**Fix**")


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yaml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


def rules_tests() -> list[dict[str, Any]]:
    files = sorted(PROMETHEUS.glob("*_test.yaml"))
    return [case for file in files for case in yaml.safe_load(file.read_text())["tests"]]


def dashboard() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((DEPLOY / "grafana" / "stream-app.json").read_text())
    return found


def panels() -> list[dict[str, Any]]:
    return [panel for panel in dashboard()["panels"] if panel["type"] != "row"]


@pytest.mark.parametrize(
    "command",
    [
        ("check", "rules", "rules.yaml"),
        ("test", "rules", "rules_test.yaml"),
        ("test", "rules", "silence_test.yaml"),
        ("check", "config", "prometheus.yml"),
    ],
)
def test_promtool_has_nothing_to_say(command: tuple[str, ...]) -> None:
    done = subprocess.run(
        [tool("promtool"), *command],
        cwd=PROMETHEUS,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "FAILED" not in done.stdout + done.stderr


def test_each_rule_says_what_a_person_needs() -> None:
    for rule in rules():
        name, notes = rule["alert"], rule["annotations"]
        assert re.fullmatch(r"\d+m", rule["for"]), name
        assert rule["labels"] in ({"severity": "critical"}, {"severity": "warning"}), name
        assert "$value" in notes["summary"], name
        assert notes["description"], name
        assert notes["runbook_url"] == f"deploy/runbook.md#{name.lower()}", name


def test_each_rule_has_its_section_of_the_runbook_in_the_same_order() -> None:
    assert [rule["alert"] for rule in rules()] == SECTIONS
    for section in RUNBOOK.split("\n## ")[1:]:
        assert all(part in section for part in PARTS), section.partition("\n")[0]


def test_the_runbook_points_to_sections_and_metrics_that_there_are() -> None:
    assert {place.lower() for place in SECTIONS} >= set(re.findall(r"\]\(#(\w+)\)", RUNBOOK))
    named = set(re.findall(r"stream_app_[a-z_]+", RUNBOOK))
    assert named <= known_series().keys() | {row.name for row in Metrics().rows}


def test_each_rule_is_seen_to_fire_and_to_be_silent_by_promtool() -> None:
    cases = rules_tests()
    checks = [check for case in cases for check in case["alert_rule_test"]]
    names = {rule["alert"] for rule in rules()}
    assert {check["alertname"] for check in checks if check["exp_alerts"]} == names
    assert {check["alertname"] for check in checks if not check["exp_alerts"]} == names


def test_a_rule_that_holds_two_figures_against_each_other_does_so_for_each_worker() -> None:
    # A sum over all workers hides one that stands still among those that work.
    # They are about integrations and events, which are no worker's own.
    sums = {"StreamAppDeliveriesFailing", "StreamAppNoEvents"}
    for rule in rules():
        if rule["alert"] in sums or len(SELECTOR.findall(rule["expr"])) < 2:
            continue
        grouped = re.findall(r"by \(([^)]*)\)", rule["expr"])
        assert all("instance" in group for group in grouped), rule["alert"]


def test_rules_name_metrics_labels_and_values_that_a_worker_shows() -> None:
    found = {rule["alert"]: list(problems(rule["expr"])) for rule in rules()}
    assert {name: wrong for name, wrong in found.items() if wrong} == {}


def test_the_rules_tests_are_about_series_that_a_worker_shows() -> None:
    cases = rules_tests()
    series = [row["series"] for case in cases for row in case["input_series"]]
    assert [wrong for text in series for wrong in problems(text)] == []


def test_labels_in_texts_of_rules_are_those_that_their_alerts_have() -> None:
    added, known = {"StreamAppRoleMissing": {"missing"}}, known_series()
    for rule in rules():
        # What comes first says which series fires.
        metric = SELECTOR.search(rule["expr"])
        assert metric is not None
        grouped = re.findall(r"by \(([^)]*)\)", rule["expr"][: metric.start()])
        labels = {label for group in grouped for label in group.replace(" ", "").split(",")}
        labels |= added.get(rule["alert"], set())
        labels |= set() if grouped else {"instance", *known[metric[1]].labels}
        named = set(re.findall(r"\$labels\.(\w+)", rule["annotations"]["summary"]))
        assert named <= labels, rule["alert"]


def test_the_dashboard_names_metrics_labels_and_values_that_a_worker_shows() -> None:
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
    assert [wrong for text in expressions for wrong in problems(text)] == []
    for panel in panels():
        for target in panel["targets"]:
            named = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            grouped = re.findall(r"by \(([^)]*)\)", target["expr"])
            labels = {label for group in grouped for label in group.replace(" ", "").split(",")}
            assert named <= (labels or {"instance"}), panel["title"]


def test_the_dashboard_shows_every_metric() -> None:
    text = " ".join(target["expr"] for panel in panels() for target in panel["targets"])
    missing = [row.name for row in Metrics().rows if not re.search(rf"\b{row.name}(_|\b)", text)]
    assert missing == []


def test_each_panel_has_a_description_a_unit_and_the_variables() -> None:
    board = dashboard()
    assert board["uid"] == "stream-app"
    assert [one["name"] for one in board["templating"]["list"]] == ["datasource", "job"]
    rows = [panel["title"] for panel in board["panels"] if panel["type"] == "row"]
    assert rows == [
        "Health",
        "Events and lag",
        "Windows and alerts",
        "Deliveries by reason",
        "Kafka and process",
    ]
    ids = [panel["id"] for panel in board["panels"]]
    assert len(ids) == len(set(ids))
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        assert panel["datasource"]["uid"] == "${datasource}", panel["title"]
        assert all('job="$job"' in target["expr"] for target in panel["targets"]), panel["title"]


def test_the_example_scrape_is_of_both_roles_at_their_ports() -> None:
    config = yaml.safe_load((PROMETHEUS / "prometheus.yml").read_text())
    (job,) = config["scrape_configs"]
    assert job["job_name"] == "stream-app"
    found = {one["labels"]["role"]: one["targets"] for one in job["static_configs"]}
    assert found == {
        name: [f"localhost:{role.default_port}"] for name, role in WORKER_ROLES.items()
    }


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("rate(stream_app_event_total[5m])", "no metric stream_app_event_total"),
        ('stream_app_events_total{kind="hit"}', "stream_app_events_total has no kind 'hit'"),
        ('stream_app_ready{kind="hits"}', "stream_app_ready has no label kind"),
        (
            'stream_app_events_total{result=~"counted|x"}',
            "stream_app_events_total has no result 'x'",
        ),
        (
            "sum by (topic) (stream_app_events_total)",
            "nothing to group by topic in 'sum by (topic) (stream_app_events_total)'",
        ),
        ("1 + 1", "no metric in '1 + 1'"),
    ],
)
def test_an_expression_that_is_wrong_is_found(expression: str, wrong: str) -> None:
    assert list(problems(expression)) == [wrong]


def test_the_rights_on_topics_are_those_of_the_code() -> None:
    page = PAGE.read_text()
    assert page_part() in page, "run: python -m tests.acls"
    described = re.findall(r"^\| ([a-z-]+) \| [^|]+ \| [^|]+ \|$", page, flags=re.MULTILINE)
    assert described == list(rights())


def test_producers_write_events_only_and_nobody_but_the_operator_writes_the_configuration() -> None:
    writers: dict[str, set[str]] = {}
    for user, found in rights().items():
        for right in found:
            if right.resource == "topic" and "Write" in right.operations:
                for topic in Topic:
                    if right.name == topic or (right.is_prefix and topic.startswith(right.name)):
                        writers.setdefault(topic, set()).add(user)
    assert [writers[topic] for topic in CONFIG_TOPICS] == [{"operator"}] * len(CONFIG_TOPICS)
    by_producers = {topic for topic, users in writers.items() if any("prod" in u for u in users)}
    assert by_producers == {*EVENT_TOPICS, Topic.ACCOUNT}
