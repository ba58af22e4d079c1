"""What an installation consists of: every file, link and folder, where it goes and who owns it."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class Kind(enum.Enum):
    """How an item is put: ``CONFIG`` is a file the operator may edit, ``VENV`` is made by install.sh itself."""

    FILE = "file"
    CONFIG = "config"
    LINK = "link"
    FOLDER = "folder"
    VENV = "venv"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to put. ``path`` is as the front-end sees it; ``target`` is a link's; ``ours`` means oneadmin's."""

    path: Path
    kind: Kind
    content: bytes = b""
    target: str = ""
    mode: int = 0o755
    ours: bool = True


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The folders of one front-end, in OpenNebula's two layouts (its ``install.sh``: self-contained or system-wide)."""

    one_etc: Path
    lib: Path
    state: Path
    remotes: Path
    bin: Path
    units: Path | None

    @classmethod
    def of(cls, location: str, *, units: bool) -> Tree:
        """Return the layout under ``location`` (ONE_LOCATION), or the system-wide one when it is empty."""
        if location:
            top = Path(location)
            return cls(
                one_etc=top / "etc",
                lib=top / "lib/hybrid",
                state=top / "var/hybrid",
                remotes=top / "var/remotes",
                bin=top / "bin",
                units=None,
            )
        return cls(
            one_etc=Path("/etc/one"),
            lib=Path("/usr/lib/one/hybrid"),
            state=Path("/var/lib/one/hybrid"),
            remotes=Path("/var/lib/one/remotes"),
            bin=Path("/usr/bin"),
            units=Path("/usr/lib/systemd/system") if units else None,
        )

    @property
    def manifest(self) -> Path:
        """Return where the record of the installation is kept."""
        return self.lib / "manifest.json"


def items(tree: Tree, source: Path, *, link: bool, venv: str, self_contained: bool) -> Iterator[Item]:
    """Yield everything to put, folders before what is in them.

    ``source`` is the checkout; ``link`` links remotes to it (development); ``venv`` is the folder of a virtual
    environment to link to, empty when install.sh made one in place.
    """
    etc = tree.one_etc / "hybrid"
    yield Item(path=etc, kind=Kind.FOLDER, mode=0o750)
    yield Item(path=etc / "providers.d", kind=Kind.FOLDER, mode=0o700)
    yield Item(path=tree.state, kind=Kind.FOLDER, mode=0o700)
    yield Item(path=tree.lib, kind=Kind.FOLDER, ours=self_contained)
    yield from _programs(tree, source, venv, self_contained)
    for file in _files(source / "etc"):
        mode = 0o600 if file.parent.name == "providers.d" else 0o640
        yield Item(path=etc / file.relative_to(source / "etc"), kind=Kind.CONFIG, content=file.read_bytes(), mode=mode)
    for file in _files(source / "remotes"):
        path = tree.remotes / file.relative_to(source / "remotes")
        if link:
            yield Item(path=path, kind=Kind.LINK, target=str(file))
        else:
            yield Item(path=path, kind=Kind.FILE, content=file.read_bytes(), mode=0o755 if _runs(file) else 0o644)
    if tree.units:
        unit = source / "share/systemd/opennebula-hybrid.service"
        yield Item(path=tree.units / unit.name, kind=Kind.FILE, content=unit.read_bytes(), mode=0o644, ours=False)


def _programs(tree: Tree, source: Path, venv: str, self_contained: bool) -> Iterator[Item]:
    place = tree.lib / "venv"
    if venv:
        yield Item(path=place, kind=Kind.LINK, target=venv, ours=self_contained)
    else:
        yield Item(path=place, kind=Kind.VENV, ours=self_contained)
    client = (source / "src/hybrid_drivers/agent/client.py").read_bytes()
    if client.startswith(b"#!"):
        client = client.partition(b"\n")[2]
    shebang = f"#!{place}/bin/python -IS\n".encode()
    yield Item(path=tree.lib / "hybrid-client", kind=Kind.FILE, content=shebang + client, ours=self_contained)
    command = Item(path=tree.bin / "onehybrid", kind=Kind.LINK, target=f"{place}/bin/onehybrid", ours=self_contained)
    yield command


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of ``folder`` in a fixed order, without what editors and Python leave behind."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and not path.name.endswith(("~", ".pyc")):
            yield path


def _runs(file: Path) -> bool:
    return file.read_bytes().startswith(b"#!")
