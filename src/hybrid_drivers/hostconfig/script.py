"""Compile playbooks to one POSIX sh program, and the protocol that program speaks while it runs.

The program is sent whole as standard input of ``sh -s hybrid-configure apply`` (or ``... check``); nothing of it is
written on the host. Its function ``main`` has one line for every step, at the start of a line::

    run_step 4 'opennebula-node-kvm' 'install packages' - 'libvirtd.service'

that is: number, role, name, ``must`` or ``-``, services to restart after a change. :func:`read_steps` lists them.

On standard output it prints, a line each and as it happens (all other lines are to be ignored)::

    @hybrid 1 12 apply          protocol version, number of steps, mode (apply or check)
    @step 4 12 start            step 4 of 12 begins
    @info 4 TEXT                something people should know; any number, before the step's outcome
    @step 4 12 ok 0.01          it was as wanted; seconds it took
    @step 4 12 changed 0.83     it was made so
    @step 4 12 would-change 0.1 check only: it is not as wanted
    @stderr 4 TEXT              the last lines the failed step printed, before its outcome
    @step 4 12 failed 100 0.40  its exit code, seconds; nothing runs after it
    @fatal TEXT                 no step could be run at all; the reason (exit code 3)
    @end ok 3                   the end: ok or failed, and how many steps changed (or would)

Exit code 0: every step is ``ok``, ``changed`` or ``would-change``; 1: a step failed; 3: fatal. Without ``@end`` or
``@fatal`` the run was cut off.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib import resources

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.facts import Facts
from hybrid_drivers.hostconfig.playbooks import plan
from hybrid_drivers.hostconfig.steps import Step, quote, words

PROTOCOL = 1
SHELL_FILES = (
    *("preamble.sh", "functions.sh", "packages.sh", "dnf.sh", "repository.sh", "sshd.sh"),
    *("ddc.sh", "node.sh"),
    *("network.sh", "network_files.sh", "network_change.sh", "network_backends.sh", "taps.sh"),
    *("vxlan.sh", "firewall.sh", "firewall_others.sh"),
)
_RUN_STEP = re.compile(r"^run_step (\d+) '([^']*)' '([^']*)' (?:must|-)(?: |$)", re.MULTILINE)
_MAIN = "\nmain() {\n"


@dataclass(frozen=True)
class Script:
    """A compiled program; ``text`` may hold secrets and is never shown, ``steps`` are in the order they run."""

    text: str = field(repr=False)
    steps: tuple[Step, ...] = field(repr=False)

    def command(self, *, check_only: bool = False) -> str:
        """Return the command that runs the text given to it as standard input."""
        return f"sh -s hybrid-configure {'check' if check_only else 'apply'}"


@lru_cache(maxsize=1)
def preamble() -> str:
    """Return the text every script begins with: how steps are run, and what their snippets call."""
    folder = resources.files("hybrid_drivers.hostconfig")
    return "\n".join(folder.joinpath(name).read_text(encoding="utf-8") for name in SHELL_FILES)


def compile_script(
    playbooks: Sequence[str], parameters: Mapping[str, str], facts: Facts, *, peers_only: bool = False
) -> Script:
    """Compile ``playbooks`` (in order) with OneProvision's variables to one program.

    ``peers_only`` compiles only what depends on the other hosts of the cluster.

    Raises:
        ConfigError: an unknown playbook or parameter, or a value that does not fit; the text names it.
    """
    try:
        return render(plan(playbooks, replace(facts, given=dict(parameters)), peers_only=peers_only))
    except ValueError as exc:  # a value that no shell can carry, or that cannot name a step
        raise ConfigError(f"configuration: {exc}") from exc


def render(steps: Sequence[Step]) -> Script:
    """Write the program that brings a host to ``steps``."""
    parts = [preamble(), *(part for number, step in enumerate(steps, 1) for part in _functions(number, step))]
    calls = "\n".join(_call(number, step) for number, step in enumerate(steps, 1))
    main = f'{_MAIN}begin {PROTOCOL} {len(steps)} "${{2-}}"\n{calls}\nfinish\n}}\n\nmain "$@"\n'
    return Script(text="\n".join(parts) + main, steps=tuple(steps))


def read_steps(text: str) -> list[tuple[int, str, str]]:
    """List (number, role, name) of a program's steps, from its text alone."""
    return [(int(number), role, name) for number, role, name in _RUN_STEP.findall(text[text.rfind(_MAIN) :])]


def _functions(number: int, step: Step) -> Iterator[str]:
    yield f"\n# {number}: {step.role}: {step.name}"
    body = f"printf '%s' {quote(step.stdin)}" if step.stdin else ":"
    yield f"stdin_{number}() {{ {body}; }}"
    yield f"check_{number}() {{\n    {step.check}\n}}"
    if step.apply:
        yield f"apply_{number}() {{\n    {step.apply}\n}}"


def _call(number: int, step: Step) -> str:
    call = f"run_step {number} {words(step.role, step.name)} {'must' if step.must else '-'}"
    return f"{call} {words(*step.triggers)}".rstrip()
