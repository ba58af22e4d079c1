"""Writes what install.sh puts beside the commands: completion scripts and manual pages.

    python -m hybrid_drivers.cli.extras FOLDER

makes ``FOLDER/{bash,zsh,fish}/...`` and ``FOLDER/man/NAME.1`` for every program there is.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click

from hybrid_drivers.cli.completion import FILES, script
from hybrid_drivers.cli.main import GROUPS, NAMES, cli, load
from hybrid_drivers.cli.manpage import manpage
from hybrid_drivers.cli.programs import with_version


def programs() -> Iterator[tuple[str, click.Command, int]]:
    """Yield every program: its name, its command, its exit code for failures."""
    yield "onehybrid", cli, 1
    for name, group in NAMES.items():
        if group in GROUPS:
            yield name, with_version(load(group), name), 255


def write(folder: Path) -> None:
    """Write all of it below ``folder``."""
    for name, command, failure in programs():
        texts = {f"{shell}/{file.format(name)}": script(shell, name, command) for shell, file in FILES.items()}
        texts[f"man/{name}.1"] = manpage(command, name, failure=failure)
        for path, text in texts.items():
            place = folder / path
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    write(Path(sys.argv[1]))
