"""The hooks end to end: registered by the command, run by a front-end for its machines, answered by an agent."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from tests.support.agent_tree import TOP, eventually

from hybrid_drivers.config import Location
from hybrid_drivers.errors import ActionRefused
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.hooks import NAMES, Hooks
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.sandbox.frontend.frontend import Frontend

RUNNING = 3


class Site:
    """A front-end with the drivers, an agent that notes what it is asked, and a network of public addresses."""

    def __init__(self, front_end: Frontend) -> None:
        self.front_end = front_end
        self.location = Location.from_environment(front_end.environment)
        self.oned = Oned.from_location(self.location)
        self.objects, self.vms, self.hooks = Objects(self.oned), Vms(self.oned), Hooks(self.oned)
        self.read = 0

    def prepare(self) -> None:
        self.hosts = [self.oned.allocate_host(one, "dummy", "dummy", 0) for one in ("edge1", "edge2")]
        addresses = {"TYPE": "IP4", "IP": "198.51.100.1", "SIZE": "9"}
        nets = {"public": "hybrid", "nat": "alias_sdnat", "inside": "bridge"}
        for name, driver in nets.items():
            named = [("NAME", name), ("VN_MAD", driver), ("BRIDGE", "br0")]
            self.objects.allocate("vnet", Template([*named, ("AR", addresses)]))
        eventually(lambda: all(one.state == 1 for one in self.objects.pool("vnet")), "the networks are ready")
        self.template = self.objects.allocate("template", Template([("NAME", "vm"), ("CPU", "1"), ("MEMORY", "64")]))

    def command(self, *words: str, code: int = 0) -> str:
        done = subprocess.run(
            [self.location.lib / "venv/bin/onehybrid", "hooks", *words],
            env=self.front_end.environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout + done.stderr

    def machine(self, *networks: str) -> int:
        """Start a machine on the first host."""
        made = self.vms.instantiate(self.template, "", Template([("NIC", {"NETWORK": one}) for one in networks]))
        self.vms.deploy(made, self.hosts[0])
        self.runs(made)
        return made

    def runs(self, vm_id: int) -> None:
        eventually(lambda: self.vms.get(vm_id).lcm_state == RUNNING, "it runs")

    def attach(self, vm_id: int, kind: str, **told: str) -> None:
        text = Template([(kind, told)]).render()
        self.oned.write("vm.attachnic", f"virtual machine {vm_id}", vm_id, text)

    def detach(self, vm_id: int, card: int) -> None:
        self.oned.write("vm.detachnic", f"virtual machine {vm_id}", vm_id, card)

    def asked(self, *expected: Sequence[object]) -> None:
        """Wait for what was asked since the last look, and see that it is this; hooks come in any order."""
        path = self.location.state / "asked"

        def new() -> list[list[object]]:
            lines = path.read_text().splitlines() if path.exists() else []
            return [json.loads(line) for line in lines][self.read :]

        eventually(lambda: len(new()) >= len(expected), f"{expected} was asked")
        found = new()
        self.read += len(found)
        assert sorted(found, key=str) == sorted((list(one) for one in expected), key=str)

    def runs_of_hooks(self) -> list[tuple[str, int]]:
        return [(one.argv[0], one.code) for one in self.front_end.events if one.action == "HOOK"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with Frontend(tmp_path_factory.mktemp("front-end") / "one") as front_end:
        environment = {**front_end.environment, "PYTHONPATH": f"{TOP}:{TOP / 'src'}"}
        words = ["-m", "hybrid_drivers.agent.daemon", "--core", "tests.support.hook_core:build"]
        agent = subprocess.Popen([sys.executable, *words], env=environment, cwd=TOP)
        made = Site(front_end)
        try:
            eventually(made.location.socket.exists, "the agent listens")
            made.prepare()
            assert made.command("install") == f"hooks: {', '.join(f'{one} (made)' for one in NAMES)}\n"
            yield made
        finally:
            agent.terminate()
            agent.wait()


def test_addresses_follow_a_machine(site: Site) -> None:
    made = site.machine("inside", "public")
    site.asked(("post", ["0", "1"], "edge1"))
    site.vms.migrate(made, site.hosts[1], live=True)
    site.asked(("post", ["0", "1"], "edge2"))
    site.vms.action(made, "poweroff")
    eventually(lambda: site.vms.get(made).word == "POWEROFF", "it is off")
    site.vms.action(made, "resume")
    site.asked(("post", ["0", "1"], "edge2"))
    site.vms.action(made, "terminate")
    site.asked(("clean", ["0", "1"], "edge2"))
    eventually(lambda: (NAMES[2], 0) in site.runs_of_hooks(), "the last hook ended")
    assert {code for _, code in site.runs_of_hooks()} == {0}


def test_cards_are_plugged(site: Site) -> None:
    made = site.machine("inside")
    site.attach(made, "NIC", NETWORK="public")
    site.asked(("post", ["0", "1"], "edge1"))
    site.runs(made)
    site.attach(made, "NIC_ALIAS", NETWORK="nat", PARENT="NIC0", EXTERNAL="YES")
    site.asked(("post", ["0", "1", "2"], "edge1"))
    site.runs(made)
    site.detach(made, 1)
    site.asked(("clean", ["1"], "edge1"), ("post", ["0", "2"], "edge1"))
    site.runs(made)
    site.detach(made, 0)  # its alias goes with it
    site.asked(("clean", ["0", "2"], "edge1"))
    site.runs(made)
    leases = [one.get("ALLOCATED", "").split() for one in site.objects.address_ranges()]
    assert leases == [[], [], []]
    site.vms.action(made, "terminate")


@pytest.mark.parametrize("fails", ["attach", "detach"])
def test_cards_that_cannot_be_plugged(site: Site, fails: str) -> None:
    made = site.machine("inside", "public")
    site.asked(("post", ["0", "1"], "edge1"))
    eventually(lambda: site.runs_of_hooks()[-1:] == [(NAMES[0], 0)], "the hook ended")
    runs = len(site.runs_of_hooks())
    site.front_end.set_knobs({"vm_fails": fails})
    try:
        site.attach(made, "NIC", NETWORK="public") if fails == "attach" else site.detach(made, 1)
        site.runs(made)
    finally:
        site.front_end.set_knobs({"vm_fails": ""})
    if fails == "detach":  # that it goes and that it runs again are told at once: the last word is that it has them
        eventually(lambda: len(site.runs_of_hooks()) >= runs + 2, "both hooks ran")
        lines = [json.loads(one) for one in (site.location.state / "asked").read_text().splitlines()][site.read :]
        assert lines[-1] == ["post", ["0", "1"], "edge1"]
        site.read += len(lines)
    else:
        site.asked(("post", ["0", "1"], "edge1"))
    site.vms.action(made, "terminate")
    site.asked(("clean", ["0", "1"], "edge1"))


def test_refusals_of_plugging(site: Site) -> None:
    waiting = site.vms.instantiate(site.template, "", hold=True)
    with pytest.raises(ActionRefused, match=f"Could not add a new NIC to VM {waiting}, wrong state HOLD"):
        site.attach(waiting, "NIC", NETWORK="public")
    made = site.machine()
    with pytest.raises(ActionRefused, match="NIC_ID 7, it does not exist"):
        site.detach(made, 7)
    with pytest.raises(ActionRefused, match="Alias not found"):
        site.attach(made, "NIC_ALIAS", NETWORK="public", PARENT="NIC0")
    with pytest.raises(ActionRefused, match="missing NIC/NIC_ALIAS/PCI"):
        site.attach(made, "DISK", IMAGE="x")
    for one in (waiting, made):
        site.vms.action(one, "terminate")


def test_hooks_on_calls_are_answered_too(site: Site) -> None:
    command = str(site.location.remotes / "hooks/alias_ip")
    told = Template([("COMMAND", command), ("ARGUMENTS", "$API"), ("CALL", "one.vm.detachnic")])
    hook = site.hooks.allocate("contract-api", "api", told)  # as an argument
    try:
        made = site.machine("inside", "public")
        site.asked(("post", ["0", "1"], "edge1"))
        with pytest.raises(ActionRefused):
            site.detach(made, 7)
        eventually(lambda: ("contract-api", 0) in site.runs_of_hooks(), "the hook ran")
        site.asked()
    finally:
        site.hooks.delete(hook)
    site.vms.action(made, "terminate")
    site.asked(("clean", ["0", "1"], "edge1"))


# --- registering ---


def test_registering_again_changes_nothing_and_differences_are_put_right(site: Site) -> None:
    before = site.hooks.pool()
    assert site.command("install") == f"hooks: {', '.join(f'{one} (kept)' for one in NAMES)}\n"
    assert site.hooks.pool() == before
    assert site.command("check") == f"hooks: {', '.join(NAMES)}\n"
    found = {one.name: one for one in before}
    site.hooks.update(found[NAMES[1]].id, Template([("LCM_STATE", "RUNNING"), ("TIMEOUT", "9")]))
    site.hooks.delete(found[NAMES[2]].id)
    said = site.command("check", code=1)
    assert f"hook {NAMES[1]} differs" in said
    assert f"hook {NAMES[2]} is missing" in said
    assert f"{NAMES[0]} (kept), {NAMES[1]} (changed), {NAMES[2]} (made)" in site.command("install")
    again = {one.name: one for one in site.hooks.pool()}
    assert again[NAMES[1]].template.text("TIMEOUT") == "9"
    assert again[NAMES[2]].template == found[NAMES[2]].template
    site.command("check")


def test_hooks_of_512_become_ours_and_those_of_others_are_left_alone(site: Site) -> None:
    number = next(one.id for one in site.hooks.pool() if one.name == NAMES[0])
    site.hooks.update(number, Template([("COMMAND", "alias_ip/alias_ip.rb")]))
    assert f"{NAMES[0]} (changed)" in site.command("install")
    site.hooks.update(number, Template([("COMMAND", "/usr/bin/mine")]))
    said = site.command("install", code=1)
    whose = f"hook {number} is called {NAMES[0]} and runs /usr/bin/mine"
    assert said == f"Error: {whose}: rename it (onehook rename) or delete it\n"
    assert f"hook {NAMES[0]} runs /usr/bin/mine" in site.command("check", code=1)
    assert site.command("remove") == f"hooks deleted: {NAMES[2]}, {NAMES[1]}\n"
    assert [one.name for one in site.hooks.pool()] == [NAMES[0]]
    assert site.command("remove") == "there were no hooks of these drivers\n"
    site.hooks.delete(number)
    site.command("install")


def test_without_oned_it_is_said(site: Site, tmp_path: Path) -> None:
    environment = {**site.front_end.environment, "ONE_XMLRPC": "http://127.0.0.1:9/RPC2"}
    done = subprocess.run(
        [site.location.lib / "venv/bin/onehybrid", "hooks", "install"],
        env=environment, capture_output=True, text=True,
    )  # fmt: skip
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "is it running" in done.stderr
    assert os.listdir(tmp_path) == []
