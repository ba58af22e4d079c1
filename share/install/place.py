"""Puts the drivers into a front-end's folders, and removes exactly them: the part of install.sh that handles files.

    place.py check|begin|put|remove --source CHECKOUT [--location ONE_LOCATION] [--destdir DIR] [--user U] [--group G]
                              [--venv FOLDER] [--extras FOLDER] [--link] [--keep] [--units]

``check`` changes nothing and fails when something stands where we would put a file and is not ours. ``begin`` makes the
folder the virtual environment goes into and records both, so that ``remove`` can undo an installation that failed.
Standard library only. Failures are one sentence on standard error and exit code 1; what was done is told on standard
output.
"""

from __future__ import annotations

import argparse
import grp
import os
import pwd
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from conf_syntax import SyntaxProblem
from configure import check_conf, restore_conf, write_conf
from files import Files, Problem, record
from manifest import Manifest
from names import choose
from plan import Item, Kind, Tree, items

# What an agent that has ended leaves in its state folder and no later one needs; all else there may be worth keeping.
LEFT_BY_AGENT = ("agent.sock", "agent.lock", "start.lock", "agent.out")


def main(argv: Sequence[str]) -> int:
    """Run one command; the process boundary."""
    options = _parse(argv)
    try:
        run(options)
    except (Problem, SyntaxProblem) as problem:
        print(f"install.sh: {problem}", file=sys.stderr)
        return 1
    except OSError as problem:
        print(f"install.sh: {problem.filename}: {problem.strerror}", file=sys.stderr)
        return 1
    try:
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read has left (`install.sh | head`); everything is done all the same
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def run(options: argparse.Namespace) -> None:
    """Carry out the command that ``options`` name."""
    files = Files(Path(options.destdir or "/"), *_owner(options))
    debian = files.real(Path("/etc/debian_version")).exists()
    tree = Tree.of(options.location, units=options.units, debian=debian)
    manifest = Manifest.read(files.real(tree.manifest))
    if options.command == "remove":
        _remove(files, tree, manifest)
        return
    choice = choose(files, tree, list(_wanted(options, tree)), manifest)
    wanted = choice.items
    if options.command == "check":
        _check(files, tree, wanted, manifest)
    elif options.command == "begin":
        manifest.files.update({str(item.path): "venv" for item in wanted if item.kind is Kind.VENV})
        files.put_record(tree, manifest)
    else:
        _put(files, tree, wanted, manifest, keep=options.keep)
        print("\n".join(choice.told))


def _wanted(options: argparse.Namespace, tree: Tree) -> Iterator[Item]:
    return items(
        tree,
        options.source,
        link=options.link,
        venv=options.venv,
        self_contained=bool(options.location),
        extras=Path(options.extras) if options.extras else None,
    )


def _check(files: Files, tree: Tree, wanted: Sequence[Item], manifest: Manifest) -> None:
    foreign = [item.path for item in wanted if files.is_foreign(item, manifest)]
    if foreign:
        names = ", ".join(str(path) for path in foreign)
        raise Problem(f"not ours and in the way, nothing was changed: {names}; move it away or remove its package")
    check_conf(files, tree)


def _put(files: Files, tree: Tree, wanted: Sequence[Item], manifest: Manifest, *, keep: bool) -> None:
    known = {str(item.path) for item in wanted if item.kind is not Kind.FOLDER}
    stale = [path for path in manifest.files if path not in known]
    before = dict(manifest.files)
    for item in wanted:
        if item.kind is not Kind.FOLDER:  # what may become somebody else's is ours only as we put it
            manifest.files.setdefault(str(item.path), record(item) if item.command else "")
    # Written before the files: an installation that was interrupted still knows what is its own.
    files.put_record(tree, manifest)
    for item in wanted:
        files.put(item, manifest, before.get(str(item.path), ""), keep=keep)
    for path in stale:  # put by an earlier version, no longer part of the drivers
        files.remove(Path(path), manifest)
    write_conf(files, tree, manifest)
    files.put_record(tree, manifest)


def _remove(files: Files, tree: Tree, manifest: Manifest) -> None:
    if not manifest.files:
        raise Problem(f"nothing to remove: {tree.manifest} does not exist, so the drivers are not installed here")
    restore_conf(files, tree, manifest)
    for path in list(manifest.files):
        files.remove(Path(path), manifest)
    for name in LEFT_BY_AGENT:
        files.real(tree.state / name).unlink(missing_ok=True)
    files.real(tree.manifest).unlink()
    for folder in reversed(manifest.folders):
        files.remove_folder(Path(folder))


def _owner(options: argparse.Namespace) -> tuple[int, int]:
    """Return the numbers of the user and group our files belong to; -1 leaves them alone (not root)."""
    if os.geteuid() != 0:
        return -1, -1
    try:
        uid = pwd.getpwnam(options.user).pw_uid if options.user else -1
        gid = grp.getgrnam(options.group).gr_gid if options.group else -1
    except KeyError as unknown:
        raise Problem(f"user {options.user} or group {options.group} does not exist; give others by -u and -g") from (
            unknown
        )
    return uid, gid


def _parse(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="place.py", description="The part of install.sh that handles files.")
    parser.add_argument("command", choices=("check", "begin", "put", "remove"))
    parser.add_argument("--source", type=Path, required=True)
    for name in ("location", "destdir", "user", "group", "venv", "extras"):
        parser.add_argument(f"--{name}", default="")
    for name in ("link", "keep", "units"):
        parser.add_argument(f"--{name}", action="store_true")
    return parser.parse_args(argv)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
