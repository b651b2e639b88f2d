"""Options that commands share: one form of times, and old spellings that work for one version."""

from __future__ import annotations

from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from stream_app.cli.parameters import end_undone, formerly, moments_of, time_options
from stream_app.domain.errors import UsageError
from stream_app.domain.times import HOUR_MS


@click.command()
@time_options("Only what was recorded", "7d")
@click.option("-f", "--file", "files", multiple=True)
@formerly("--config", "--file", "files", multiple=True)
def command(**given: Any) -> None:
    click.echo(str([given["start"], given["end"], *given["files"]]))


def called(*args: str) -> Result:
    done = CliRunner().invoke(command, args)
    assert done.exit_code == 0, done.output
    return done


def test_a_new_spelling_says_nothing() -> None:
    done = called("--from", "2h", "--to", "1h", "-f", "a", "--file", "-")
    assert (done.stdout, done.stderr) == ("['2h', '1h', 'a', '-']\n", "")
    assert called().stdout == "['7d', None]\n"


@pytest.mark.parametrize(
    ("args", "got", "words"),
    [
        (["--since", "2h"], "['2h', None]", ["--since is called --from now"]),
        (["--until=1h"], "['7d', '1h']", ["--until is called --to now"]),
        (["--from", "-2h"], "['2h', None]", ["--from -2h is written --from 2h now"]),
        (
            ["--until", "-1h", "--from", "3h"],
            "['3h', '1h']",
            ["--until is called --to now", "--to -1h is written --to 1h now"],
        ),
        (
            ["--config", "a", "-f", "b", "--config", "c"],
            "['7d', None, 'b', 'a', 'c']",
            ["--config is called --file now"],
        ),
    ],
)
def test_an_old_spelling_does_the_same_and_says_the_new_one(
    args: list[str], got: str, words: list[str]
) -> None:
    done = called(*args)
    assert done.stdout == f"{got}\n"
    said = done.stderr.splitlines()
    assert len(said) == len(words)
    for line, word in zip(said, words, strict=True):
        assert line.startswith(word)
        assert line.endswith("ends with the next version")


def test_both_spellings_at_once_are_wrong_usage() -> None:
    done = CliRunner().invoke(command, ["--since", "2h", "--from", "3h"])
    assert done.exit_code == 2
    assert "--since is called --from now" in done.stderr


def test_help_shows_the_new_spellings_only() -> None:
    shown = called("--help").stdout
    assert "--from T" in shown
    for old in ("--since", "--until", "--config", "-2h"):
        assert old not in shown


def test_a_range_of_times_is_not_empty() -> None:
    from_ms, to_ms = moments_of("2h", "now")
    assert from_ms is not None
    assert to_ms == from_ms + 2 * HOUR_MS
    assert moments_of(None, None) == (None, None)
    with pytest.raises(
        UsageError, match=r"--from 1h \(20.*Z\) is not before --to 2h \(20.*Z\): no time is"
    ):
        moments_of("1h", "2h")


@pytest.mark.parametrize("as_json", [False, True])
def test_without_yes_a_command_says_so_and_a_script_stops(
    capsys: pytest.CaptureFixture[str], *, as_json: bool
) -> None:
    with pytest.raises(click.exceptions.Exit) as ended:
        end_undone(as_json=as_json)
    assert ended.value.exit_code == 2
    sentence = "nothing is done yet: add --yes to do it\n"
    assert capsys.readouterr() == (("", sentence) if as_json else (sentence, ""))
