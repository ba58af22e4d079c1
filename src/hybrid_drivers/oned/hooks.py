"""oned's hooks: the calls, and the three that run ``remotes/hooks/alias_ip``.

Facts: OpenNebula's XML-RPC reference, ``Hook.cc``, ``HookPool.cc``, ``HookStateVM.cc``, ``onehem-server.rb``. Names
and events are those that 5.12's documentation has for its ``alias_ip``. The one for cards that are plugged is a hook on
the state HOTPLUG_NIC and not on calls: one on calls has one call only, so that attachnic and detachnic need two, and
what it is handed of detachnic is a number, of a card that oned may have forgotten by the time the hook runs.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.fields import Node, filled, whole
from hybrid_drivers.oned.template import render
from hybrid_drivers.oned.xml import parse_hooks

State = Literal["made", "changed", "kept"]
NAMES: Final = ("alias_ip_running", "alias_ip_hotplug", "alias_ip_done")
_ON: Final = {NAMES[0]: ("ACTIVE", "RUNNING"), NAMES[1]: ("ACTIVE", "HOTPLUG_NIC"), NAMES[2]: ("DONE", "LCM_INIT")}
_OLD_COMMAND: Final = "alias_ip/alias_ip.rb"  # of 5.12, which later releases do not have
_PROGRAM: Final = "hooks/alias_ip"
_EVERYTHING: Final = (-2, -1, -1)


@dataclass(frozen=True, kw_only=True)
class Hook:
    """A hook of oned; ``type`` is ``state`` or ``api``."""

    id: int
    name: str
    type: str
    template: Template


class Hooks:
    """The hooks of one oned. Every method raises an ``OnedError`` as ``Oned`` does."""

    def __init__(self, oned: Oned) -> None:
        self._oned = oned

    def pool(self) -> list[Hook]:
        """Return all hooks, in one call. Raises: NotAuthorized (only oneadmin's group may see them)."""
        what = "the pool of hooks"
        return [_hook(one) for one in parse_hooks(self._oned.read("hookpool.info", what, *_EVERYTHING), what)]

    def get(self, hook_id: int) -> Hook:
        """Return a hook. Raises: NoSuchObject."""
        what = f"hook {hook_id}"
        return _hook(parse_hooks(self._oned.read("hook.info", what, hook_id, False), what)[0])

    def allocate(self, name: str, kind: str, template: Template) -> int:
        """Make a hook and return its id. Raises: InternalFailure (name taken, no such state or call)."""
        what = f"new hook {name}"
        whole_template = Template([("NAME", name), ("TYPE", kind), *template])
        return self._oned.write("hook.allocate", what, render(whole_template, what))

    def update(self, hook_id: int, template: Template, append: bool = True) -> None:
        """Change a hook's template; its type stays."""
        self._oned.change("hook", hook_id, template, append)

    def rename(self, hook_id: int, name: str) -> None:
        """Give a hook another name. Raises: ActionRefused (taken)."""
        self._oned.write("hook.rename", f"hook {hook_id}", hook_id, name)

    def delete(self, hook_id: int) -> None:
        """Delete a hook. Raises: NoSuchObject."""
        self._oned.write("hook.delete", f"hook {hook_id}", hook_id)


def _hook(node: Node) -> Hook:
    return Hook(
        id=node.need("ID", whole),
        name=node.need("NAME", filled),
        type=node.need("TYPE", str).lower(),
        template=node.template(),
    )


class AliasIpHooks:
    """The three hooks; ``remotes`` is the front-end's folder of that name.

    Their command is the whole path: what a self-contained front-end takes for the folder of hooks is another one
    (``onehem-server.conf``).
    """

    def __init__(self, hooks: Hooks, remotes: Path) -> None:
        self._hooks, self._command = hooks, str(remotes / _PROGRAM)

    def install(self) -> dict[str, State]:
        """Register those that are missing, put right those that differ, and say what was done.

        Raises:
            ConfigError: a hook of somebody else has one of the names; then nothing was changed.
            OnedError: as ``Oned``'s calls.
        """
        known = self._known()
        for one in known.values():
            self._refuse_others(one)
        done: dict[str, State] = {}
        for name in NAMES:
            wanted, found = self._wanted(name), known.get(name)
            if found is None:
                self._hooks.allocate(name, "state", wanted)
                done[name] = "made"
            elif self._differs(found, wanted):
                self._hooks.update(found.id, _kept(wanted))
                done[name] = "changed"
            else:
                done[name] = "kept"
        return done

    def remove(self) -> list[str]:
        """Delete those that are there, and return their names; others of these names stay."""
        ours = [one for one in self._known().values() if self._runs_ours(one)]
        for one in ours:
            self._hooks.delete(one.id)
        return [one.name for one in ours]

    def problems(self) -> list[str]:
        """Return a sentence for each that is not as it has to be."""
        known, found = self._known(), []
        for name in NAMES:
            one = known.get(name)
            if one is None:
                found.append(f"hook {name} is missing")
            elif not self._runs_ours(one):
                found.append(f"hook {name} runs {one.template.text('COMMAND')}")
            elif self._differs(one, self._wanted(name)):
                found.append(f"hook {name} differs from what it has to be")
        return found

    def _known(self) -> dict[str, Hook]:
        return {one.name: one for one in self._hooks.pool() if one.name in NAMES}

    def _wanted(self, name: str) -> Template:
        state, lcm_state = _ON[name]
        return Template(
            [
                ("ARGUMENTS", "$TEMPLATE"),
                ("ARGUMENTS_STDIN", "yes"),
                ("COMMAND", self._command),
                ("ON", "CUSTOM"),
                ("REMOTE", "NO"),
                ("RESOURCE", "VM"),
                ("STATE", state),
                ("LCM_STATE", lcm_state),
            ]
        )

    def _differs(self, found: Hook, wanted: Template) -> bool:
        """Tell whether a hook must be written; whatever else stands there is the operator's."""
        return any(found.template.text(key).upper() != wanted.text(key).upper() for key, _ in _kept(wanted))

    def _runs_ours(self, one: Hook) -> bool:
        return one.template.text("COMMAND").endswith("/" + _PROGRAM) or one.template.text("COMMAND") == "alias_ip"

    def _refuse_others(self, one: Hook) -> None:
        command = one.template.text("COMMAND")
        if one.type != "state" or not (self._runs_ours(one) or command == _OLD_COMMAND):
            raise ConfigError(
                f"hook {one.id} is called {one.name} and runs {command[:80]}: rename it (onehook rename) or delete it"
            )


def _kept(wanted: Template) -> Template:
    """Return what oned keeps of a template: ON is only another way to say STATE and LCM_STATE."""
    return Template((key, value) for key, value in wanted if key != "ON")


def told(done: Iterable[tuple[str, State]]) -> str:
    """Say what ``AliasIpHooks.install`` did, in a line."""
    return ", ".join(f"{name} ({state})" for name, state in done)
