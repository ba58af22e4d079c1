"""The script for zsh."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from hybrid_drivers.cli.completion.tree import Node

SCRIPT = """\
#compdef {name}

_{name}() {{
    local at='' word before=${{words[CURRENT-1]}}
    local -a offered
    local -A following options values groups
    following=( # by command: what follows it
{words}
    )
    options=(
{options}
    )
    values=( # by command and option: what the option takes
{values}
    )
    groups=( # commands that are followed by a command
{groups}
    )
    for word in ${{words[2,CURRENT-1]}}; do
        if [[ -n ${{groups[.$at]-}} && -n ${{(M)${{(f)following[.$at]}}:#$word:*}} ]]; then at+=/$word; fi
    done
    if [[ -n ${{values[.$at $before]+set}} ]]; then
        offered=(${{(f)values[.$at $before]}})
        if (( $#offered )); then _describe value offered; else _files; fi
    elif [[ $PREFIX == -* ]]; then
        offered=(${{(f)options[.$at]}})
        _describe -o option offered
    else
        offered=(${{(f)following[.$at]-}})
        if (( $#offered )); then _describe word offered; else _files; fi
    fi
}}

if [[ $zsh_eval_context[-1] == loadautofunc ]]; then _{name} "$@"; else compdef _{name} {name}; fi
"""


def script(name: str, nodes: list[Node]) -> str:
    """Return it for the program ``name``."""
    return SCRIPT.format(
        name=name,
        words=_table((one.path, one.words) for one in nodes if one.words),
        options=_table(
            (one.path, [(flag, option.help) for option in one.flags for flag in option.names]) for one in nodes
        ),
        values=_table(
            (f"{one.path} {flag}", [(word, "") for word in option.choices])
            for one in nodes
            for option in one.flags
            if option.takes_value
            for flag in option.names
        ),
        groups=_table((one.path, [("yes", "")]) for one in nodes if one.is_group),
    )


def _table(rows: Iterable[tuple[str, Iterable[tuple[str, str]]]]) -> str:
    """Write keys and values of an associative array; a value holds ``word:help`` a line."""
    return "\n".join(f"        {shlex.quote('.' + key)} {shlex.quote(_lines(words))}" for key, words in rows)


def _lines(words: Iterable[tuple[str, str]]) -> str:
    return "\n".join(f"{_plain(word)}:{text}" for word, text in words)


def _plain(word: str) -> str:
    return word.replace("\\", "\\\\").replace(":", "\\:")
