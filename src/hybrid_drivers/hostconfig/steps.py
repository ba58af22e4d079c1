"""What a host should look like, as values: a step is a check and an apply, two snippets of POSIX sh.

``check`` succeeds when nothing is to be done; ``apply`` makes it so. Both run under ``set -e`` in a subshell of their
own, with ``stdin`` as their standard input (nothing when it is empty), and may use the functions of
``preamble.sh``. Values enter a snippet only through :func:`quote`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

_LABEL = re.compile(r"[A-Za-z0-9 _.,:;/()=+*@%-]+\Z")
_NOT_SENT = re.compile("[\0\ud800-\udfff]")


def quote(value: str) -> str:
    """Quote ``value`` so that a POSIX shell takes it as exactly one word with exactly these characters.

    Everything inside single quotes is literal (POSIX.1-2017, XCU 2.2.2), so only the single quote needs care.

    Raises:
        ValueError: the value has a NUL, which no shell word can hold, or a lone surrogate, which is no text.
    """
    if found := _NOT_SENT.search(value):
        what = "a NUL character" if found[0] == "\0" else "half a surrogate pair"
        raise ValueError(f"a value for a host has {what}, which a shell cannot carry")
    return "'" + value.replace("'", "'\\''") + "'"


def words(*values: str) -> str:
    """Quote several values and join them with spaces."""
    return " ".join(quote(value) for value in values)


def all_of(*conditions: str) -> str:
    """Join commands into one check that succeeds when every one of them does (it runs under ``set -e``)."""
    return "\n    ".join(conditions)


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing a host should have.

    ``role`` and ``name`` are for people and appear in the script as plain words. ``stdin`` is what check and apply
    read; it may be secret, so it is never shown. A change marks each service of ``triggers`` for a restart by its
    service step; the mark survives a lost connection. ``must`` turns a failed check into a failure whose reason is
    the check's output: there is nothing to apply.
    """

    role: str
    name: str
    check: str
    apply: str = ""
    stdin: str = field(default="", repr=False)
    triggers: tuple[str, ...] = ()
    must: bool = False

    def __post_init__(self) -> None:
        for label in (self.role, self.name, *self.triggers):
            if not _LABEL.match(label):
                raise ValueError(f"'{label}' cannot name a step: plain characters only")
        if bool(self.apply) is self.must:
            raise ValueError(f"step '{self.name}' needs an apply, or is a must, not both")
