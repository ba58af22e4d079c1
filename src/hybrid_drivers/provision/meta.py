"""Owner and permissions of an object: the ``meta`` section of a template."""

from __future__ import annotations

from collections.abc import Mapping

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Kind
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.provision.template.model import Data


def apply_meta(objects: Objects, kind: Kind, object_id: int, meta: Mapping[str, Data]) -> None:
    """Give an object its owner, group and mode.

    Raises:
        ConfigError: the mode is no octal number, or an id is no number.
        NoSuchObject: there is no such user or group.
    """
    words = {key: str(value) for key, value in meta.items() if value not in (None, "")}
    uid, gid = _number(words, "uid"), _number(words, "gid")
    if "uname" in words:
        uid = objects.user_id(words["uname"])
    if "gname" in words:
        gid = objects.group_id(words["gname"])
    if (uid, gid) != (-1, -1):
        objects.chown(kind, object_id, uid, gid)
    if "mode" in words:
        objects.chmod(kind, object_id, mode_of(words["mode"]))


def _number(words: Mapping[str, str], key: str) -> int:
    """Return an id, -1 when there is none. Raises: ConfigError."""
    text = words.get(key, "-1")
    if text != "-1" and not text.isdecimal():
        raise ConfigError(f"meta: {key} '{text[:20]}' is not a number; {key[0]}name takes a name")
    return int(text)


def mode_of(text: str) -> int:
    """Read permissions as ``chmod`` takes them, like 640. Raises: ConfigError."""
    try:
        return int(text, 8)
    except ValueError:
        raise ConfigError(f"meta: mode '{text[:20]}' is not an octal number such as 640") from None
