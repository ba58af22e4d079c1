"""A folder packed to be put on a host, links followed, and the commands that receive it there."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.hostconfig.steps import quote, words

_MARK = ".hybrid-checksum"  # in the tree: what changes the tree by other means (rsync --delete) removes it too


@dataclass(frozen=True)
class PackedTree:
    """A tar.gz of a folder, and the SHA-256 of what is in it (names, modes, contents; not times)."""

    digest: str
    data: bytes = field(repr=False)


_cache: dict[Path, tuple[object, PackedTree]] = {}
_cache_lock = Lock()


def pack(local: Path) -> PackedTree:
    """Pack a folder; links are followed, dangling ones and special files left out.

    An unchanged folder (names, sizes, modes, times) is not read again: a thousand hosts get the same one.

    Raises:
        ConfigError: the folder cannot be read.
    """
    try:
        files = [(name, path, path.stat()) for name, path in _walk(local, "", frozenset())]
        signature = tuple((name, s.st_size, s.st_mode, s.st_mtime_ns) for name, _, s in files)
        with _cache_lock:
            known = _cache.get(local)
            if known is None or known[0] != signature:
                known = _cache[local] = (signature, _pack(files))
        return known[1]
    except OSError as exc:
        raise ConfigError(f"the folder {local} cannot be read: {exc.strerror} ({exc.filename})") from exc


def up_to_date_command(tree: PackedTree, remote: str, owner: str) -> str:
    """Return a command that succeeds when ``remote`` already is this tree of this owner."""
    return f"grep -qsxF {words(f'{tree.digest} {owner}', f'{remote}/{_MARK}')}"


def put_command(tree: PackedTree, remote: str, owner: str) -> str:
    """Return a command that unpacks the tree from its standard input and moves it into place."""
    return f"sh -c {quote(_PUT)} {words('hybrid-put-tree', remote, owner, tree.digest)}"


def _walk(folder: Path, prefix: str, above: frozenset[str]) -> Iterator[tuple[str, Path]]:
    real = os.path.realpath(folder)
    if real in above:
        return  # a link to a folder around it
    for path in sorted(folder.iterdir()):
        name = prefix + path.name
        if path.is_dir():
            yield name, path
            yield from _walk(path, name + "/", above | {real})
        elif path.is_file():
            yield name, path


def _pack(files: list[tuple[str, Path, os.stat_result]]) -> PackedTree:
    digest, buffer = hashlib.sha256(), io.BytesIO()
    with (
        gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=6, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, path, status in files:
            entry = tarfile.TarInfo(name)
            entry.mode, entry.mtime = status.st_mode & 0o755, int(status.st_mtime)
            content = b"" if path.is_dir() else path.read_bytes()
            entry.type, entry.size = tarfile.DIRTYPE if path.is_dir() else tarfile.REGTYPE, len(content)
            archive.addfile(entry, io.BytesIO(content))
            digest.update(f"{name}\0{entry.mode}\0{len(content)}\0".encode(errors="surrogateescape") + content)
    return PackedTree(digest.hexdigest(), buffer.getvalue())


# The staging names cannot be guessed: the tree may stand in a folder that everybody can write to (/var/tmp).
_PUT = f"""\
set -eu
umask 022
remote=$1 owner=$2 digest=$3
rm -rf "$remote".hybrid-new.* "$remote".hybrid-old.*
mkdir -p "$(dirname "$remote")"
new=$(mktemp -d "$remote.hybrid-new.XXXXXX")
trap 'rm -rf "$new"' EXIT
chmod 755 "$new"
tar -xzof - -C "$new"
printf '%s %s\\n' "$digest" "$owner" >"$new/{_MARK}"
chown -R "$owner:" "$new"
if [ -e "$remote" ]; then
    old=$(mktemp -d "$remote.hybrid-old.XXXXXX")
    mv -T "$remote" "$old/was"
fi
mv -T "$new" "$remote"
rm -rf "${{old:-$new}}"
"""
