"""The script for fish (3.0 and newer)."""

from __future__ import annotations

from collections.abc import Iterator

from hybrid_drivers.cli.completion.tree import Flag, Node

SCRIPT = """\
# fish completion of {name}

set -g __{name}_commands {commands}

# Prints the command that the line is at, such as /agent/status.
function __{name}_at
    set -l at ''
    for word in (commandline -opc)[2..-1]
        if contains -- "$at/$word" $__{name}_commands
            set at "$at/$word"
        end
    end
    echo $at
end

function __{name}_is
    test (__{name}_at) = "$argv[1]"
end

complete -c {name} -e
{lines}
"""


def script(name: str, nodes: list[Node]) -> str:
    """Return it for the program ``name``."""
    commands = " ".join(_quoted(one.path) for one in nodes if one.path)
    lines = "\n".join(line for node in nodes for line in _lines(name, node))
    return SCRIPT.format(name=name, commands=commands, lines=lines)


def _lines(name: str, node: Node) -> Iterator[str]:
    condition = f"__{name}_is {_quoted(node.path)}"
    begin = f"complete -c {name} -n {_quoted(condition)}"
    for word, text in node.words:
        yield f"{begin} -f -a {_quoted(word)}{_described(text)}"
    for flag in node.flags:
        yield f"{begin} {_names(flag)}{_value(flag)}{_described(flag.help)}"


def _names(flag: Flag) -> str:
    return " ".join(f"-l {one[2:]}" if one.startswith("--") else f"-s {one[1:]}" for one in flag.names)


def _value(flag: Flag) -> str:
    if not flag.takes_value:
        return ""
    return f" -x -a {_quoted(' '.join(flag.choices))}" if flag.choices else " -r"


def _described(text: str) -> str:
    return f" -d {_quoted(text)}" if text else ""


def _quoted(text: str) -> str:
    """Quote for fish, whose single quotes know two escapes."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
