"""The process boundary oned sees: argv, standard input, standard output, standard error and exit code.

OpenNebula 7.x reads the standard error of a driver line by line: a line like ``INFO: text`` goes to its log, every
other line becomes the message the user sees; 6.10 joins all of it with blanks. So a failure is exactly one plain
line, and whatever else is to be said is prefixed.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from hybrid_drivers.errors import HybridError

PM_BEGIN = "ERROR MESSAGE --8<------"
PM_END = "ERROR MESSAGE ------>8--"


@dataclass(frozen=True, kw_only=True)
class Call:
    """One run of one of our executables by oned (or by a person), as the thin client hands it over.

    ``family`` is the folder under ``remotes/`` (im, pm, ipam, vnm, hooks), ``driver`` the driver's name, ``action`` the
    executable's name; ``argv`` is what followed on the command line; ``env`` only what a handler may know.
    """

    family: str
    driver: str
    action: str
    argv: tuple[str, ...] = ()
    stdin: bytes = field(default=b"", repr=False)
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the executable prints and how it exits."""

    stdout: bytes = b""
    stderr: bytes = b""
    code: int = 0


def failure(error: HybridError | str, *, family: str = "im") -> Answer:
    """Turn an error into the answer oned shows best: one plain line, exit code 255 for ``pm``, 1 otherwise."""
    line = plain_line(str(error))
    if family == "pm":
        return Answer(stderr=f"{PM_BEGIN}\n{line}\n{PM_END}\n".encode(), code=255)
    if family == "im":  # one_im_sh joins stderr into stdout, and a failure's reason is the output
        return Answer(stdout=f"{line}\n".encode(), code=1)
    return Answer(stderr=f"{line}\n".encode(), code=1)


def plain_line(text: str) -> str:
    """Fold ``text`` into one line that neither oned's log pattern nor 5.12's framing can misread."""
    line = " ".join(text.split()) or "unknown failure"
    if re.match(r"(ERROR|INFO|WARN|WARNING|DEBUG):|\d", line):
        line = f"failed: {line}"
    return line.replace("--8<", "--8 <").replace(">8--", "> 8--")
