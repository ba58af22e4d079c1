"""The agent's log: a rotated file in which no known secret can appear.

Every secret the agent learns is told to :func:`mask`; from then on its text shows as ``***`` in every record,
tracebacks of exceptions included. Tracebacks are written at level DEBUG only; otherwise the error's own sentence.
"""

from __future__ import annotations

import json
import logging
import logging.handlers
import os
import threading
from contextlib import suppress
from io import TextIOWrapper
from pathlib import Path
from types import TracebackType
from typing import Union
from urllib.parse import quote

LEVELS = ("debug", "info", "warning", "error")
SHORTEST_SECRET = 4  # characters; masking anything shorter would make the log unreadable
FILE_MODE = 0o640
FORMAT = "%(asctime)s %(levelname)-7s [%(threadName)s] %(name)s: %(message)s"

_ExceptionInfo = Union[
    tuple[type[BaseException], BaseException, Union[TracebackType, None]], tuple[None, None, None]
]  # as logging.Formatter has it

_lock = threading.Lock()
_secrets: tuple[str, ...] = ()


def mask(secret: str) -> None:
    """Show ``secret`` as ``***`` in the log from now on, also as it looks in a URL or in JSON.

    Of a text of several lines (a private key) each line of 16 characters or more is masked. Texts shorter than
    ``SHORTEST_SECRET`` are left alone.
    """
    global _secrets  # noqa: PLW0603 - the registry is of the process, as the root logger is
    lines = secret.splitlines()
    parts = [line.strip() for line in lines if len(line.strip()) >= 16] if len(lines) > 1 else [secret.strip()]
    forms = {form for part in parts for form in (part, quote(part, safe=""), json.dumps(part)[1:-1])}
    with _lock:
        known = set(_secrets) | {form for form in forms if len(form) >= SHORTEST_SECRET}
        _secrets = tuple(sorted(known, key=len, reverse=True))


def masked(text: str) -> str:
    """Return ``text`` with every known secret shown as ``***``."""
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, "***")
    return text


class MaskingFormatter(logging.Formatter):
    """Formats a record as one line (more only for a traceback at DEBUG) and masks secrets in all of it."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the record's text."""
        message = super().format(record)
        if not logging.getLogger().isEnabledFor(logging.DEBUG):
            message = message.replace("\n", " / ")
        return masked(message)

    def formatException(self, ei: _ExceptionInfo) -> str:  # noqa: N802 - the name is logging's
        """Return the traceback at DEBUG, the error's type and sentence otherwise."""
        if logging.getLogger().isEnabledFor(logging.DEBUG):
            return super().formatException(ei)
        return f"{ei[0].__name__}: {ei[1]}" if ei[0] else ""


class LogFile(logging.handlers.RotatingFileHandler):
    """A rotating file that its group may read and nobody else, whatever the umask."""

    def _open(self) -> TextIOWrapper:
        stream = super()._open()
        with suppress(PermissionError):  # another user's file that we may only append to
            os.fchmod(stream.fileno(), FILE_MODE)
        return stream


def log_path(wanted: Path, fallback: Path) -> Path:
    """Return ``wanted`` when it can be written and rotated, ``fallback`` otherwise."""
    fits = os.access(wanted.parent, os.W_OK | os.X_OK) and (not wanted.exists() or os.access(wanted, os.W_OK))
    return wanted if fits else fallback


def set_up(path: Path, *, level: str, size: int, count: int, to_stderr: bool = False) -> None:
    """Send all records to ``path``, rotated at ``size`` bytes keeping ``count`` old files; replaces what was set up."""
    handlers: list[logging.Handler] = [LogFile(path, maxBytes=size, backupCount=count, encoding="utf-8")]
    if to_stderr:
        handlers.append(logging.StreamHandler())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
        old.close()
    for handler in handlers:
        handler.setFormatter(MaskingFormatter(FORMAT))
        root.addHandler(handler)
    set_level(level)


def set_level(level: str) -> None:
    """Set the level of the whole agent; ``level`` is one of ``LEVELS``."""
    logging.getLogger().setLevel(level.upper())
    for noisy in ("paramiko", "urllib3", "botocore", "boto3"):  # their DEBUG shows request bodies
        logging.getLogger(noisy).setLevel(logging.WARNING)
