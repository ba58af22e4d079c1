"""The same faults for other tools: a script that keeps one machine, and our agent that keeps one host.

    .venv/bin/python -m proof.other_tools

The scripts (``proof/tools``) are as careful as such scripts are: they look for the machine by its name before they
make one, and give back all that have the name. A person (or cron) runs them again until they end well. They run in
venvs that are made for that; a tool that cannot be installed here is said to be so. Ours is the real agent with its
driver, in a laboratory. Each has a simulator of its own with the same fault, makes one machine, and gives it back.

``doubles`` are machines made beyond the one, ``left`` those that the provider still has when all is given back,
``calls`` those to the provider. Only ours can violate anything.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from proof.rows import Ask, Result, Row, main
from tests.support.lab import quick_lab
from tests.support.simulators import quick
from tests.support.vendor_venv import Unavailable, venv_with

from hybrid_drivers.sandbox.ec2_api import Ec2Simulator
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.lab import Lab
from hybrid_drivers.sandbox.machines.none import NoMachines
from hybrid_drivers.sandbox.packet_api import PacketSimulator

SCRIPTS = Path(__file__).parent / "tools"
NAME = "edge0"
LAG, SETTLE = 10.0, 15.0  # seconds lists are late, and our entry says they may be
STORM = 5.0  # seconds
RUNS, PAUSE = 20, 0.5  # how often somebody runs a script again, and seconds in between
AGENT = {"sweep": 5, "quarantine": 5}  # seconds; a tenth of our defaults or less, so that it takes no minutes
LOOK = 2.0  # seconds until people look whether all is gone

Simulator = PacketSimulator | Ec2Simulator


@dataclass(frozen=True, kw_only=True)
class Fault:
    """What goes wrong: knobs of the provider, ``killed`` between the create and the note of it, a storm at first."""

    name: str
    knobs: Mapping[str, Any] = field(default_factory=dict)
    killed: bool = False
    storm: bool = False


@dataclass(frozen=True, kw_only=True)
class Came:
    """What came of it."""

    doubles: int
    left: int
    calls: int

    def __str__(self) -> str:
        return f"{self.doubles} / {self.left} / {self.calls}"


@dataclass(frozen=True, kw_only=True)
class Tool:
    """A tool, the package and module of its venv (nothing: ours), and what it is told besides."""

    name: str
    provider: str
    package: str = ""
    module: str = ""
    script: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


FAULTS = (
    Fault(name="reply of the create lost", knobs={"lost_reply": 1}),
    Fault(name="reply lost, lists late", knobs={"lost_reply": 1, "list_lag": LAG}),
    Fault(name="killed before the note", killed=True),
    Fault(name="killed, lists late", killed=True, knobs={"list_lag": LAG}),
    Fault(name="delete that lies", knobs={"lying_delete": 1}),
    Fault(name="429 for 5 seconds", storm=True),
)
LIBCLOUD = Tool(
    name="libcloud",
    provider="packet",
    package="apache-libcloud==3.9.1",
    module="libcloud",
    script="libcloud_script.py",
)
RETRYING = {"LIBCLOUD_RETRY_FAILED_HTTP_REQUESTS": "1"}  # libcloud/common/base.py, Connection.request
TOOLS = (
    LIBCLOUD,
    replace(LIBCLOUD, name="libcloud, its retries on", environment=RETRYING),
    Tool(name="ours, packet", provider="packet"),
    Tool(name="boto3", provider="ec2", package="boto3==1.44.8", module="boto3", script="boto3_script.py"),
    Tool(name="ours, ec2", provider="ec2"),
)


def play(tool: Tool, fault: Fault, interpreter: Path | None) -> Came:
    """Have one tool make and give back a machine."""
    return _script(tool, fault, interpreter) if interpreter else _ours(tool, fault)


@contextmanager
def _stormy(knobs: Knobs, fault: Fault) -> Iterator[None]:
    """Refuse all calls for a while, from now on."""
    if fault.storm:
        knobs.change({"error_rate": 1.0, "error_status": 429, "retry_after": 1.0})
        end = threading.Timer(STORM, lambda: knobs.change({"error_rate": 0.0}))
        end.start()
        yield
        end.join()
    else:
        yield


# --- a script ---------------------------------------------------------------------------------------------------------


def _script(tool: Tool, fault: Fault, interpreter: Path) -> Came:
    knobs = quick(**dict(fault.knobs))
    simulator: Simulator = (
        Ec2Simulator(NoMachines(), knobs) if tool.provider == "ec2" else PacketSimulator(NoMachines(), knobs)
    )
    simulator.start()
    try:
        with tempfile.TemporaryDirectory(prefix="onehybrid-proof-") as folder, _stormy(knobs, fault):
            command = [str(interpreter), str(SCRIPTS / tool.script)]
            environment = {**_told(simulator), **tool.environment}
            note = str(Path(folder) / "id")
            if fault.killed:
                _run([*command, "make", NAME, note], {**environment, "DIE": "yes"})
            _until_well([*command, "make", NAME, note], environment)
            time.sleep(
                LAG + PAUSE if "list_lag" in fault.knobs else PAUSE
            )  # it is there for a while, and lists know it
            _until_well([*command, "remove", NAME, note], environment)
        time.sleep(LOOK)
        return _came(simulator)
    finally:
        simulator.stop()


def _told(simulator: Simulator) -> dict[str, str]:
    path = {"PATH": os.environ.get("PATH", ""), "HOME": "/nonexistent", "ENDPOINT": simulator.url}
    if isinstance(simulator, PacketSimulator):
        return {**path, "TOKEN": simulator.token, "PROJECT": simulator.project}
    keys = {"ACCESS": simulator.access_key_id, "SECRET": simulator.secret_access_key}
    return {**path, **keys, "REGION": simulator.region, "IMAGE": simulator.image}


def _until_well(command: list[str], environment: Mapping[str, str]) -> None:
    """Run a script again and again, as a person or cron does.

    Raises:
        RuntimeError: it never ended well.
    """
    for _ in range(RUNS):
        failed = _run(command, environment)
        if not failed:
            return
        time.sleep(PAUSE)
    raise RuntimeError(f"{' '.join(command)} never ended well: {failed}")


def _run(command: list[str], environment: Mapping[str, str]) -> str:
    done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, timeout=120, check=False)
    return done.stderr.strip()[-500:] or "no words" if done.returncode else ""


def _came(simulator: Simulator) -> Came:
    machines = simulator.machines
    left = [one for one in machines if not one["deleted"]]
    return Came(doubles=len(machines) - 1, left=len(left), calls=sum(simulator.calls.values()))


# --- ours -------------------------------------------------------------------------------------------------------------


def _ours(tool: Tool, fault: Fault) -> Came:
    with (
        quick_lab(tool.provider, agent=AGENT, limits={"settle": SETTLE, "poll": 1.0}, **dict(fault.knobs)) as lab,
        _stormy(lab.simulator.knobs, fault),
    ):
        host_id = lab.create(NAME)
        if fault.killed:
            _kill_before_the_record(lab, host_id)
        lab.wait_ready(host_id)
        lab.oned.delete_host(host_id)
        lab.wait_empty()
        return _came(lab.simulator)


def _kill_before_the_record(lab: Lab, host_id: int) -> None:
    """Kill the agent when the machine was made, and before oned has been told."""
    lab.frontend.set_knobs({"slow": 0.5})  # of each call, so that there is time in between
    lab.wait(lambda: lab.made() == 1)
    lab.kill_agent()
    lab.frontend.set_knobs({"slow": 0.0})
    if "DEPLOY_ID" in lab.host(host_id).template.vector("PROVISION"):
        raise RuntimeError("the agent was killed too late: the machine is recorded")
    lab.run("onehybrid", "agent", "run")


# --- the row ----------------------------------------------------------------------------------------------------------


def interpreters(say: Callable[[str], None]) -> Mapping[str, Path | None]:
    """Return the interpreter of each tool that can be had, None for ours."""
    found: dict[str, Path | None] = {}
    for tool in TOOLS:
        try:
            found[tool.name] = venv_with(tool.package, tool.module) if tool.package else None
        except Unavailable as exc:
            say(f"{tool.name} is left out: {exc}")
    return found


def prove(ask: Ask) -> Result:
    """Play the first ``runs`` of the faults with each tool, and print what came of it."""
    known = interpreters(print)
    tools = [one for one in TOOLS if one.name in known]
    print(f"| doubles / left / calls | {' | '.join(one.name for one in tools)} |")
    figures: dict[str, float] = {}
    violations = []
    for fault in FAULTS[: ask.runs]:
        came = {tool.name: play(tool, fault, known[tool.name]) for tool in tools}
        print(f"| {fault.name} | {' | '.join(map(str, came.values()))} |", flush=True)
        for tool in tools:
            one = came[tool.name]
            for what, count in (("doubles", one.doubles), ("left", one.left), ("calls", one.calls)):
                figures[f"{tool.name}: {what}"] = figures.get(f"{tool.name}: {what}", 0) + count
            if not tool.package and (one.doubles or one.left):
                violations.append(f"{tool.name}, {fault.name}: {one.doubles} doubles, {one.left} left")
    return Result(done=f"{min(ask.runs, len(FAULTS))} faults", figures=figures, violations=violations)


ROWS = (Row(name="other-tools", what="the same faults for other tools", runs=len(FAULTS), run=prove),)

if __name__ == "__main__":
    sys.exit(main(ROWS))
