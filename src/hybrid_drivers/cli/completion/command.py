"""``onehybrid completion``: prints the script that lets a shell complete our commands."""

from __future__ import annotations

import click

from hybrid_drivers.cli.completion import WRITERS, script
from hybrid_drivers.cli.extras import programs


@click.command()
@click.argument("shell", type=click.Choice(tuple(WRITERS)))
@click.option(
    "--program",
    type=click.Choice(("onehybrid", "oneprovision", "oneprovider")),
    default="onehybrid",
    show_default=True,
    help="The command to complete.",
)
def completion(shell: str, program: str) -> None:
    r"""Print the script that completes commands in SHELL.

    install.sh puts it where the shell finds it. Without that, for one session of bash:

    \b
    eval "$(onehybrid completion bash)"
    """
    command = next(command for name, command, _ in programs() if name == program)
    click.echo(script(shell, program, command))
