"""Which commands get their names on this front-end, and what comes with each of them.

``oneprovision`` and ``oneprovider`` are names that OpenNebula uses itself: 6.10 for the tools ours stand for, 7.2 and
later for others. Ours are given only where nothing else has them, and are given up when something else takes them:
then they are neither replaced nor removed. Completion scripts and manual pages come with their command, on the same
terms.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from files import Files
from manifest import Manifest
from plan import Item, Kind, Tree

ALWAYS = "onehybrid"
SAME = {"oneprovision": "onehybrid provision", "oneprovider": "onehybrid provider"}


@dataclass(frozen=True)
class Choice:
    """``items`` are all that will be put; ``told`` is what an operator is to know of the names."""

    items: list[Item]
    told: list[str]


def choose(files: Files, tree: Tree, wanted: Sequence[Item], manifest: Manifest) -> Choice:
    """Leave out what belongs to names that are not ours here; forget what was ours and is no more."""
    refused = {}
    for name in SAME:
        reason = _refusal(files, tree, wanted, manifest, name)
        if reason:
            refused[name] = reason
    kept = []
    for item in wanted:
        if not item.command or (item.command not in refused and files.may_put(item, manifest)):
            kept.append(item)
        elif not files.may_put(item, manifest):
            manifest.files.pop(str(item.path), None)
    given = [ALWAYS, *(name for name in SAME if name not in refused)]
    told = [f"{name} {reason}: use '{SAME[name]}'" for name, reason in refused.items()]
    return Choice(kept, [f"commands: {', '.join(given)}", *told])


def _refusal(files: Files, tree: Tree, wanted: Sequence[Item], manifest: Manifest, name: str) -> str:
    """Return why ``name`` is not given, empty when it is."""
    if not files.real(tree.one_etc / "oned.conf").exists():
        return "is not given, for there is no OpenNebula here to see whether it has its own"
    link = next(item for item in wanted if item.command == name and item.kind is Kind.LINK)
    return "" if files.may_put(link, manifest) else f"is another program here ({link.path})"
