"""Every command: it helps, shows an example, prints JSON, and ends as documented."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from stream_app.cli import cli, main
from tests.contract.command_output import walk

NO_BROKER = "127.0.0.1:1"
#: Commands that print no data as JSON, and why.
WITHOUT_JSON = {
    "completion": "prints a shell's script",
    "kafka stop": "prints nothing on stdout",
    "sample": "has --format json",
    "worker": "prints its log alone; STREAM_APP_LOG__FORMAT=json is for that",
}
TRIGGER = """
trigger:
  id: 61
  client_id: 1111
  name: Hits
  enabled: true
  template_id: hits_exceeded
  filters: []
  threshold: {count: 1, period: 60, operator: gt}
  actions: [{id: send_notification, params: {integration_ids: [521]}}]
"""
#: What a command is called with where no broker answers: each ends with 4.
NEEDS_BROKER = {
    "alerts explain": ["events.hits/0/1234"],
    "alerts list": ["--from", "2h"],
    "alerts show": ["3f9a61"],
    "apply": ["-f", "{file}"],
    "delete": ["triggers", "61"],
    "dlq dismiss": ["--all"],
    "dlq list": ["deliveries"],
    "dlq redrive": ["--all", "--dry-run"],
    "dlq show": ["deliveries.dlq/3/17"],
    "doctor": [],
    "get": ["triggers"],
    "integrations delete": ["521"],
    "integrations disable": ["521"],
    "integrations enable": ["521"],
    "integrations list": [],
    "integrations test": ["521"],
    "replay": ["events.hits", "--from", "2h"],
    "replay copy": ["events.hits", "--to-prefix", "trial."],
    "sample": ["--count", "1"],
    "secrets rotate": ["--dry-run"],
    "state reset": ["detector"],
    "status": [],
    "topics check": [],
    "topics create": [],
    "topics list": [],
    "triggers backtest": ["-f", "{trigger}", "--from", "7d"],
    "validate": ["events.hits"],
}
#: The others, and why.
WITHOUT_BROKER = {
    "cloud-ips": "asks nobody",
    "completion": "asks nobody",
    "demo": "starts its own broker (tests/integration/test_demo.py)",
    "heartbeat": "asks for an integration's key only (tests/unit/cli/operations/test_heartbeat.py)",
    "kafka start": "starts the embedded broker (tests/integration/cluster/test_embedded_kafka.py)",
    "kafka status": "says with 1 that none runs",
    "kafka stop": "does nothing then",
    "sandbox": "an HTTP server",
    "sandbox fail": "asks the sandbox",
    "sandbox faults": "asks the sandbox",
    "sandbox heal": "asks the sandbox",
    "secrets generate": "asks nobody",
    "worker": "waits until it is told to stop (tests/integration/notifier/test_lifecycle.py)",
}


COMMANDS = dict(walk(cli))
#: `sandbox` is a group that does something by itself.
LEAVES = sorted(
    name
    for name, command in COMMANDS.items()
    if not isinstance(command, click.Group) or command.invoke_without_command
)


def code_of(*args: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(list(args))
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_has_a_text_and_an_example(name: str) -> None:
    done = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="stream-app")
    assert (done.exit_code, done.stderr) == (0, "")
    command = COMMANDS[name]
    assert command.help
    example = command.epilog or ""
    assert example.removeprefix("\b\n").startswith("Example")
    assert f"stream-app {name}".strip() in " ".join(example.split())


@pytest.mark.parametrize(
    "name", sorted(name for name, command in COMMANDS.items() if isinstance(command, click.Group))
)
def test_a_list_of_commands_says_in_whole_sentences_what_they_do(name: str) -> None:
    done = CliRunner().invoke(cli, [*name.split(), "--help"], env={"COLUMNS": "60"})
    shown = "".join(done.stdout.split())
    for path, command in COMMANDS.items():
        if path.rpartition(" ")[0] == name and path:
            sentence = " ".join((command.help or "").split("\n\n")[0].split()).split(". ")[0]
            assert "".join(sentence.removesuffix(".").split()) in shown


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_help_shows_no_range_without_a_bound(name: str) -> None:
    done = CliRunner().invoke(cli, [*name.split(), "--help"], prog_name="stream-app")
    assert "None" not in done.stdout


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_every_option_and_argument_is_described(name: str) -> None:
    silent = [
        option.opts[0]
        for option in COMMANDS[name].params
        if isinstance(option, click.Option) and not option.help
    ]
    assert silent == []


def test_every_command_that_prints_data_can_print_json() -> None:
    without = {
        name
        for name in LEAVES
        if not any("--json" in option.opts for option in COMMANDS[name].params)
    }
    assert without == set(WITHOUT_JSON)


@pytest.mark.parametrize("name", ["get", "completion", "kafka"])
def test_a_command_loads_only_what_it_needs(name: str) -> None:
    script = (
        "import sys\nfrom stream_app.cli import main\n"
        f"try:\n    main(['{name}', '--help'])\nexcept SystemExit as end:\n"
        "    print(end.code, 'faust' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=20
    )
    assert done.stdout.endswith("0 False\n")


def test_every_command_is_tried_without_a_broker_or_there_is_a_reason() -> None:
    assert sorted([*NEEDS_BROKER, *WITHOUT_BROKER]) == LEAVES


@pytest.mark.usefixtures("_logs_stay")
@pytest.mark.parametrize("name", sorted(NEEDS_BROKER))
def test_without_a_broker_a_command_ends_with_4_and_names_the_address(
    name: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    file = tmp_path / "client.yaml"
    file.write_text("client_id: 1111\nname: Acme\ncloud: EU\napplications: {}\n")
    monkeypatch.setenv("STREAM_APP_KAFKA__BOOTSTRAP_SERVERS", NO_BROKER)
    began = time.monotonic()
    trigger = tmp_path / "trigger.yaml"
    trigger.write_text(TRIGGER)
    args = [arg.format(file=file, trigger=trigger) for arg in NEEDS_BROKER[name]]
    assert code_of(*name.split(), *args) == 4
    assert time.monotonic() - began < 15
    out, err = capsys.readouterr()
    assert NO_BROKER in (out if name == "doctor" else err)
    assert "Traceback" not in out + err


@pytest.mark.usefixtures("_logs_stay")
@pytest.mark.parametrize(
    "args", [("status",), ("topics", "list"), ("doctor",), ("kafka", "status")]
)
def test_without_any_broker_it_names_the_folder_that_it_looked_in(
    args: tuple[str, ...],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("STREAM_APP_EMBEDDED__DIRECTORY", str(tmp_path / "elsewhere"))
    assert code_of(*args) == (1 if args == ("kafka", "status") else 4)
    assert str(tmp_path / "elsewhere") in "".join(capsys.readouterr())


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["statu"], "No such command 'statu'"),
        (["dlq", "lst"], "No such command 'lst'"),
        (["apply", "-f", "a.yaml", "--client", "0"], "0 is not an id: ids begin at 1"),
        (["sandbox", "fail"], "Choose from:\n  status,\n  "),
        (["status", "--jsn"], "No such option: --jsn"),
        (["alerts", "show"], "Missing argument 'ID'"),
        (["alerts", "show", " "], "give an alert's id"),
        (["alerts", "list", "--from", "yesterday"], "'yesterday' is no time"),
        (["alerts", "list", "--from", "1h", "--to", "2h"], "no time is left between"),
        (["alerts", "list", "--state", "lost"], "'lost' is not one of"),
        (["alerts", "list", "--limit", "0"], "0 is not in the range"),
        (["dlq", "list", "--from", "soon"], "'soon' is no time"),
        (["dlq", "list", "events.nothing"], "events.nothing has no dead letters"),
        (["get", "things"], "'things' is not one of"),
        (["worker", "painter"], "'painter' is not one of"),
        (["state", "reset", "painter"], "'painter' is not one of"),
        (["completion", "tcsh"], "'tcsh' is not one of"),
    ],
)
@pytest.mark.usefixtures("_logs_stay")
def test_invalid_arguments_are_a_usage_error(
    args: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert code_of(*args) == 2
    out, err = capsys.readouterr()
    assert said in err
    assert out == ""


@pytest.mark.usefixtures("_logs_stay")
@pytest.mark.parametrize("name", ["status", "alerts list", "topics list"])
def test_a_wrong_setting_ends_with_3(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("STREAM_APP_PARTITION", "4")
    assert code_of(*name.split()) == 3
    assert "STREAM_APP_PARTITION is not a setting" in capsys.readouterr().err


def test_ctrl_c_ends_a_long_command_with_130() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "{}:{}".format(*silent.getsockname())
        command = subprocess.Popen(
            [sys.executable, "-m", "stream_app", "status"],
            env=os.environ | {"STREAM_APP_KAFKA__BOOTSTRAP_SERVERS": address},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        silent.settimeout(30)
        connection, _ = silent.accept()
        with connection:
            command.send_signal(signal.SIGINT)
            out, err = command.communicate(timeout=15)
    assert (command.returncode, out) == (130, "")
    assert err.endswith("stream-app: interrupted\n")
    assert "Traceback" not in err


@pytest.mark.parametrize("shell", ["bash", "fish", "zsh"])
def test_the_completion_is_a_script_of_the_shell(shell: str) -> None:
    done = CliRunner().invoke(cli, ["completion", shell], prog_name="stream-app")
    assert done.exit_code == 0
    assert f"_STREAM_APP_COMPLETE={shell}_complete" in done.stdout


def test_bash_completes_commands_and_options() -> None:
    script = (
        'eval "$(python -m stream_app completion bash | sed s/\\$1/stream-app/)"; '
        "stream-app() { python -m stream_app; }; "
        "for line in 'stream-app alerts li' 'stream-app alerts list --int'; do "
        "COMP_WORDS=($line); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMPREPLY=(); "
        "_stream_app_completion stream-app; echo ${COMPREPLY[@]}; done"
    )
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "-c", script],  # noqa: S607 - the bash of the machine is the one to complete
        env=os.environ | {"PATH": path},
        capture_output=True,
        text=True,
        check=True,
        timeout=30,
    )
    assert done.stdout.splitlines() == ["list", "--integration"], done.stderr
