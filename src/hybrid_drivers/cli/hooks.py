"""``onehybrid hooks``: the three hooks of oned that run ``remotes/hooks/alias_ip``."""

from __future__ import annotations

import os

import click

from hybrid_drivers.agent.sockets import ensure_private_folder
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned import hooks as registered
from hybrid_drivers.oned.api import Oned

NOTE = "hooks"  # in the state folder: oned may have hooks of ours (install.sh reads it)
PATIENCE = 5.0  # seconds for oned: whoever installs waits


@click.group()
def hooks() -> None:
    """Register the hooks that keep public addresses with virtual machines.

    For front-ends whose VNMAD_LOCAL_ACTIONS does not have hybrid-post and hybrid-clean. As oneadmin.
    """


@hooks.command()
def install() -> None:
    """Register the three hooks, or put them right."""
    location = Location.from_environment(os.environ)
    ensure_private_folder(location.state)
    (location.state / NOTE).touch()  # before it is done: who is cut off has it deleted by install.sh -r, too
    click.echo(f"hooks: {registered.told(_here().install().items())}")


@hooks.command()
def remove() -> None:
    """Delete the three hooks."""
    gone = _here().remove()
    (Location.from_environment(os.environ).state / NOTE).unlink(missing_ok=True)
    click.echo(f"hooks deleted: {', '.join(gone)}" if gone else "there were no hooks of these drivers")


@hooks.command()
def check() -> None:
    """Tell whether the three hooks are there and as they have to be; exit code 1 when not."""
    if problems := _here().problems():
        raise ConfigError(f"{'; '.join(problems)}: 'onehybrid hooks install' puts them right")
    click.echo(f"hooks: {', '.join(registered.NAMES)}")


def _here() -> registered.AliasIpHooks:
    location = Location.from_environment(os.environ)
    oned = Oned.from_location(location, timeout=PATIENCE)
    return registered.AliasIpHooks(registered.Hooks(oned), location.remotes)
