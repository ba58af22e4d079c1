"""Scripts that let bash, zsh and fish complete our commands.

All names are in the scripts, so a TAB starts no program of ours: a command would first load what talks to oned. They
are written from the declarations of the commands, by install.sh and by ``onehybrid completion``.
"""

from __future__ import annotations

from collections.abc import Callable

import click

from hybrid_drivers.cli.completion import bash, fish, zsh
from hybrid_drivers.cli.completion.tree import Node, nodes

WRITERS: dict[str, Callable[[str, list[Node]], str]] = {"bash": bash.script, "zsh": zsh.script, "fish": fish.script}
FILES = {"bash": "{}", "zsh": "_{}", "fish": "{}.fish"}  # the name a script must have


def script(shell: str, name: str, command: click.Command) -> str:
    """Return the script for ``shell`` (one of ``WRITERS``) that completes ``command`` called ``name``."""
    return WRITERS[shell](name, list(nodes(command, name)))
