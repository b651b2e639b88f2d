"""`deploy/compose.yaml` against its schema, and against what it names."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml

from stream_app.cli import COMMANDS
from stream_app.settings import secret_variables, setting_fields
from stream_app.worker.roles import WORKER_ROLES
from tests.deploy.containers.dockerfile import stages
from tests.documentation.pages import ROOT
from tests.tools import tool

DEPLOY = ROOT / "deploy"
COMPOSE, OWN = DEPLOY / "compose.yaml", DEPLOY / "compose" / "own.yaml"
SCHEMA = json.loads(Path(__file__).with_name("compose-spec.json").read_text())
#: Services of other people's images.
FOREIGN = {"kafka", "prometheus", "grafana"}


class Loader(yaml.SafeLoader):
    """Reads Compose's own tag: a value that is unset is null."""


Loader.add_constructor("!reset", lambda *_: None)


def load(file: Path) -> dict[str, Any]:
    found: dict[str, Any] = yaml.load(file.read_text(), Loader)  # noqa: S506 - a safe one
    return found


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = load(COMPOSE)["services"]
    return found


@pytest.mark.parametrize("file", [COMPOSE, OWN], ids=lambda file: str(file.name))
def test_the_files_are_those_of_their_schema(file: Path) -> None:
    errors = jsonschema_rs.validator_for(SCHEMA).iter_errors(load(file))
    assert [f"{error.instance_path}: {error.message}" for error in errors] == []


def test_an_unknown_field_of_a_service_is_found() -> None:
    compose = load(COMPOSE)
    compose["services"]["detector"]["comand"] = []
    assert not jsonschema_rs.validator_for(SCHEMA).is_valid(compose)


def test_what_a_service_names_is_there() -> None:
    found, volumes = services(), load(COMPOSE)["volumes"]
    for name, service in found.items():
        assert set(service.get("depends_on", {})) <= found.keys(), name
        assert service.get("network_mode", "service:detector")[len("service:") :] in found
        for volume in service.get("volumes", []):
            source, _, _ = volume.partition(":")
            assert (DEPLOY / source).exists() if "/" in source else source in volumes, volume
            assert "/" not in source or volume.endswith(":ro"), volume
    assert set(load(OWN)["services"]) <= found.keys()


def test_the_project_s_services_are_hardened_and_the_others_are_pinned() -> None:
    for name, service in services().items():
        assert service["security_opt"] == ["no-new-privileges:true"], name
        if name in FOREIGN:
            assert re.fullmatch(
                r"[a-z]+/[a-z]+:v?\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", service["image"]
            )
            assert all(port.startswith("127.0.0.1:") for port in service.get("ports", [])), name
        else:
            assert service["image"] == "stream-app", name
            assert service["read_only"], name
            assert service["cap_drop"] == ["ALL"], name
            assert "ports" not in service, name
            assert service["command"][0] in COMMANDS, name


def test_one_service_builds_the_image_and_none_pulls_it() -> None:
    ours = {name: one for name, one in services().items() if name not in FOREIGN}
    # Every installation has it. Builds of one tag at the same time fail where they meet.
    assert [name for name, one in ours.items() if "build" in one] == ["topics"]
    assert "profiles" not in load(OWN)["services"]["topics"]
    assert {one["pull_policy"] for one in ours.values()} == {"never"}


def test_each_role_has_a_service_that_gets_the_time_that_it_needs_to_end() -> None:
    for role in WORKER_ROLES:
        service = services()[role]
        assert service["command"] == ["worker", role]
        assert service["restart"] == "unless-stopped"
        assert service["stop_grace_period"] == "20s"


def test_its_variables_are_settings() -> None:
    names = {variable for variable, _ in setting_fields()}
    names |= {f"{variable}_FILE" for variable in secret_variables()}
    for file in (COMPOSE, OWN):
        for name, service in load(file)["services"].items():
            given = service.get("environment", {})
            ours = {one for one in given if not one.startswith(("KAFKA_", "GF_"))}
            assert ours <= names | {"STREAM_APP_KEY_1111_SANDBOX"}, name


def test_an_own_installation_starts_nothing_of_the_demo_and_keeps_none_of_its_settings() -> None:
    own = load(OWN)["services"]
    started = services().keys() - {n for n, s in own.items() if s.get("profiles") == ["demo"]}
    assert started == {"topics", *WORKER_ROLES, "prometheus", "grafana"}
    for name in ("topics", *WORKER_ROLES):
        assert services()[name].get("environment", {}).keys() <= own[name]["environment"].keys()
        kept = {n: v for n, v in own[name]["environment"].items() if v is not None}
        assert kept == {"STREAM_APP_SECRET_KEYS_FILE": "/run/secrets/secret-keys"}, name
        needed = services()[name].get("depends_on", {})
        assert all(one in started or not needed[one]["required"] for one in needed), name


def test_prometheus_scrapes_both_roles_and_has_the_rules() -> None:
    volumes = [volume.split(":") for volume in services()["prometheus"]["volumes"]]
    mounted = {inside[0]: source for source, *inside in volumes}
    config = DEPLOY / mounted["/etc/prometheus/prometheus.yml"]
    rules = DEPLOY / mounted["/etc/prometheus/rules.yaml"]
    done = subprocess.run(
        [tool("promtool"), "check", "config", "--syntax-only", config],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found = yaml.safe_load(config.read_text())
    assert [rules.name] == found["rule_files"]
    assert rules == DEPLOY / "prometheus" / "rules.yaml"
    (job,) = found["scrape_configs"]
    asked = {name: one["port"] for one in job["dns_sd_configs"] for name in one["names"]}
    assert asked == {name: role.default_port for name, role in WORKER_ROLES.items()}
    # They answer beyond their loopback.
    assert stages()[1][-1].values("ENV")["STREAM_APP_HTTP__HOST"] == "0.0.0.0"  # noqa: S104


def test_grafana_finds_the_dashboard_and_prometheus() -> None:
    service = services()["grafana"]
    volumes = [volume.split(":") for volume in service["volumes"]]
    mounted = {inside[0]: DEPLOY / source for source, *inside in volumes}
    provisioning = "/etc/grafana/provisioning"
    (source,) = yaml.safe_load(mounted[f"{provisioning}/datasources/stream-app.yaml"].read_text())[
        "datasources"
    ]
    host, _, port = source["url"].removeprefix("http://").partition(":")
    assert services()[host]["ports"] == [f"127.0.0.1:{port}:{port}"]
    assert source["type"] == "prometheus"
    (provider,) = yaml.safe_load(mounted[f"{provisioning}/dashboards/stream-app.yaml"].read_text())[
        "providers"
    ]
    folder = provider["options"]["path"]
    home = service["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home.startswith(f"{folder}/")
    assert (mounted[folder] / home.removeprefix(f"{folder}/")).is_file()
