"""The pods: who they run as, what they are given, and how they come and go."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stream_app.cli import COMMANDS
from stream_app.domain.errors import ConfigurationError
from stream_app.settings import Settings, load_settings, secret_variables, setting_fields
from stream_app.worker.roles import WORKER_ROLES
from tests.deploy.chart.pods import (
    COMPONENT,
    container,
    environment,
    mounted_files,
    pods,
    selects,
)
from tests.deploy.chart.rendering import MINIMAL, Chart, Rendering, merged

#: As a platform team fills them: a user for each role, a client certificate, keys in files.
TYPICAL = merged(
    MINIMAL,
    {
        "config": {
            "STREAM_APP_KAFKA__SECURITY_PROTOCOL": "SASL_SSL",
            "STREAM_APP_KAFKA__SASL_MECHANISM": "SCRAM-SHA-512",
            "STREAM_APP_DETECTOR__BUFFER_BYTES": 67108864,
            "STREAM_APP_DELIVERY__STATUS_CHECK_SHARE": 0.05,
            "STREAM_APP_ACCEPT_PRODUCER_TIME": True,
            "STREAM_APP_TOPIC_PREFIX": "acme.",
        },
        "secrets": {"STREAM_APP_DELIVERY__PROXY_URL": {"secret": "proxy", "key": "url"}},
        "files": {"STREAM_APP_KAFKA__SSL_CAFILE": {"configMap": "kafka-ca", "key": "ca.crt"}},
        "apiKeys": {"1111/acme": {"secret": "acme", "key": "api-key"}},
        **{
            role: {
                "config": {"STREAM_APP_KAFKA__SASL_USERNAME": role},
                "secrets": {"STREAM_APP_KAFKA__SASL_PASSWORD": {"secret": role, "key": "password"}},
            }
            for role in ("detector", "notifier", "operator")
        },
    },
)
KAFKA = {"STREAM_APP_KAFKA__SASL_PASSWORD", "STREAM_APP_KAFKA__SSL_CAFILE"}
KEYS, PROXY = "STREAM_APP_SECRET_KEYS", "STREAM_APP_DELIVERY__PROXY_URL"


@pytest.fixture(scope="module")
def typical(chart: Chart) -> Rendering:
    return chart.render(TYPICAL)


def test_a_pod_may_do_nothing_but_its_work(typical: Rendering) -> None:
    assert pods(typical).keys() == {"detector", "notifier", "operator", "topics"}
    for pod in pods(typical).values():
        spec, inside = pod["spec"], container(pod)
        assert spec["enableServiceLinks"] is False
        assert spec["automountServiceAccountToken"] is False
        assert spec["securityContext"] == {
            "runAsNonRoot": True,
            "runAsUser": 10001,
            "runAsGroup": 10001,
            "seccompProfile": {"type": "RuntimeDefault"},
        }
        assert inside["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert {"hostNetwork", "hostPID", "hostIPC", "initContainers"}.isdisjoint(spec)
        assert set(inside["resources"]["requests"]) == {"cpu", "memory"}
        # Without a limit of processor time: a worker that is held up loses its partitions.
        assert set(inside["resources"]["limits"]) == {"memory"}
    assert typical.of_kind("Secret") == []


def test_where_the_platform_chooses_the_user_none_is_named(chart: Chart) -> None:
    for pod in pods(chart.render(merged(MINIMAL, {"runAsUser": None}))).values():
        context = pod["spec"]["securityContext"]
        assert context == {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


def test_a_pod_runs_a_command_that_there_is(typical: Rendering) -> None:
    commands = {name: container(pod)["command"] for name, pod in pods(typical).items()}
    assert commands.pop("operator")[0] == "sh"
    assert commands == {
        "detector": ["stream-app", "worker", "detector"],
        "notifier": ["stream-app", "worker", "notifier"],
        "topics": ["stream-app", "topics", "create"],
    }
    assert {command[1] for command in commands.values()} <= set(COMMANDS)


def load(pod: Mapping[str, Any], folder: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return the settings of a pod, with its files in a folder that stands for its root."""
    for path, (_, _, key) in mounted_files(pod).items():
        file = folder / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"http://{key}:8080")
    for name, value in environment(pod).items():
        is_path = value.startswith("/var/run/")
        monkeypatch.setenv(name, f"{folder}{value}" if is_path else value)
    return load_settings()


@pytest.mark.parametrize("component", ["detector", "notifier", "operator", "topics"])
def test_a_pods_variables_are_settings_that_the_code_takes(
    component: str, typical: Rendering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = load(pods(typical)[component], tmp_path, monkeypatch)
    assert settings.topic_prefix == "acme."
    assert settings.accept_producer_time
    assert settings.detector.buffer_bytes == 67108864
    assert settings.delivery.status_check_share == 0.05
    assert settings.kafka.sasl_username == ("operator" if component == "topics" else component)
    assert settings.kafka.sasl_password is not None
    assert settings.kafka.ssl_cafile is not None
    assert settings.kafka.ssl_cafile.exists()
    assert (settings.secret_keys is not None) == (component != "topics")
    assert (settings.key_dir is not None) == (component in {"notifier", "operator"})
    if settings.key_dir is not None:
        assert (settings.key_dir / "1111" / "acme").exists()


def test_the_check_of_variables_would_see_a_wrong_one(
    typical: Rendering, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STREAM_APP_KAFKA__BOOTSTRAP_SERVER", "a:1")
    with pytest.raises(ConfigurationError, match="did you mean"):
        load(pods(typical)["detector"], tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("component", "names"),
    [
        ("detector", KAFKA | {KEYS}),
        ("notifier", KAFKA | {KEYS, PROXY, "1111/acme"}),
        ("operator", KAFKA | {KEYS, PROXY, "1111/acme"}),
        ("topics", KAFKA),
    ],
)
def test_a_pod_has_the_files_that_it_needs_and_no_others(
    component: str, names: set[str], typical: Rendering
) -> None:
    pod = pods(typical)[component]
    files, variables = mounted_files(pod), environment(pod)
    settings = {path for name, path in variables.items() if path.startswith("/var/run/")}
    # The folder of the API keys is one setting.
    named = {path for path in files if path in settings}
    inside = {
        path for path in files.keys() - named if path.startswith(variables["STREAM_APP_KEY_DIR"])
    }
    assert named | inside == set(files)
    endings = {path for path in settings if path != variables.get("STREAM_APP_KEY_DIR")}
    assert endings == named
    assert {path.rpartition("/files/")[2] for path in named} | {
        path.partition("/api-keys/")[2] for path in inside
    } == names
    secret = {f"{name}_FILE" for name in secret_variables()}
    assert {name for name in variables if name.endswith("_FILE")} <= secret
    assert variables.keys() - secret <= {name for name, _ in setting_fields()}


def test_a_role_s_own_secret_goes_before_that_of_all(typical: Rendering) -> None:
    for component, secret in (("detector", "detector"), ("topics", "operator")):
        files = mounted_files(pods(typical)[component])
        (found,) = [source for path, source in files.items() if path.endswith("SASL_PASSWORD")]
        assert found == ("secret", secret, "password")


def test_a_selector_finds_the_pods_of_its_component_alone(typical: Rendering) -> None:
    labels = {name: pod["metadata"]["labels"] for name, pod in pods(typical).items()}
    owners = [one for one in typical.manifests if "selector" in one.get("spec", {})]
    assert len(owners) == 7
    for owner in owners:
        selector = owner["spec"]["selector"]
        if owner["kind"] == "Service":
            selector = {"matchLabels": selector}
        found = [name for name, own in labels.items() if selects(selector, own)]
        assert found == [owner["metadata"]["labels"][COMPONENT]], owner["kind"]
    for name, pod in pods(typical).items():
        for spread in pod["spec"].get("topologySpreadConstraints", []):
            assert selects(spread["labelSelector"], labels[name])


def test_two_releases_in_a_namespace_do_not_share_pods_or_names(chart: Chart) -> None:
    one, other = chart.render(name="stream-app"), chart.render(name="stream-app-trial")
    for owner in one.manifests:
        if "selector" in owner.get("spec", {}) and owner["kind"] != "Service":
            for pod in pods(other).values():
                assert not selects(owner["spec"]["selector"], pod["metadata"]["labels"])
    names = [{(m["kind"], m["metadata"]["name"]) for m in two.manifests} for two in (one, other)]
    assert names[0].isdisjoint(names[1])


def test_a_long_name_leaves_room_for_the_endings(chart: Chart) -> None:
    rendering = chart.render(name="a" * 53)
    assert all(len(one["metadata"]["name"]) <= 63 for one in rendering.manifests)


@pytest.mark.parametrize("role", WORKER_ROLES)
def test_ports_and_probes_are_those_of_the_role(role: str, typical: Rendering) -> None:
    inside = container(pods(typical)[role])
    (port,) = inside["ports"]
    assert port == {"name": "metrics", "containerPort": WORKER_ROLES[role].default_port}  # type: ignore[index]
    (of_service,) = typical.one("Service", f"stream-app-{role}")["spec"]["ports"]
    assert (of_service["targetPort"], of_service["port"]) == ("metrics", port["containerPort"])
    for probe, path in (
        ("startupProbe", "/livez"),
        ("livenessProbe", "/livez"),
        ("readinessProbe", "/readyz"),
    ):
        get = inside[probe]["httpGet"]
        assert get == {"path": path, "port": "metrics", "scheme": "HTTP"}
    assert environment(pods(typical)[role])["STREAM_APP_HTTP__HOST"] == "0.0.0.0"  # noqa: S104


def test_probes_speak_tls_when_the_worker_does(chart: Chart) -> None:
    certificate = {"secret": "tls", "key": "tls.crt"}
    files = {"STREAM_APP_HTTP__TLS_CERTFILE": certificate}
    for role in WORKER_ROLES:
        inside = container(pods(chart.render(merged(MINIMAL, {"files": files})))[role])
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert inside[probe]["httpGet"]["scheme"] == "HTTPS"


@pytest.mark.parametrize(("given", "longest"), [(None, 8.0), (30.5, 30.5)])
def test_a_worker_is_killed_only_after_its_own_deadline(
    given: float | None, longest: float, chart: Chart
) -> None:
    assert Settings().shutdown_timeout_seconds == 8.0
    config = {} if given is None else {"STREAM_APP_SHUTDOWN_TIMEOUT_SECONDS": given}
    rendering = chart.render(merged(MINIMAL, {"config": config}))
    for role in WORKER_ROLES:
        grace = pods(rendering)[role]["spec"]["terminationGracePeriodSeconds"]
        assert longest + 5 < grace < longest + 15


def test_no_worker_of_few_is_taken_before_another_one_is_ready(chart: Chart) -> None:
    values = merged(MINIMAL, {role: {"replicas": 1} for role in WORKER_ROLES})
    rendering = chart.render(values)
    for role in WORKER_ROLES:
        deployment = rendering.one("Deployment", f"stream-app-{role}")
        assert deployment["spec"]["strategy"]["rollingUpdate"] == {
            "maxSurge": 1,
            "maxUnavailable": 0,
        }
        # A drain of the node of a single worker goes on.
        budget = rendering.one("PodDisruptionBudget", f"stream-app-{role}")["spec"]
        assert budget["maxUnavailable"] == 1
        assert "minAvailable" not in budget


def test_changed_settings_roll_the_pods_that_have_them(chart: Chart) -> None:
    def sums(values: Mapping[str, Any]) -> dict[str, str]:
        found = pods(chart.render(merged(MINIMAL, values)))
        return {n: p["metadata"]["annotations"]["checksum/settings"] for n, p in found.items()}

    before = sums({})
    assert sums({"detector": {"replicas": 3}}) == before
    log = sums({"config": {"STREAM_APP_LOG__LEVEL": "debug"}})
    assert all(log[name] != before[name] for name in before)
    own = sums({"detector": {"config": {"STREAM_APP_LOG__LEVEL": "debug"}}})
    assert {name for name in before if own[name] != before[name]} == {"detector"}


def test_the_hook_needs_nothing_that_comes_after_it(chart: Chart) -> None:
    rendering = chart.render(merged(TYPICAL, {"networkPolicy": {"enabled": True}}))
    job = rendering.one("Job", "stream-app-topics")
    notes = job["metadata"]["annotations"]
    assert notes["helm.sh/hook"] == "pre-install,pre-upgrade"
    # One that failed is there to be looked at, until the next try takes its place.
    assert notes["helm.sh/hook-delete-policy"] == "before-hook-creation,hook-succeeded"
    assert job["spec"]["activeDeadlineSeconds"] < 300, "helm waits for 5 minutes"
    account = rendering.one("ServiceAccount", job["spec"]["template"]["spec"]["serviceAccountName"])
    policy = rendering.one("NetworkPolicy", "stream-app-topics")
    for first in (account, policy):
        first_notes = first["metadata"]["annotations"]
        assert first_notes["helm.sh/hook"] == notes["helm.sh/hook"]
        assert int(first_notes["helm.sh/hook-weight"]) < 0


@pytest.mark.parametrize("component", ["detector", "notifier", "operator"])
def test_a_component_may_have_an_account_of_others(component: str, chart: Chart) -> None:
    account = {"create": False, "name": "theirs"}
    rendering = chart.render(merged(MINIMAL, {component: {"serviceAccount": account}}))
    assert pods(rendering)[component]["spec"]["serviceAccountName"] == "theirs"
    made = {one["metadata"]["name"] for one in rendering.of_kind("ServiceAccount")}
    used = {pod["spec"]["serviceAccountName"] for pod in pods(rendering).values()}
    assert used - {"theirs"} == made


def test_the_notes_name_commands_and_deployments_that_there_are(typical: Rendering) -> None:
    commands = {
        line.partition(" -- stream-app ")[2].split()[0]
        for line in typical.notes.splitlines()
        if " -- stream-app " in line
    }
    assert commands == {"doctor", "apply", "status"}
    assert commands <= set(COMMANDS)
    names = {one["metadata"]["name"] for one in typical.of_kind("Deployment")}
    named = {word[7:] for word in typical.notes.split() if word.startswith("deploy/")}
    assert named == names
