"""What can be completed, read from a command and all that is below it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import click

_PLAIN = re.compile(r"[\w.,:/@%+=-]+")


@dataclass(frozen=True)
class Flag:
    """An option. ``choices`` are its values where they are known; ``takes_value``: a word must follow it."""

    names: tuple[str, ...]
    help: str
    takes_value: bool
    choices: tuple[str, ...]


@dataclass(frozen=True)
class Node:
    """A command; ``path`` is ``/host/list`` below the program, empty for the program itself.

    ``words``: what may come next besides options, each with its help: commands, or the choices of an argument.
    """

    path: str
    words: tuple[tuple[str, str], ...]
    is_group: bool
    flags: tuple[Flag, ...]


def nodes(command: click.Command, name: str) -> Iterator[Node]:
    """Yield ``command``, called ``name``, and everything below it, but for what is hidden."""
    yield from _nodes(command, click.Context(command, info_name=name, help_option_names=["-h", "--help"]), "")


def _nodes(command: click.Command, context: click.Context, path: str) -> Iterator[Node]:
    below = dict(_commands(command, context))
    words = [(name, inner.get_short_help_str(80)) for name, inner in below.items()]
    options = [one for one in command.get_params(context) if isinstance(one, click.Option) and not one.hidden]
    choices = [(word, "") for one in command.params if isinstance(one, click.Argument) for word in _choices(one)]
    yield Node(path, tuple(words or choices), bool(below), tuple(map(_flag, options)))
    for name, inner in below.items():
        yield from _nodes(inner, click.Context(inner, parent=context, info_name=name), f"{path}/{name}")


def _commands(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command]]:
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            if inner is not None and not inner.hidden:
                yield name, inner


def _flag(option: click.Option) -> Flag:
    optional = (option.metavar or "").startswith("[")  # as our options show a value that may be left out
    takes_value = not (option.is_flag or option.count or optional)
    text = " ".join((option.help or "").split())
    return Flag((*option.opts, *option.secondary_opts), text, takes_value, _choices(option))


def _choices(parameter: click.Parameter) -> tuple[str, ...]:
    """Return the choices that are plain words: shells expand the rest, or run it."""
    choices = map(str, parameter.type.choices) if isinstance(parameter.type, click.Choice) else ()
    return tuple(word for word in choices if _PLAIN.fullmatch(word))
