"""Adds what the drivers need to OpenNebula's own configuration, and takes exactly that away again.

An edit adds either words to a list inside a value, or a marked block at the end of the file. Each returns a ``Change``
that says what was inserted; ``undo`` removes that and nothing else, so edits made by the operator since then stay.
Pure functions on text; ``place.py`` reads and writes the files.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from conf_syntax import Attribute, attributes, shell_variable

IM_MAD = """IM_MAD = [
    NAME          = "provision",
    SUNSTONE_NAME = "Provision",
    EXECUTABLE    = "one_im_sh",
    ARGUMENTS     = "-r 3 -t 15 -w 90 provision",
    THREADS       = 0
]
"""
IPAM_MAD = 'IPAM_MAD = [\n    EXECUTABLE = "one_ipam",\n    ARGUMENTS  = "-t 1 -i dummy,packet,ec2"\n]\n'
VN_MAD_CONF = 'VN_MAD_CONF = [\n    NAME        = "{}",\n    BRIDGE_TYPE = "linux"\n]\n'
IPAM_DRIVERS = ("packet", "ec2")
VN_DRIVERS = ("hybrid", "alias_sdnat")
LOCAL_ACTIONS = ("hybrid-post", "hybrid-clean")

_IPAM_LIST = re.compile(r"(?:^|\s)-i\s*(\S+)")


@dataclass(frozen=True)
class Change:
    """What one edit put into a file. ``kind`` is ``words`` or ``block``; ``words`` is empty for a block."""

    kind: str
    label: str  # of a block; the attribute's path, like IPAM_MAD/ARGUMENTS, for words
    inserted: str
    words: tuple[str, ...] = ()


Edited = tuple[str, list[Change]]


def edit_monitord(text: str) -> Edited:
    """Give ``monitord.conf`` the information driver ``provision``, unless it has one."""
    if _named(text, "IM_MAD", "provision"):
        return text, []
    return _add_block(text, "IM_MAD provision", IM_MAD)


def edit_oned(text: str) -> Edited:
    """Give ``oned.conf`` the address drivers in IPAM_MAD's ``-i`` list and a VN_MAD_CONF for each network driver."""
    text, changes = _add_ipam_drivers(text)
    for driver in VN_DRIVERS:
        if not _named(text, "VN_MAD_CONF", driver):
            text, more = _add_block(text, f"VN_MAD_CONF {driver}", VN_MAD_CONF.format(driver))
            changes += more
    return text, changes


def edit_vmm_execrc(text: str) -> Edited:
    """Add our front-end side network actions to VNMAD_LOCAL_ACTIONS (``<driver>-<action>``, separated by blanks)."""
    line = shell_variable(text, "VNMAD_LOCAL_ACTIONS")
    present = line.value.split() if line else []
    missing = tuple(word for word in LOCAL_ACTIONS if word not in present)
    if missing and (line is None or text[line.start - 1] not in "\"'"):
        # A shell reads this file (OpenNebula madcommon.sh): blanks need quotes, and the last line wins.
        return _add_block(text, "VNMAD_LOCAL_ACTIONS", f'VNMAD_LOCAL_ACTIONS="{" ".join([*present, *missing])}"\n')
    if line is None:
        return text, []
    return _insert(text, line.end, "VNMAD_LOCAL_ACTIONS", (" " if present else "") + " ".join(missing), missing)


EDITS: dict[str, Callable[[str], Edited]] = {
    "monitord.conf": edit_monitord,
    "oned.conf": edit_oned,
    "vmm_exec/vmm_execrc": edit_vmm_execrc,
}


def undo(text: str, changes: Sequence[Change]) -> tuple[str, list[str]]:
    """Take ``changes`` out of ``text``, last one first; also return the labels of those no longer found in it."""
    lost = []
    for change in reversed(changes):
        after = _undo_block(text, change) if change.kind == "block" else _undo_words(text, change)
        if after == text:
            lost.append(change.label)
        text = after
    return text, lost


def _named(text: str, attribute: str, name: str) -> bool:
    blocks = [one.part("NAME") for one in attributes(text) if one.name == attribute]
    return any(part is not None and part.value == name for part in blocks)


def _add_ipam_drivers(text: str) -> Edited:
    block = next((one for one in attributes(text) if one.name == "IPAM_MAD"), None)
    if block is None:
        return _add_block(text, "IPAM_MAD", IPAM_MAD)
    arguments = block.part("ARGUMENTS")
    listed = _IPAM_LIST.search(arguments.value) if arguments else None
    if arguments is None or listed is None:
        return text, []  # without -i every driver is enabled (OpenNebula one_ipam.rb)
    present = listed.group(1).split(",")
    missing = tuple(driver for driver in IPAM_DRIVERS if driver not in present)
    before = "" if listed.group(1).endswith(",") else ","
    return _insert(text, arguments.start + listed.end(), "IPAM_MAD/ARGUMENTS", before + ",".join(missing), missing)


def _insert(text: str, at: int, label: str, inserted: str, words: tuple[str, ...]) -> Edited:
    if not words:
        return text, []
    return text[:at] + inserted + text[at:], [Change("words", label, inserted, words)]


def _marks(label: str) -> tuple[str, str]:
    return (
        f"# --- OpenNebula Hybrid Drivers: {label} (put here by install.sh, install.sh -r takes it out) ---\n",
        f"# --- end of OpenNebula Hybrid Drivers: {label} ---\n",
    )


def _add_block(text: str, label: str, block: str) -> Edited:
    begin, end = _marks(label)
    inserted = ("\n" if text.endswith("\n") or not text else "\n\n") + begin + block + end
    return text + inserted, [Change("block", label, inserted)]


def _undo_block(text: str, change: Change) -> str:
    if change.inserted in text:
        return text.replace(change.inserted, "", 1)
    begin, end = _marks(change.label)
    return re.sub(r"\n?" + re.escape(begin) + r".*?" + re.escape(end), "", text, count=1, flags=re.S)


def _undo_words(text: str, change: Change) -> str:
    value = _find(text, change.label)
    if value is None:
        return text
    if change.inserted in value.value:
        after = "".join(value.value.rsplit(change.inserted, 1))
    else:  # the operator changed the list since: take our words out one by one
        after = value.value
        for word in change.words:
            after = re.sub(rf"(^|[,\s]){re.escape(word)}(?=$|[,\s])", "", after, count=1)
    return text[: value.start] + after + text[value.end :]


def _find(text: str, path: str) -> Attribute | None:
    name, _, part = path.partition("/")
    if not part:
        return shell_variable(text, name)
    found = [one for one in attributes(text) if one.name == name]
    return next((inner for one in found if (inner := one.part(part))), None)
