"""What an installation consists of: every file, link and folder, where it goes and who owns it."""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


class Kind(enum.Enum):
    """How an item is put.

    ``CONFIG`` is a file the operator may edit, ``EXTRA`` one that gives way to anybody else's, ``VENV`` is made by
    install.sh itself.
    """

    FILE = "file"
    CONFIG = "config"
    EXTRA = "extra"
    LINK = "link"
    FOLDER = "folder"
    VENV = "venv"


@dataclass(frozen=True, kw_only=True)
class Item:
    """One thing to put. ``path`` is as the front-end sees it; ``target`` is a link's; ``ours`` means oneadmin's.

    ``command`` names the command an item belongs to when it is left out where something else has its place
    (``names.py``).
    """

    path: Path
    kind: Kind
    content: bytes = b""
    target: str = ""
    mode: int = 0o755
    ours: bool = True
    command: str = ""


@dataclass(frozen=True, kw_only=True)
class Tree:
    """The folders of one front-end, in OpenNebula's two layouts (its ``install.sh``: self-contained or system-wide)."""

    one_etc: Path
    lib: Path
    state: Path
    remotes: Path
    bin: Path
    share: Path
    ours: Path  # what comes with us and nobody edits: examples of templates
    zsh: str  # below share: where zsh looks for completions
    units: Path | None

    @classmethod
    def of(cls, location: str, *, units: bool, debian: bool = False) -> Tree:
        """Return the layout under ``location`` (ONE_LOCATION), or the system-wide one when it is empty.

        zsh of Debian and Ubuntu does not look into ``site-functions`` of ``/usr/share``.
        """
        if location:
            top = Path(location)
            return cls(
                one_etc=top / "etc",
                lib=top / "lib/hybrid",
                state=top / "var/hybrid",
                remotes=top / "var/remotes",
                bin=top / "bin",
                share=top / "share",
                ours=top / "share/hybrid",
                zsh="zsh/site-functions",
                units=None,
            )
        return cls(
            one_etc=Path("/etc/one"),
            lib=Path("/usr/lib/one/hybrid"),
            state=Path("/var/lib/one/hybrid"),
            remotes=Path("/var/lib/one/remotes"),
            bin=Path("/usr/bin"),
            share=Path("/usr/share"),
            ours=Path("/usr/share/one/hybrid"),
            zsh="zsh/vendor-completions" if debian else "zsh/site-functions",
            units=Path("/usr/lib/systemd/system") if units else None,
        )

    @property
    def manifest(self) -> Path:
        """Return where the record of the installation is kept."""
        return self.lib / "manifest.json"


def items(
    tree: Tree, source: Path, *, link: bool, venv: str, self_contained: bool, extras: Path | None
) -> Iterator[Item]:
    """Yield everything to put, folders before what is in them.

    ``source`` is the checkout; ``link`` links remotes to it (development); ``venv`` is the folder of a virtual
    environment to link to, empty when install.sh made one in place; ``extras`` is the folder that
    ``hybrid_drivers.cli.extras`` wrote.
    """
    etc = tree.one_etc / "hybrid"
    yield Item(path=etc, kind=Kind.FOLDER, mode=0o750)
    yield Item(path=etc / "providers.d", kind=Kind.FOLDER, mode=0o700)
    yield Item(path=tree.state, kind=Kind.FOLDER, mode=0o700)
    yield Item(path=tree.lib, kind=Kind.FOLDER, ours=self_contained)
    yield from _programs(tree, source, venv, self_contained)
    if extras:
        yield from _extras(tree, extras, self_contained)
    for file in _files(source / "etc"):
        mode = 0o600 if file.parent.name == "providers.d" else 0o640
        yield Item(path=etc / file.relative_to(source / "etc"), kind=Kind.CONFIG, content=file.read_bytes(), mode=mode)
    for file in _files(source / "remotes"):
        path = tree.remotes / file.relative_to(source / "remotes")
        if link:
            yield Item(path=path, kind=Kind.LINK, target=str(file))
        else:
            yield Item(path=path, kind=Kind.FILE, content=file.read_bytes(), mode=0o755 if _runs(file) else 0o644)
    for file in _files(source / "share/provisions"):
        path = tree.ours / file.relative_to(source / "share")
        yield Item(path=path, kind=Kind.FILE, content=file.read_bytes(), mode=0o644, ours=self_contained)
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
    for name in ("onehybrid", "oneprovision", "oneprovider"):
        yield Item(
            path=tree.bin / name,
            kind=Kind.LINK,
            target=f"{place}/bin/{name}",
            ours=self_contained,
            command="" if name == "onehybrid" else name,
        )


def _extras(tree: Tree, extras: Path, self_contained: bool) -> Iterator[Item]:
    """Yield completion scripts and manual pages."""
    places = {
        "bash": "bash-completion/completions",
        "zsh": tree.zsh,
        "fish": "fish/vendor_completions.d",
        "man": "man/man1",
    }
    for file in _files(extras):
        yield Item(
            path=tree.share / places[file.parent.name] / file.name,
            kind=Kind.EXTRA,
            content=file.read_bytes(),
            mode=0o644,
            ours=self_contained,
            command=file.name.partition(".")[0].removeprefix("_"),
        )


def _files(folder: Path) -> Iterator[Path]:
    """Yield the files of ``folder`` in a fixed order, without what editors and Python leave behind."""
    for path in sorted(folder.rglob("*")):
        hidden = any(part.startswith((".", "__pycache__")) for part in path.relative_to(folder).parts)
        if path.is_file() and not hidden and not path.name.endswith(("~", ".pyc")):
            yield path


def _runs(file: Path) -> bool:
    return file.read_bytes().startswith(b"#!")
