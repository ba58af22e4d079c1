"""Each place in the agent's code that changes oned or a provider is a point of the crash matrix, or says why not.

``proof/crash/points.json`` are the points that the matrix found by running (``make proof``). A new effect in the code
has none there until a flow of the matrix meets it.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[3]
AGENT = ROOT / "src/hybrid_drivers/agent"
ONED = ROOT / "src/hybrid_drivers/oned"
CHANGES_ONED = {"write", "change"}
CHANGES_PROVIDER = {
    *("create", "delete", "power_on", "power_off", "reboot", "reset"),
    *("reserve", "release", "assign", "unassign"),
}
OF_ONED = re.compile(r"(^|[._])(oned|objects)$|^Vms\(|^Objects\(|(^|[._])vms$")
OF_PROVIDER = re.compile(r"(^|[._])(provider|addresses|power)$")

# What no flow meets, and what tries it instead.
ELSEWHERE = {
    "agent.assignment_collector._take": "comes only after a kill: tests/contract/test_vnm_hybrid.py",
    "agent.executor._keep_ready": "after a message that came late: tests/unit/agent/test_two_agents.py",
    "agent.executor._rest": "after a message that came late: tests/unit/agent/test_reconciler.py",
    "agent.executor._record_address": "it came back elsewhere: tests/contract/test_life_of_a_ready_host.py",
    "agent.growth.growing._carry_out": "prices of hosts made by hand: tests/unit/agent/growth/test_growing.py",
    "agent.growth.growing._tell_refused": "oned refused something: tests/unit/agent/growth/test_growing.py",
    "agent.growth.growing._enable": "a kill before each call: tests/unit/agent/growth/test_growing.py",
    "agent.growth.growing._wake": "people enabled a host: tests/unit/agent/growth/test_growing.py",
    "agent.growth.growing._tell_problem": "a wrong policy: tests/unit/agent/growth/test_growing.py",
    "agent.growth.growing._let_go": "a policy switched off: tests/unit/agent/growth/test_growing.py",
    "agent.growth.unfinished._finished": "comes only after a kill: tests/contract/test_growth.py kills again and again",
    "agent.im._no_probes": "says why: tests/contract/test_life_with_troubles.py",
    "agent.nodework._failed_run": "says why: tests/contract/test_life_with_troubles.py",
    "agent.nodework._no_monitoring": "says why: tests/contract/test_life_of_a_ready_host.py",
    "agent.pm._attempt": "5.12's tools: tests/contract/test_pm_actions.py",
    "agent.pm._write_intent": "5.12's tools: tests/contract/test_pm_actions.py",
    "agent.reconciler._unexpected": "after a bug: tests/unit/agent/test_reconciler.py",
    "agent.remedywork._note": "a machine that was changed: tests/unit/agent/test_remedies.py",
    "agent.renting.write_intent": "taken over from another front-end: tests/unit/agent/test_two_agents.py",
    "agent.upkeepwork._failed_rerun": "says why: tests/contract/test_configure.py",
    "agent.upkeepwork._drifted": "says what differs: tests/contract/test_life_of_a_ready_host.py",
}


def functions(path: Path) -> Iterator[tuple[str, ast.AST]]:
    """Yield each function of a file, by name."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node


def calls(node: ast.AST) -> Iterator[tuple[str, str]]:
    """Yield the calls of methods in a function: the text of the object, and the method."""
    for one in ast.walk(node):
        if isinstance(one, ast.Call) and isinstance(one.func, ast.Attribute):
            yield ast.unparse(one.func.value), one.func.attr


def writing_methods() -> set[str]:
    """Return the methods of our classes for oned that write, found by what they call."""
    found = set(CHANGES_ONED)
    for file in ("api.py", "objects.py", "vms.py", "hooks.py"):
        for name, node in functions(ONED / file):
            if any(
                (method in CHANGES_ONED and "oned" in of) or of == "self"
                for of, method in calls(node)
                if method in CHANGES_ONED
            ):
                found.add(name)
    return {one for one in found if not one.startswith("_")} | {"add_to_cluster", "remove_from_cluster"}


def effects() -> dict[str, set[str]]:
    """Return each function of the agent with an effect, and what it calls for that."""
    writes = writing_methods()
    found: dict[str, set[str]] = {}
    for path in sorted(AGENT.rglob("*.py")):
        module = ".".join(path.relative_to(AGENT.parent).with_suffix("").parts)
        for name, node in functions(path):
            for of, method in calls(node):
                if (OF_ONED.search(of) and method in writes) or (OF_PROVIDER.search(of) and method in CHANGES_PROVIDER):
                    found.setdefault(f"{module}.{name}", set()).add(f"{of}.{method}")
    return found


def met() -> set[str]:
    """Return the places that the matrix has met."""
    found = json.loads((ROOT / "proof/crash/points.json").read_text())
    points = [one for drivers in found.values() for names in drivers.values() for one in names]
    return {one.partition(" @ ")[2] for one in points}


def test_every_effect_in_the_code_is_a_point_of_the_crash_matrix() -> None:
    unknown = {name: sorted(how) for name, how in effects().items() if name not in met() | set(ELSEWHERE)}
    assert not unknown, "no flow of proof/crash/flows.py meets these effects: let one do it, and run 'make proof'"


def test_what_is_left_out_is_still_there_and_not_met() -> None:
    assert set(ELSEWHERE) <= set(effects()) - met()


def test_effects_are_found() -> None:
    found = effects()
    assert found["agent.renting._open_intent"] == {"parts.oned.update_host"}
    assert len(found) > 25
