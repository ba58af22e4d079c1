"""The one door to the file system: puts items without needless writes, tells foreign ones, removes what is ours."""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from manifest import Manifest, digest
from plan import Item, Kind, Tree


class Problem(Exception):
    """One sentence for the operator: what cannot be done, and what to do about it."""


def record(item: Item) -> str:
    """Return what the manifest says of an item that was put."""
    return f"{item.kind.value} {item.target if item.kind is Kind.LINK else digest(item.content)}"


def _is(place: Path, *records: str) -> bool:
    """Tell whether ``place`` is a link or file as one of the records has it."""
    if place.is_symlink():
        return f"{Kind.LINK.value} {os.readlink(place)}" in records
    return place.is_file() and f"{Kind.EXTRA.value} {digest(place.read_bytes())}" in records


@dataclass(frozen=True)
class Files:
    """A front-end's files under ``root`` (``/`` or DESTDIR); ``uid`` and ``gid`` own what is oneadmin's, -1: as is."""

    root: Path
    uid: int = -1
    gid: int = -1

    def real(self, path: Path) -> Path:
        """Return where ``path`` of the front-end is on this machine."""
        return self.root / path.relative_to("/")

    def is_foreign(self, item: Item, manifest: Manifest) -> bool:
        """Tell whether something that we did not put stands where ``item`` would go."""
        place = self.real(item.path)
        if item.kind is Kind.FOLDER:
            return place.exists() and not place.is_dir()
        if item.kind is Kind.CONFIG and place.is_file():
            return False  # an operator's own: kept or saved, see put
        return os.path.lexists(place) and str(item.path) not in manifest.files

    def may_put(self, item: Item, manifest: Manifest) -> bool:
        """Tell whether nothing stands where ``item`` would go but what we put there, unchanged."""
        recorded = manifest.files.get(str(item.path))
        place = self.real(item.path)
        return not os.path.lexists(place) or (recorded is not None and _is(place, recorded, record(item)))

    def put(self, item: Item, manifest: Manifest, before: str, *, keep: bool) -> None:
        """Put one item and record it; ``before`` is what an earlier run recorded."""
        place = self.real(item.path)
        if item.kind is Kind.FOLDER:
            self._folder(item, manifest)
            return
        self._parents(item, manifest)
        if item.kind is Kind.VENV:
            manifest.files[str(item.path)] = "venv"
        elif item.kind is Kind.LINK:
            self._link(place, item.target)
            manifest.files[str(item.path)] = record(item)
        elif item.kind is Kind.CONFIG and self._edited(place, item, before):
            self._put_over_edited(place, item, manifest, before, keep=keep)
        else:
            self._write_item(place, item, manifest)

    def put_record(self, tree: Tree, manifest: Manifest) -> None:
        """Write the manifest, making its folder when it is the first thing put."""
        folder = Item(path=tree.lib, kind=Kind.FOLDER, ours=False)
        self._folder(folder, manifest)
        self.write(self.real(tree.manifest), manifest.render().encode(), 0o644)

    def write(self, place: Path, content: bytes, mode: int, owner: tuple[int, int] = (-1, -1)) -> None:
        """Write a file whole or not at all, never open to more people than it will be; leave it when it is so."""
        if place.is_file() and not place.is_symlink() and place.read_bytes() == content:
            if place.stat().st_mode & 0o7777 != mode:
                place.chmod(mode)
            return
        fresh = place.with_name(f".{place.name}.new")
        fresh.unlink(missing_ok=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            out.write(content)
        if owner != (-1, -1):
            os.chown(fresh, *owner)
        fresh.chmod(mode)
        fresh.replace(place)

    def remove(self, path: Path, manifest: Manifest) -> None:
        """Remove one recorded file, link or virtual environment; a configuration file that was edited stays."""
        place = self.real(path)
        recorded = manifest.files.pop(str(path), "")
        if recorded.startswith(("link ", "extra ")) and os.path.lexists(place) and not _is(place, recorded):
            print(f"kept {path}: it is not ours any more")
        elif place.is_symlink():
            place.unlink()
        elif place.is_dir():
            if (place / "pyvenv.cfg").exists():
                shutil.rmtree(place)
        elif place.exists():
            kind, _, written = recorded.partition(" ")
            if kind == Kind.CONFIG.value and digest(place.read_bytes()) != written:
                print(f"kept {path}: it was edited")
            else:
                place.unlink()

    def remove_folder(self, path: Path) -> None:
        """Remove a folder we made when nothing is left in it."""
        place = self.real(path)
        try:
            place.rmdir()
        except FileNotFoundError:
            return
        except OSError:
            print(f"kept {path}: it is not empty")

    def stamp(self) -> str:
        """Return the time for the names of saved files."""
        return time.strftime("%Y%m%d-%H%M%S")

    def _edited(self, place: Path, item: Item, before: str) -> bool:
        if not place.is_file():
            return False
        content = place.read_bytes()
        return content != item.content and f"config {digest(content)}" != before

    def _put_over_edited(self, place: Path, item: Item, manifest: Manifest, before: str, *, keep: bool) -> None:
        if keep:
            manifest.files[str(item.path)] = before or f"config {digest(item.content)}"
            print(f"kept {item.path} as it was edited")
            return
        saved = place.with_name(f"{place.name}.{self.stamp()}")
        shutil.copy2(place, saved)
        self._own(saved, item)
        print(f"saved the edited {item.path} as {saved.name}")
        self._write_item(place, item, manifest)

    def _write_item(self, place: Path, item: Item, manifest: Manifest) -> None:
        owner = (self.uid, self.gid) if item.ours else (-1, -1)
        self.write(place, item.content, item.mode, owner)
        manifest.files[str(item.path)] = record(item)

    def _link(self, place: Path, target: str) -> None:
        if place.is_symlink() and os.readlink(place) == target:
            return
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)  # ours by the manifest: a virtual environment that a link replaces
        fresh = place.with_name(f".{place.name}.new")
        fresh.unlink(missing_ok=True)
        fresh.symlink_to(target)
        fresh.replace(place)

    def _folder(self, item: Item, manifest: Manifest) -> None:
        place = self.real(item.path)
        self._parents(item, manifest)
        if not place.exists():
            place.mkdir()
            place.chmod(item.mode)
            manifest.folders.append(str(item.path))
            self._own(place, item)

    def _parents(self, item: Item, manifest: Manifest) -> None:
        for folder in reversed(item.path.parents):
            place = self.real(folder)
            if not place.exists():
                place.mkdir()
                place.chmod(0o755)
                manifest.folders.append(str(folder))
                self._own(place, item)

    def _own(self, place: Path, item: Item) -> None:
        if item.ours and (self.uid, self.gid) != (-1, -1):
            os.chown(place, self.uid, self.gid, follow_symlinks=False)
