"""The command line for people: ``onehybrid``, and ``oneprovision`` and ``oneprovider``, two of its groups by name.

Groups are named in one table and imported when used, so that the command starts quickly however many there are.
"""

from __future__ import annotations

from typing import NoReturn

import click

from hybrid_drivers import __version__
from hybrid_drivers.cli import lazygroup, programs

# name -> (module:attribute of a click command, its line in --help)
GROUPS: dict[str, tuple[str, str]] = {
    "agent": ("hybrid_drivers.cli.agent:agent", "Look at, start and stop the agent."),
    "completion": ("hybrid_drivers.cli.completion.command:completion", "Print a shell's completion script."),
    "configure": ("hybrid_drivers.cli.configure:configure", "Configure hosts again, or see what differs."),
    "cost": ("hybrid_drivers.cli.cost:cost", "Show what rented hosts cost, an hour and this month."),
    "gc": ("hybrid_drivers.cli.gc:gc", "Show machines that no host needs, and give them back."),
    "growth": ("hybrid_drivers.cli.growth:growth", "Look into clusters that grow on demand."),
    "hooks": ("hybrid_drivers.cli.hooks:hooks", "Register the hooks that keep public addresses with machines."),
    "provider": ("hybrid_drivers.cli.provider.group:provider", "Manage the accounts machines are rented from."),
    "provision": ("hybrid_drivers.cli.provision.group:provision", "Make whole clusters from templates (oneprovision)."),
}
NAMES = {"oneprovision": "provision", "oneprovider": "provider"}  # OpenNebula's own name -> our group


def load(name: str) -> click.Command:
    """Import the command called ``name`` in the table."""
    return lazygroup.load(GROUPS, name)


@click.group(cls=lazygroup.LazyGroup, table=GROUPS, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "-V", "--version", prog_name="onehybrid")
def cli() -> None:
    """Rent machines as OpenNebula hosts, watch them and give them back."""


def main() -> NoReturn:
    """Be ``onehybrid``: exit code 1 for a failure, 2 (``configure``: 1) when called wrongly."""
    programs.run(lambda: cli, "onehybrid", failure=1)


def provision_main() -> NoReturn:
    """Be ``oneprovision``: exit code 255 for any failure, as OpenNebula's."""
    _be("oneprovision")


def provider_main() -> NoReturn:
    """Be ``oneprovider``: exit code 255 for any failure, as OpenNebula's."""
    _be("oneprovider")


def _be(name: str) -> NoReturn:
    programs.run(lambda: programs.with_version(load(NAMES[name]), name), name, failure=255, misuse=255)
