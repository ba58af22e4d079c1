"""A program on a terminal of its own: what a person sees and types."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from types import TracebackType

ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
CTRL_C = "\x03"
LIMIT = 60.0  # seconds for what is waited for: a busy computer needs some


class OnTerminal:
    """A running program whose controlling terminal we hold; a context manager that leaves no process behind.

    ``seen`` is all it has written, escape sequences included; ``text`` is the same without them.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], columns: int = 100) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 30, columns, 0, 0))
        self._process = subprocess.Popen(
            ["setsid", "--ctty", *command],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            env={**environment, "TERM": "xterm", "LC_ALL": "C.UTF-8"},
        )
        os.close(theirs)
        self._bytes = b""
        self._asked = 0

    def __enter__(self) -> OnTerminal:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
        os.close(self._ours)

    @property
    def seen(self) -> str:
        return self._bytes.decode(errors="replace")

    @property
    def text(self) -> str:
        return ESCAPES.sub("", self.seen).replace("\r\n", "\n")

    def until(self, words: str) -> str:
        """Read until ``words`` come after what was waited for last; return the text up to their end."""
        until = time.monotonic() + LIMIT
        while (at := self.text.find(words, self._asked)) < 0:
            assert time.monotonic() < until, f"{words!r} does not come: {self.text[-3000:]}"
            assert self._read(), f"it ended without {words!r}: {self.text[-3000:]}"
        self._asked = at + len(words)
        return self.text[: self._asked]

    def type(self, text: str) -> None:
        """Type ``text`` as it is."""
        os.write(self._ours, text.encode())

    def answer(self, question: str, text: str) -> None:
        """Wait for a question and type an answer and Enter."""
        self.until(question)
        self.type(text + "\n")

    def ends(self) -> int:
        """Read to the end and return the exit code."""
        assert self._ended(LIMIT), f"it does not end: {self.text[-3000:]}"
        return self._process.wait(LIMIT)

    def interrupted(self) -> int:
        """Type Ctrl-C, read to the end and return the exit code.

        Python does not see a signal that comes between its look for signals and its wait for a line; people would
        type it again, and so does this.
        """
        for _ in range(4):
            self.type(CTRL_C)
            if self._ended(LIMIT / 4):
                break
        return self.ends()

    def _ended(self, limit: float) -> bool:
        """Read to the end, unless that does not come within ``limit`` seconds."""
        until = time.monotonic() + limit
        while self._read():
            if time.monotonic() > until:
                return False
        return True

    def _read(self) -> bool:
        """Read what there is, for a short while; tell whether the program goes on."""
        if not select.select([self._ours], [], [], 0.2)[0]:
            return True
        try:
            got = os.read(self._ours, 65536)
        except OSError:  # EIO: nobody holds the other end any more
            return False
        self._bytes += got
        return bool(got)
