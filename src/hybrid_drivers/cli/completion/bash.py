"""The script for bash (4.2 and newer)."""

from __future__ import annotations

import shlex
from collections.abc import Iterable

from hybrid_drivers.cli.completion.tree import Node

SCRIPT = """\
# bash completion of {name}

declare -gA _{name}_words=( # by command: what follows it
{words}
)
declare -gA _{name}_options=(
{options}
)
declare -gA _{name}_values=( # by command and option: what the option takes
{values}
)
declare -gA _{name}_groups=( # commands that are followed by a command
{groups}
)

_{name}() {{
    local current=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD-1]}} at='' word
    # --option=value is three words to bash
    if [[ $current == '=' ]]; then current=''; elif [[ $before == '=' ]]; then before=${{COMP_WORDS[COMP_CWORD-2]}}; fi
    for word in "${{COMP_WORDS[@]:1:COMP_CWORD-1}}"; do
        if [[ -n ${{_{name}_groups[.$at]-}} && " ${{_{name}_words[.$at]-}} " == *" $word "* ]]; then at+=/$word; fi
    done
    COMPREPLY=()
    if [[ -n ${{_{name}_values[".$at $before"]+set}} ]]; then
        COMPREPLY=($(compgen -W "${{_{name}_values[".$at $before"]}}" -- "$current"))
    elif [[ $current == -* ]]; then
        COMPREPLY=($(compgen -W "${{_{name}_options[.$at]-}}" -- "$current"))
        compopt +o default
    else
        COMPREPLY=($(compgen -W "${{_{name}_words[.$at]-}}" -- "$current"))
        if [[ -n ${{_{name}_groups[.$at]-}} ]]; then compopt +o default; fi
    fi
}} 2>/dev/null

complete -o default -F _{name} {name} # where nothing is known: file names
"""


def script(name: str, nodes: list[Node]) -> str:
    """Return it for the program ``name``."""
    return SCRIPT.format(
        name=name,
        words=_table((one.path, [word for word, _ in one.words]) for one in nodes if one.words),
        options=_table((one.path, [flag for option in one.flags for flag in option.names]) for one in nodes),
        values=_table(
            (f"{one.path} {flag}", list(option.choices))
            for one in nodes
            for option in one.flags
            if option.takes_value
            for flag in option.names
        ),
        groups=_table((one.path, ["yes"]) for one in nodes if one.is_group),
    )


def _table(rows: Iterable[tuple[str, list[str]]]) -> str:
    """Write the members of an associative array; keys begin with a dot, for none may be empty."""
    return "\n".join(f"    [{shlex.quote('.' + key)}]={shlex.quote(' '.join(words))}" for key, words in rows)
