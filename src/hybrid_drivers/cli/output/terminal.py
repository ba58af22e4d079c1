"""Where output goes: a terminal of some width, or a file or pipe that gets plain lines."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TextIO

RESET = "\x1b[0m"
HEADER = "\x1b[1;4m"  # bold and underlined, as OpenNebula's commands do
COLOURS = {"good": "\x1b[32m", "bad": "\x1b[31m", "busy": "\x1b[33m"}


@dataclass(frozen=True)
class Terminal:
    """``width`` is in places, None for what is no terminal; ``styled``: underlines and colours are wanted."""

    stream: TextIO
    width: int | None
    styled: bool

    @classmethod
    def of(cls, stream: TextIO, environment: Mapping[str, str] = os.environ) -> Terminal:
        """Look at a stream. ``NO_COLOR`` (no-color.org) and ``TERM=dumb`` take the styles away."""
        if not stream.isatty():
            return cls(stream, None, False)
        plain = bool(environment.get("NO_COLOR")) or environment.get("TERM") == "dumb"
        return cls(stream, shutil.get_terminal_size().columns, not plain)

    @classmethod
    def here(cls) -> Terminal:
        """Look at standard output."""
        return cls.of(sys.stdout)

    def header(self, text: str) -> str:
        """Return a heading."""
        return f"{HEADER}{text}{RESET}" if self.styled else text

    def coloured(self, text: str, colour: str) -> str:
        """Return ``text`` in one of ``COLOURS``; as it is for another name."""
        return f"{COLOURS[colour]}{text}{RESET}" if self.styled and colour in COLOURS else text

    def write(self, text: str) -> None:
        """Write ``text`` and a line end; characters the stream's encoding lacks are written out."""
        try:
            self.stream.write(text + "\n")
        except UnicodeEncodeError:
            encoding = self.stream.encoding
            self.stream.write(text.encode(encoding, "backslashreplace").decode(encoding) + "\n")
        self.stream.flush()
