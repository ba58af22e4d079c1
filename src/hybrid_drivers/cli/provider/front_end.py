"""What the commands share: the provider entries of this front-end, and which of them are meant."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence

import click

from hybrid_drivers.agent.logs import mask
from hybrid_drivers.clock import SystemClock
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError, HybridError
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.provision.directory import ProviderDirectory
from hybrid_drivers.secret import Secret

MOST = 10_000  # ids that a range may stand for


def here() -> tuple[ProviderDirectory, Objects]:
    """Reach the front-end of this machine. Raises: ConfigError."""
    location = Location.from_environment(os.environ)
    oned = Oned.from_location(location)
    return ProviderDirectory(oned, location, SystemClock()), Objects(oned)


def hide(entry: ProviderEntry) -> ProviderEntry:
    """Let no error or log show a secret of the entry from now on, whoever repeats it."""
    for value in entry.settings.values():
        if isinstance(value, Secret):
            mask(value.reveal())
    return entry


def meant(words: Sequence[str]) -> list[str]:
    """Return the ids and names in ``words``: ``a``, ``1,b`` and ``1..3``, each once.

    Raises:
        ConfigError: a range is empty or too long.
    """
    found: dict[str, None] = {}
    for word in (part for text in words for part in text.split(",")):
        if ends := re.fullmatch(r"(\d{1,9})\.\.(\d{1,9})", word):
            first, last = int(ends[1]), int(ends[2])
            if not first <= last < first + MOST:
                raise ConfigError(f"the range {word} stands for no ids, or for more than {MOST}")
            found.update(dict.fromkeys(map(str, range(first, last + 1))))
        elif word:
            found[word] = None
    if not found:
        raise ConfigError("name at least one provider")
    return list(found)


def for_each(words: Sequence[str], act: Callable[[str], None]) -> None:
    """Do something with every provider that is meant; one that fails does not stop the others.

    Raises:
        ConfigError: what went wrong, a line for each.
    """
    problems = []
    for word in meant(words):
        try:
            act(word)
        except HybridError as exc:
            problems.append(str(exc))
    if problems:
        raise ConfigError("\n".join(problems))


TARGETS = click.argument("providers", metavar="ID|NAME,...")
