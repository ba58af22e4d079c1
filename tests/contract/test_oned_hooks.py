"""What we rely on in oned's hooks: against the stand-in, and a real one when ONE_XMLRPC and ONE_AUTH name it.

On a real front-end they make hooks named ``contract-...`` that run ``/bin/true``, and delete them again.
"""

from __future__ import annotations

import pytest
from tests.support.oned_contract import Undo

from hybrid_drivers.errors import ActionRefused, InternalFailure, NoSuchObject
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.hooks import Hook, Hooks

TOLD = {
    "ARGUMENTS": "$TEMPLATE",
    "ARGUMENTS_STDIN": "yes",
    "COMMAND": "/bin/true",
    "REMOTE": "NO",
    "RESOURCE": "VM",
    "STATE": "ACTIVE",
    "LCM_STATE": "PROLOG_MIGRATE_UNKNOWN_FAILURE",  # which hardly ever comes
}


@pytest.fixture
def hooks(oned: Oned) -> Hooks:
    return Hooks(oned)


def make(hooks: Hooks, name: str, undo: Undo, **changed: str) -> int:
    made = hooks.allocate(name, "state", Template([*{"ON": "CUSTOM", **TOLD, **changed}.items()]))
    undo(lambda: hooks.delete(made))
    return made


def values(hook: Hook) -> dict[str, str]:
    return {key: hook.template.text(key) for key in (*TOLD, "ON", "NAME", "TYPE")}


def test_a_hook_on_a_state(hooks: Hooks, name: str, undo: Undo) -> None:
    made = make(hooks, name, undo)
    found = hooks.get(made)
    assert (found.id, found.name, found.type) == (made, name, "state")
    assert values(found) == {**TOLD, "ON": "", "NAME": "", "TYPE": ""}
    assert [values(one) for one in hooks.pool() if one.name == name] == [values(found)]
    hooks.delete(made)
    assert all(one.name != name for one in hooks.pool())
    with pytest.raises(NoSuchObject):
        hooks.get(made)
    with pytest.raises(NoSuchObject):
        hooks.delete(made)


@pytest.mark.parametrize(("on", "states"), [("DONE", ("DONE", "LCM_INIT")), ("RUNNING", ("ACTIVE", "RUNNING"))])
def test_what_on_stands_for(hooks: Hooks, name: str, undo: Undo, on: str, states: tuple[str, str]) -> None:
    told = [(key, value) for key, value in TOLD.items() if key not in ("STATE", "LCM_STATE")]
    made = hooks.allocate(name, "state", Template([*told, ("ON", on)]))
    undo(lambda: hooks.delete(made))
    found = hooks.get(made).template
    assert (found.text("STATE"), found.text("LCM_STATE"), found.text("ON")) == (*states, "")


def test_a_hook_on_a_call(hooks: Hooks, name: str, undo: Undo) -> None:
    told = Template([("COMMAND", "/bin/true"), ("ARGUMENTS", "$API"), ("CALL", "one.vm.attachnic")])
    made = hooks.allocate(name, "api", told)
    undo(lambda: hooks.delete(made))
    found = hooks.get(made)
    assert (found.type, found.template.text("CALL")) == ("api", "one.vm.attachnic")


def test_an_update_replaces_or_keeps_and_a_hook_is_renamed(hooks: Hooks, name: str, undo: Undo) -> None:
    made = make(hooks, name, undo)
    hooks.update(made, Template([("COMMAND", "/bin/false"), ("TIMEOUT", "9")]))
    assert values(hooks.get(made)) == {**TOLD, "COMMAND": "/bin/false", "ON": "", "NAME": "", "TYPE": ""}
    hooks.update(made, Template([*TOLD.items()]), append=False)
    assert hooks.get(made).template.text("TIMEOUT") == ""
    hooks.rename(made, f"{name}-new")
    assert hooks.get(made).name == f"{name}-new"


def test_what_a_hook_cannot_be(hooks: Hooks, name: str, undo: Undo) -> None:
    made = make(hooks, name, undo)
    other = make(hooks, f"{name}-other", undo)
    with pytest.raises(InternalFailure, match=f"NAME is already taken by Hook {made}"):
        make(hooks, name, undo)
    with pytest.raises(InternalFailure, match="Invalid Hook type"):
        hooks.allocate(f"{name}-b", "no", Template([("COMMAND", "/bin/true")]))
    with pytest.raises(InternalFailure, match="No COMMAND"):
        make(hooks, f"{name}-c", undo, COMMAND="")
    with pytest.raises(InternalFailure, match="Wrong LCM_STATE: NEVER"):
        make(hooks, f"{name}-d", undo, LCM_STATE="NEVER")
    with pytest.raises(InternalFailure, match="Unkown state condition: SOMETIMES"):
        make(hooks, f"{name}-e", undo, ON="SOMETIMES")
    with pytest.raises(InternalFailure, match="Invalid resource type"):
        make(hooks, f"{name}-f", undo, RESOURCE="CLUSTER")
    with pytest.raises(InternalFailure, match="RESOURCE attribute is required"):
        make(hooks, f"{name}-g", undo, RESOURCE="")
    told = Template([("COMMAND", "/bin/true"), ("CALL", "one.vm.info")])
    with pytest.raises(InternalFailure, match=r"does not exist or is not supported: one\.vm\.info"):
        hooks.allocate(f"{name}-h", "api", told)
    with pytest.raises(InternalFailure, match="Cannot update template"):
        hooks.update(made, Template([("LCM_STATE", "NEVER")]))
    with pytest.raises(ActionRefused, match="collides"):
        hooks.rename(other, name)
