"""`stream-app completion`: the script that makes a shell complete commands and options."""

from __future__ import annotations

from typing import Any

import click
from click.shell_completion import get_completion_class

from stream_app.cli import COMPLETE_VARIABLE
from stream_app.cli.output import print_lines

SHELLS = ("bash", "fish", "zsh")


@click.command(
    epilog="\b\nExamples, each once:\n"
    "  echo 'eval \"$(stream-app completion bash)\"' >> ~/.bashrc\n"
    "  echo 'eval \"$(stream-app completion zsh)\"' >> ~/.zshrc\n"
    "  stream-app completion fish > ~/.config/fish/completions/stream-app.fish"
)
@click.argument("shell", type=click.Choice(SHELLS))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the script that completes commands and options in bash (4.4 or newer), zsh or fish.

    The shell asks stream-app at each TAB, so completion stays up to date. It offers topics and
    states, and ids of clients, integrations, triggers and alerts where Kafka answers at once.
    """
    kind: Any = get_completion_class(shell)
    root = ctx.find_root()
    print_lines(kind(root.command, {}, "stream-app", COMPLETE_VARIABLE).source())
