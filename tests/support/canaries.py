"""Canaries: secrets of one run that are looked for, in every form they could come out in, wherever people can look."""

from __future__ import annotations

import base64
import binascii
import os
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

LARGEST = 32 << 20  # bytes of a file that are read
PAUSE = 0.02  # seconds between two looks at all processes, at least
SHARE = 0.15  # of one processor that looking may take
SELDOM = 0.5  # seconds between two looks at what does not go away as quickly
TEMPORARY = ("/tmp", "/var/tmp", "/dev/shm")


def make(kind: str) -> str:
    """Return a new canary, as long as a real token."""
    return f"CANARY{kind}{secrets.token_hex(16)}"


def forms(secret: bytes) -> set[bytes]:
    """Return how a secret may look within other text: as it is, in hexadecimal, in base64 at each of its offsets."""
    coded = {base64.b64encode(b"\0" * at + secret)[(at * 8 + 5) // 6 : -4] for at in range(3)}
    return {secret, binascii.hexlify(secret), *coded}


@dataclass(frozen=True)
class Hit:
    """A canary that was found where it may not be."""

    canary: str
    place: str


class Canaries:
    """What is looked for; ``searched`` counts the looks by the kind of place, ``hits`` what was found there."""

    def __init__(self) -> None:
        self._forms: dict[bytes, str] = {}
        self._allowed: dict[str, tuple[str, ...]] = {}
        self._lock = threading.Lock()
        self.searched: Counter[str] = Counter()
        self.hits: set[Hit] = set()

    @property
    def names(self) -> list[str]:
        """Return what is looked for."""
        return sorted(set(self._forms.values()))

    def add(self, name: str, secret: str | bytes, allowed: Iterable[str] = ()) -> None:
        """Look for ``secret`` from now on; places whose name begins with one of ``allowed`` are meant to have it."""
        data = secret.encode() if isinstance(secret, str) else secret
        if len(data) < 16:
            raise ValueError(f"{name} is too short to be looked for")
        with self._lock:
            self._forms = {**self._forms, **dict.fromkeys(forms(data), name)}
            self._allowed[name] = tuple(allowed)

    def add_key(self, name: str, text: str, allowed: Iterable[str] = ()) -> None:
        """Look for the lines of a private key but the first ones, which begin alike in all keys of a kind."""
        for line in text.strip().splitlines()[2:-1]:
            if len(line.strip()) >= 32:
                self.add(name, line.strip(), allowed)

    def look(self, kind: str, place: str, data: bytes | str) -> None:
        """Search ``data``, which was found at ``place``."""
        raw = data.encode("utf-8", "surrogateescape") if isinstance(data, str) else data
        self.searched[kind] += 1
        for form, name in self._forms.items():
            if form in raw and not any(place.startswith(one) for one in self._allowed[name]):
                self.hits.add(Hit(name, place))

    # --- where -------------------------------------------------------------------------------------------------

    def look_at_processes(self, but: Iterable[int] = ()) -> None:
        """Search argv and environment of every process of this computer."""
        for name in os.listdir("/proc"):
            if name.isdigit() and int(name) not in set(but):
                for part in ("cmdline", "environ"):
                    self.look_at_file("argv and environments", Path("/proc", name, part), f"process: {part}")

    def look_at_tree(self, kind: str, top: Path, since: float = 0.0) -> None:
        """Search all files below ``top`` that were changed ``since`` (unix seconds), and their names."""
        for folder, _, files in os.walk(top):
            for name in files:
                path = Path(folder, name)
                try:
                    status = path.lstat()
                except OSError:
                    continue  # gone meanwhile
                if status.st_mtime >= since and path.is_file() and not path.is_symlink():
                    self.look(kind, f"name of {path}", os.fsencode(path))
                    self.look_at_file(kind, path, str(path))

    def look_at_file(self, kind: str, path: Path, place: str) -> None:
        """Search a file, by whatever name it is told."""
        try:
            with path.open("rb") as file:
                data = file.read(LARGEST)
        except OSError:
            return  # ended or removed meanwhile
        self.look(kind, place, data)


class Watch:
    """Looks at all processes and whatever else changes quickly, again and again, while a test goes on."""

    def __init__(self, canaries: Canaries, looks: Mapping[str, Callable[[], None]]) -> None:
        self._canaries, self._looks = canaries, looks
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._run, name="canaries", daemon=True)
        self.problems: list[str] = []

    def __enter__(self) -> Watch:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join()

    def _run(self) -> None:
        last = 0.0
        while not self._end.is_set():
            started, spent = time.monotonic(), time.thread_time()
            seldom = started - last > SELDOM
            last = started if seldom else last
            for name, look in self._looks.items():
                if name != "processes" and not seldom:
                    continue
                try:
                    look()
                except Exception as exc:  # noqa: BLE001 - a look that fails must not pass for one that found nothing
                    self.problems.append(f"{name}: {exc!r}")
            self._end.wait(max(PAUSE, (time.thread_time() - spent) * (1 / SHARE - 1)))
