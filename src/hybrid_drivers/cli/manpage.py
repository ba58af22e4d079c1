"""Writes a manual page from the declarations of a command and all that is below it.

Only what every reader of ``man`` pages knows is used: the classic macros (``groff_man(7)``) and escapes for what is
not ASCII. There is no date in it, so the same program gives the same page.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import click

from hybrid_drivers import __version__

# name -> why it matters to all commands
ENVIRONMENT = {
    "ONE_LOCATION": "The folder of a self-contained OpenNebula; without it the system-wide one is used.",
    "ONE_XMLRPC": "The address of oned.",
    "ONE_AUTH": "The file with user and password, user:password.",
    "NO_COLOR": "Set to anything: no colours and underlines.",
}
_OPTION = re.compile(r"(?<![\w-])--?[\w][\w-]*")


def manpage(command: click.Command, name: str, *, failure: int) -> str:
    """Return the page of program ``name``; ``failure`` is its exit code when something fails."""
    context = click.Context(command, info_name=name, help_option_names=["-h", "--help"])
    first, _, rest = _help(command).partition("\n\n")
    lines = [
        f'.TH "{name.upper()}" "1" "" "{_text(__version__)}" "OpenNebula Hybrid Drivers"',
        ".SH NAME",
        f"{_text(name)} \\- {_text(' '.join(first.split()).rstrip('.'))}",
        ".SH SYNOPSIS",
        _usage(command, context),
        *([".SH DESCRIPTION", *_paragraphs(rest or first)]),
        ".SH OPTIONS",
        *_options(command, context),
    ]
    below = list(_commands(command, context))
    lines += [".SH COMMANDS", *below] if below else []
    lines += [".SH ENVIRONMENT", *(line for item in ENVIRONMENT.items() for line in _tagged(*item))]
    lines += [".SH EXIT STATUS", *_tagged("0", "All is well."), *_tagged(str(failure), "Something failed.")]
    return "\n".join(lines) + "\n"


def _commands(group: click.Command, context: click.Context) -> Iterator[str]:
    """Yield a part for each command below ``group``; groups themselves are not commands to call."""
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        inner = click.Context(command, parent=context, info_name=name)
        if isinstance(command, click.Group) and not command.invoke_without_command:
            yield from _commands(command, inner)
            continue
        yield f'.SS "{_text(inner.command_path)}"'
        yield _usage(command, inner)
        yield ".PP"
        yield from _paragraphs(_help(command))
        yield from _options(command, inner)
        yield from _commands(command, inner)


def _usage(command: click.Command, context: click.Context) -> str:
    pieces = " ".join(command.collect_usage_pieces(context))
    return f"\\fB{_text(context.command_path)}\\fR {_text(pieces)}"


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record and record[1] and (parameter.name != "help" or context.parent is None):
            yield from _tagged(*record)


def _tagged(tag: str, text: str) -> Iterator[str]:
    """Yield an item of a list: option names in bold, what they take in italics."""
    marked, at = "", 0
    for match in _OPTION.finditer(tag):
        marked += _italics(tag[at : match.start()]) + f"\\fB{_text(match.group())}\\fR"
        at = match.end()
    yield ".TP"
    yield marked + _italics(tag[at:]) if at else f"\\fB{_text(tag)}\\fR"
    yield _text(" ".join(text.split())) or "\\&"


def _italics(text: str) -> str:
    """Mark words in italics; commas, blanks and brackets between options stay upright."""
    return re.sub(r"[^\s,/]\S*", lambda match: f"\\fI{_text(match.group())}\\fR", text)


def _help(command: click.Command) -> str:
    return (command.help or "").partition("\f")[0].strip()


def _paragraphs(text: str) -> Iterator[str]:
    """Yield a help text: paragraphs are filled, those that click must not wrap (marked by a backspace) are kept."""
    for number, part in enumerate(re.split(r"\n\s*\n", text)):
        yield from [".PP"] if number else []
        lines = [line.strip() for line in part.splitlines()]
        if lines and lines[0] == "\b":
            yield from [".nf", *map(_text, lines[1:]), ".fi"]
        elif part.strip():
            yield _text(" ".join(lines))


def _text(text: str) -> str:
    """Return text as roff takes it literally: no escape, no request at the beginning of a line."""
    text = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq").replace("\b", "")
    text = "".join(one if one.isascii() else f"\\[u{ord(one):04X}]" for one in text)
    return f"\\&{text}" if text[:1] in (".", "'") else text
