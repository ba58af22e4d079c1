"""``onehybrid completion``: prints the script that lets a shell complete our commands.

The scripts are click's: at each TAB they ask the program itself, which answers from its own declarations in about
the time it takes to start (bench/completion.py). install.sh puts them where the shells look.
"""

from __future__ import annotations

import click
from click.shell_completion import ShellComplete, get_completion_class

SHELLS = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}  # shell -> the name its script must have
PROGRAMS = ("onehybrid", "oneprovision", "oneprovider")


def script(shell: str, program: str) -> str:
    """Return the script that completes ``program``; ``shell`` is one of ``SHELLS``."""
    kind = get_completion_class(shell)
    if kind is None:
        raise ValueError(shell)
    variable = f"_{program.upper()}_COMPLETE"  # what click looks at when it is started under this name
    # The source of bash's own class would run bash to see its version: 4.4, which every supported system exceeds.
    return ShellComplete.source(kind(click.Group(), {}, program, variable))


@click.command()
@click.argument("shell", type=click.Choice(tuple(SHELLS)))
@click.option(
    "--program", type=click.Choice(PROGRAMS), default="onehybrid", show_default=True, help="The command to complete."
)
def completion(shell: str, program: str) -> None:
    """Print the script that completes commands in SHELL.

    install.sh puts it where the shell finds it. Without that, for one session: eval "$(onehybrid completion bash)".
    """
    click.echo(script(shell, program))
