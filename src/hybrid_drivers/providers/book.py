"""A small durable record of machines, for drivers whose provider does not remember them: dummy and static."""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from hybrid_drivers.errors import PermanentError
from hybrid_drivers.model import MachineTags


@dataclass(frozen=True, kw_only=True)
class Record:
    """One machine; times are unix seconds, ``deleted`` 0 while nobody asked for its deletion."""

    id: str
    address: str
    token: str
    owner: str
    host_id: int
    name: str = ""
    hostname: str = ""
    plan: str = ""
    place: str = ""
    created: float = 0.0
    deleted: float = 0.0
    stopped: bool = False

    @property
    def tags(self) -> MachineTags:
        """Return its tags."""
        return MachineTags(owner=self.owner, host_id=self.host_id, token=self.token, name=self.name)


Records = dict[str, Record]


class Book(Protocol):
    """Where the records are."""

    def read(self) -> Records:
        """Return a copy of all records by id."""

    def change(self) -> contextlib.AbstractContextManager[Records]:
        """Hold the book alone; what the block leaves in the records is kept when it ends well."""


class MemoryBook:
    """Records that end with the process."""

    def __init__(self) -> None:
        self._records: Records = {}
        self._lock = threading.Lock()

    def read(self) -> Records:
        """Return a copy of all records by id."""
        with self._lock:
            return dict(self._records)

    @contextlib.contextmanager
    def change(self) -> Iterator[Records]:
        """Hold the book alone; what the block leaves in the records is kept when it ends well."""
        with self._lock:
            records = dict(self._records)
            yield records
            self._records = records


class FileBook:
    """Records in a JSON file, replaced as a whole, so that a reader or a crash sees the old or the new one.

    Threads and processes exclude each other with a lock file beside it; the kernel frees it with the process.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def read(self) -> Records:
        """Return all records by id; a file that is not there has none.

        Raises:
            PermanentError: the file is damaged. It is never taken as empty: machines would be given out twice.
        """
        try:
            document = json.loads(self._path.read_text(encoding="utf-8"))
            return {one["id"]: Record(**one) for one in document["machines"]}
        except FileNotFoundError:
            return {}
        except OSError as exc:
            raise PermanentError(f"{self._path}: cannot be read: {exc.strerror}") from exc
        except (ValueError, KeyError, TypeError) as exc:
            raise PermanentError(
                f"{self._path}: is damaged; restore it, or remove it when no machine is taken"
            ) from exc

    @contextlib.contextmanager
    def change(self) -> Iterator[Records]:
        """Hold the book alone; what the block leaves in the records is on disk when it ends well.

        Raises:
            PermanentError: the file is damaged or cannot be written; nothing has changed then.
        """
        with self._locked():
            before = self.read()
            records = dict(before)
            yield records
            if records != before:
                try:
                    self._write(records)
                except OSError as exc:
                    raise PermanentError(f"{self._path}: cannot be written: {exc.strerror}") from exc

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(f"{self._path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as exc:
            raise PermanentError(f"{self._path}.lock: cannot be made: {exc.strerror}") from exc
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
        finally:
            os.close(lock)

    def _write(self, records: Records) -> None:
        new = self._path.with_name(f"{self._path.name}.new")
        document = {"version": 1, "machines": [dataclasses.asdict(one) for one in records.values()]}
        with open(
            os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "w", encoding="utf-8"
        ) as file:
            json.dump(document, file, indent=1)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, self._path)
        folder = os.open(self._path.parent, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.fsync(folder)  # the new name itself
        finally:
            os.close(folder)
