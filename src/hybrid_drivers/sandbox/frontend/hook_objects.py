"""Hooks: what they are and when they run. Facts: OpenNebula ``Hook.cc``, ``HookStateVM.cc``, ``HookAPI.cc``.

Not recorded. Of state hooks there are those on virtual machines; a hook's log (``HOOKLOG``) is left out.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final
from xml.sax.saxutils import escape

from hybrid_drivers.model_vms import LCM_STATES, STATES
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.owned import OwnedObject

_ON: Final = {  # what ON stands for: state and lcm_state
    "PROLOG": ("ACTIVE", "PROLOG"),
    "RUNNING": ("ACTIVE", "RUNNING"),
    "SHUTDOWN": ("ACTIVE", "EPILOG"),
    "STOP": ("STOPPED", "LCM_INIT"),
    "DONE": ("DONE", "LCM_INIT"),
    "UNKNOWN": ("ACTIVE", "UNKNOWN"),
}
_SILENT: Final = (".info", ".infoextended")  # calls without hooks


class HookFault(ValueError):
    """No hook can be made of this; ``str()`` is oned's sentence."""


@dataclass(kw_only=True)
class HookObject(OwnedObject):
    """A hook; ``type`` is ``state`` or ``api``."""

    type: str

    @classmethod
    def of(cls, name: str, told: Attributes, calls: Collection[str]) -> HookObject:
        """Make one of a template whose NAME is out; ``calls`` are those there are. Raises: HookFault."""
        kind = told.text("TYPE").lower()
        if not told.text("COMMAND"):
            raise HookFault("No COMMAND in template for Hook.")
        told.set("REMOTE", "YES" if told.text("REMOTE").upper() in ("YES", "TRUE") else "NO")
        told.remove("TYPE")
        if kind == "state":
            _check_resource(told)
            told.set("STATE", (state := _states(told))[0])
            told.set("LCM_STATE", state[1])
            told.remove("ON")
        else:
            _check_call(told, calls, "API call does not exist or is not supported: ")
        return cls(id=-1, name=name, type=kind, template=told)

    def check(self, told: Attributes, calls: Collection[str]) -> Attributes:
        """Return the attributes an update leaves. Raises: HookFault."""
        if not told.text("COMMAND"):
            raise HookFault("The COMMAND attribute is not defined.")
        if self.type == "api":
            _check_call(told, calls, "The CALL attribute is not defined or it's invalid. ", name=False)
        for key, known in (("STATE", STATES), ("LCM_STATE", LCM_STATES)) if self.type == "state" else ():
            if told.text(key) not in known:
                raise HookFault(f"The {key} attribute is not defined or it's invalid.")
        return told

    def on_state(self, state: str, lcm_state: str) -> bool:
        """Tell whether it runs when a machine comes into this state."""
        if self.type != "state" or self.template.text("RESOURCE").upper() != "VM":
            return False
        return (self.template.text("STATE"), self.template.text("LCM_STATE")) == (state, lcm_state)

    def on_call(self, call: str) -> bool:
        """Tell whether it runs when this call has been answered, whatever the answer was."""
        return self.type == "api" and self.template.text("CALL") == call

    def xml(self) -> str:
        """Return ``<HOOK>``."""
        return (
            f"<HOOK><ID>{self.id}</ID><NAME>{escape(self.name)}</NAME><TYPE>{self.type}</TYPE>"
            f"{self.template.xml()}</HOOK>"
        )


def _check_resource(told: Attributes) -> None:
    resource = told.text("RESOURCE").upper()
    if not resource:
        raise HookFault("RESOURCE attribute is required for STATE hooks.")
    if resource != "VM":
        raise HookFault(f"Invalid resource type: {resource}")


def _states(told: Attributes) -> tuple[str, str]:
    on = told.text("ON").upper()
    if on != "CUSTOM":
        if on not in _ON:
            raise HookFault(f"Unkown state condition: {on}")
        return _ON[on]
    for key, known in (("STATE", STATES), ("LCM_STATE", LCM_STATES)):
        if told.text(key) not in known:
            raise HookFault(f"Wrong {key}: {told.text(key)}")
    return told.text("STATE"), told.text("LCM_STATE")


def _check_call(told: Attributes, calls: Collection[str], sentence: str, *, name: bool = True) -> None:
    call = told.text("CALL")
    if call not in calls or call.endswith(_SILENT):
        raise HookFault(sentence + call if name else sentence.rstrip())
