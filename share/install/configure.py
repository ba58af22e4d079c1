"""Carries the edits of ``edit_conf`` out on a front-end's files: a backup first, only what is missing, once."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from conf_syntax import SyntaxProblem
from edit_conf import EDITS, undo
from files import Files, Problem
from manifest import Manifest
from plan import Tree


def check_conf(files: Files, tree: Tree) -> None:
    """See that every configuration file we would edit can be understood; an absent one is told by write_conf."""
    for name, edit in EDITS.items():
        place = files.real(tree.one_etc / name)
        if place.exists():
            try:
                edit(_read(place))
            except SyntaxProblem as problem:
                raise Problem(f"{tree.one_etc / name}: {problem}; nothing was changed") from problem


def write_conf(files: Files, tree: Tree, manifest: Manifest) -> None:
    """Add what is missing, keeping a copy of each file as it was before the first change."""
    for name, edit in EDITS.items():
        path = tree.one_etc / name
        place = files.real(path)
        if not place.exists():
            print(f"note: {path} does not exist; run install.sh again when it does, to add what the drivers need")
            continue
        text = _read(place)
        after, changes = edit(text)
        if not changes:
            continue
        _back_up(files, path, manifest)
        known = [change for change in manifest.changes.get(str(path), []) if change not in changes]
        manifest.changes[str(path)] = known + changes
        # Recorded before the edit: an interrupted run can always be undone, and undoing what is not there is harmless.
        files.put_record(tree, manifest)
        _rewrite(files, place, after)
        print(f"added to {path}: {', '.join(_named(change.label, change.words) for change in changes)}")


def restore_conf(files: Files, tree: Tree, manifest: Manifest) -> None:
    """Take our additions out again; a backup that equals the restored file is removed, another one is kept."""
    for name, changes in list(manifest.changes.items()):
        place = files.real(Path(name))
        if not place.exists():
            continue
        try:
            text, lost = undo(_read(place), changes)
        except SyntaxProblem as problem:
            raise Problem(
                f"{name}: {problem}, so our additions cannot be found; correct it, then try again"
            ) from problem
        _rewrite(files, place, text)
        for label in lost:
            print(f"note: {label} was no longer in {name}")
        del manifest.changes[name]
        saved = files.real(Path(manifest.backups.get(name, name + ".none")))
        if saved.exists():
            if _read(saved) == text:
                saved.unlink()
                manifest.backups.pop(name)
            else:
                print(f"kept {manifest.backups[name]}: {name} was edited since")
        files.put_record(tree, manifest)


def _back_up(files: Files, path: Path, manifest: Manifest) -> None:
    known = manifest.backups.get(str(path))
    if known and files.real(Path(known)).exists():
        return
    saved = path.with_name(f"{path.name}.before-hybrid-{files.stamp()}")
    shutil.copy2(files.real(path), files.real(saved))
    _same_owner(files.real(path), files.real(saved))
    manifest.backups[str(path)] = str(saved)


def _rewrite(files: Files, place: Path, text: str) -> None:
    """Replace a file's text, keeping its mode and owner; a link is followed."""
    target = Path(os.path.realpath(place))
    if _read(target) == text:
        return
    before = target.stat()
    owner = (before.st_uid, before.st_gid) if os.geteuid() == 0 else (-1, -1)
    files.write(target, text.encode("utf-8", "surrogateescape"), before.st_mode & 0o7777, owner)


def _read(place: Path) -> str:
    """Return the text byte for byte reversible: whatever encoding and line ends the operator uses stay."""
    return place.read_bytes().decode("utf-8", "surrogateescape")


def _same_owner(source: Path, copy: Path) -> None:
    if os.geteuid() == 0:
        owner = source.stat()
        os.chown(copy, owner.st_uid, owner.st_gid)


def _named(label: str, words: tuple[str, ...]) -> str:
    return f"{label} ({' '.join(words)})" if words else label
