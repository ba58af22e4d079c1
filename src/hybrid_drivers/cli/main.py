"""``onehybrid``: the command line for people.

Groups are named in one table and imported when used, so that the command starts quickly however many there are.
"""

from __future__ import annotations

import importlib
import os
import sys

import click

from hybrid_drivers import __version__
from hybrid_drivers.errors import HybridError

# name -> (module:attribute of a click command, its line in --help)
GROUPS: dict[str, tuple[str, str]] = {
    "agent": ("hybrid_drivers.cli.agent:agent", "Look at, start and stop the agent."),
    "configure": ("hybrid_drivers.cli.configure:configure", "Configure hosts again, or see what differs."),
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are run."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names in the table."""
        return sorted(GROUPS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import one command."""
        if cmd_name not in GROUPS:
            return None
        module, _, name = GROUPS[cmd_name][0].partition(":")
        command: click.Command = getattr(importlib.import_module(module), name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the groups from the table alone."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, GROUPS[name][1]) for name in self.list_commands(ctx)])


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="onehybrid")
def cli() -> None:
    """Rent machines as OpenNebula hosts, watch them and give them back."""


def main() -> None:
    """Run the command line; an error of ours is one sentence and exit code 1."""
    try:
        cli()
    except HybridError as error:
        click.echo(f"Error: {error}", err=True)
        sys.exit(1)
    except BrokenPipeError:  # the reader (head, less) left
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
