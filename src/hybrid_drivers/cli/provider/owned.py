"""``delete``, ``rename``, ``chown``, ``chgrp`` and ``chmod``: what is done to the document of an entry."""

from __future__ import annotations

import re
from collections.abc import Callable

import click

from hybrid_drivers.cli.provider.front_end import TARGETS, for_each, here
from hybrid_drivers.errors import ConfigError


@click.command()
@click.argument("providers", metavar="ID|NAME...", nargs=-1, required=True)
def delete(providers: tuple[str, ...]) -> None:
    """Delete providers (1,2 and 1..3 are several ids).

    Refused while hosts, provisions or machines on their way back use one: without it nobody could give them back.
    """
    directory, _ = here()
    for_each(providers, lambda word: directory.delete(directory.record(word)))


@click.command()
@click.argument("provider", metavar="ID|NAME")
@click.argument("name", metavar="NEW-NAME")
def rename(provider: str, name: str) -> None:
    """Give a provider that nobody uses another name."""
    directory, _ = here()
    directory.rename(directory.record(provider), name)


@click.command()
@TARGETS
@click.argument("user")
@click.argument("group", required=False)
def chown(providers: str, user: str, group: str | None) -> None:
    """Give providers to USER (id or name), and to GROUP when it is named."""
    directory, objects = here()
    uid = _number(user, objects.user_id)
    gid = _number(group, objects.group_id) if group else -1
    for_each([providers], lambda word: directory.chown(directory.record(word), uid, gid))


@click.command()
@TARGETS
@click.argument("group")
def chgrp(providers: str, group: str) -> None:
    """Give providers to GROUP (id or name)."""
    directory, objects = here()
    gid = _number(group, objects.group_id)
    for_each([providers], lambda word: directory.chown(directory.record(word), -1, gid))


@click.command()
@TARGETS
@click.argument("mode", metavar="OCTET")
def chmod(providers: str, mode: str) -> None:
    """Set the permissions of providers: three digits for owner, group and others, like 640.

    A digit is the sum of 4 (use), 2 (manage) and 1 (administer).
    """
    if not re.fullmatch("[0-7]{3}", mode):
        raise ConfigError(f"'{mode[:40]}' is not a mode: give three digits from 0 to 7, like 640")
    directory, _ = here()
    for_each([providers], lambda word: directory.chmod(directory.record(word), int(mode, 8)))


def _number(word: str, look_up: Callable[[str], int]) -> int:
    return int(word) if re.fullmatch(r"\d{1,9}", word) else look_up(word)
