"""``remotes/pm/<driver>/<action>`` as OneProvision 5.12 calls it: the real executables, client and agent."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast
from xml.sax.saxutils import escape

import pytest
from tests.support.lab import quick_lab

from hybrid_drivers.model import Template
from hybrid_drivers.sandbox.lab import Lab

DRIVERS = ("packet", "ec2", "dummy", "static")
SWITCHED = ("packet", "ec2", "dummy")  # static machines have no switch
# What the agent does for any driver is tried with one that asks a provider and one that does not.
TWO = pytest.mark.parametrize(
    "bench",
    ["packet", "static", *(pytest.param(one, marks=pytest.mark.long) for one in ("ec2", "dummy"))],
    indirect=True,
)
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIImPu8TaF2ShX3KAowAQPvfIxztjBHmFltobmz8FBzFq"


@dataclass(frozen=True)
class Bench:
    """A laboratory and one driver of it, called as a 5.12 tool does."""

    lab: Lab
    driver: str

    def call(self, action: str, *argv: str) -> subprocess.CompletedProcess[str]:
        path = self.lab.frontend.location / f"var/remotes/pm/{self.driver}/{action}"
        return self.lab.run(str(path), *argv)

    def said(self, action: str, *argv: str) -> str:
        done = self.call(action, *argv)
        assert (done.returncode, done.stderr) == (0, ""), done.stderr
        return done.stdout.rstrip("\n")

    def refused(self, action: str, *argv: str) -> str:
        """Return the one line between the marks that 5.12 looks for."""
        done = self.call(action, *argv)
        assert (done.returncode, done.stdout) == (255, "")
        found = re.fullmatch("ERROR MESSAGE --8<------\n(.+)\nERROR MESSAGE ------>8--\n", done.stderr)
        assert found, done.stderr
        return found[1]

    def file(self, *, host_id: int | None = None, name: str = "edge1", **attributes: str) -> str:
        """Write a deployment file and return its path."""
        inner = "".join(
            f"<{key}>{escape(value)}</{key}>" for key, value in {**self.provision, **attributes}.items() if value
        )
        identity = "" if host_id is None else f"<ID>{host_id}</ID>"
        path = Path(self.lab.folder) / f"{name}.xml"
        path.write_text(
            f"<HOST>{identity}<NAME>{name}</NAME><TEMPLATE><PROVISION>{inner}</PROVISION></TEMPLATE></HOST>"
        )
        return str(path)

    @property
    def provision(self) -> Mapping[str, str]:
        """Return what a template says for this driver, by a provider entry."""
        if self.driver == "packet":
            return {"PROVIDER": "packet-ams", "PLAN": "c3.small.x86", "OS": "debian_12", "METRO": "am"}
        if self.driver == "ec2":
            return {"PROVIDER": "aws-eu", "AMI": getattr(self.lab.simulator, "image", ""), "INSTANCETYPE": "c5.metal"}
        return {"PROVIDER": "own"} if self.driver == "static" else {}

    @property
    def credentials(self) -> Mapping[str, str]:
        """Return what 5.12 templates say instead of PROVIDER."""
        entry = self.lab.entry()
        if self.driver == "packet":
            return {f"PACKET_{name.upper()}": str(entry[name]) for name in ("token", "project", "endpoint")}
        names = {"EC2_ACCESS": "access_key", "EC2_SECRET": "secret_key", "REGION_NAME": "region"}
        return {**{key: str(entry[name]) for key, name in names.items()}, "EC2_ENDPOINT": str(entry["endpoint"])}

    def poll(self, deploy_id: str, state: str) -> str:
        """Poll until the machine has ``state`` (a, d, -); return the line."""

        def line() -> str:
            told = self.said("poll", deploy_id, "edge1", "7", "edge1")
            return told if f"STATE={state}" in told else ""

        return self.lab.wait(line)


@pytest.fixture(params=DRIVERS)
def bench(request: pytest.FixtureRequest) -> Iterator[Bench]:
    driver = str(request.param)
    with quick_lab(driver if driver == "ec2" else "packet") as lab:
        machines = [{"address": f"192.0.2.{number}", "host_key": KEY} for number in (1, 2)]
        limits = {"settle": 0.3, "poll": 0.1}
        lab.write_entry("own", {"driver": "static", "machines": machines, "limits": limits})
        yield Bench(lab, driver)


def test_deploy_poll_switch_cancel(bench: Bench) -> None:
    deploy_id = bench.said("deploy", bench.file(), "any")
    assert re.fullmatch("[!-~]+", deploy_id)
    line = bench.poll(deploy_id, "a")
    addresses = re.search(r' GUEST_IP_ADDRESSES="([0-9a-f:.,]+)"', line)
    assert addresses, line
    if bench.driver == "ec2":
        assert f'AWS_PUBLIC_IP_ADDRESS="{addresses[1].split(",")[0]}"' in line
    host = ("edge1", "7", "edge1")
    if bench.driver in SWITCHED:
        assert bench.said("shutdown", deploy_id, "edge1", "SHUTDOWN_POWEROFF", "7", "edge1") == ""
        bench.poll(deploy_id, "d")
        assert bench.said("deploy", bench.file(DEPLOY_ID=deploy_id), *host) == deploy_id
        bench.poll(deploy_id, "a")
        assert bench.said("reboot", deploy_id, *host) == ""
        bench.poll(deploy_id, "a")
        assert bench.said("reset", deploy_id, *host) == ""
        bench.poll(deploy_id, "a")
    assert bench.said("cancel", deploy_id, *host) == ""
    assert not bench.lab.alive()
    assert bench.said("cancel", deploy_id, *host) == ""
    assert deploy_id in bench.refused("poll", deploy_id, *host)


@TWO
def test_the_collector_leaves_machines_of_hosts_not_made_yet_alone(bench: Bench) -> None:
    deploy_id = bench.said("deploy", bench.file(), "any")
    bench.lab.create("other")  # so that the agent sweeps
    listed = sum(bench.lab.simulator.calls.values())
    bench.lab.wait(lambda: sum(bench.lab.simulator.calls.values()) > listed + 8)
    bench.poll(deploy_id, "a")


@TWO
def test_two_hosts_of_one_name_get_two_machines(bench: Bench) -> None:
    first = bench.said("deploy", bench.file(), "any")
    second = bench.said("deploy", bench.file(), "any")
    assert first != second


@TWO
def test_a_host_that_is_in_oned_gets_one_machine(bench: Bench) -> None:
    host_id = bench.lab.oned.allocate_host("edge1", "kvm", "kvm", bench.lab.cluster_id)
    file = bench.file(host_id=host_id)
    first = bench.said("deploy", file, "any")
    assert bench.lab.host(host_id).template.vector("PROVISION_INTENT")["TOKEN"]
    assert bench.said("deploy", file, "any") == first
    provision = {**bench.provision, "DEPLOY_ID": first, "DRIVER": bench.driver}
    bench.lab.oned.update_host(host_id, Template([("PROVISION", provision)]))
    assert bench.said("cancel", first, "edge1", str(host_id), "edge1") == ""
    again = bench.said("deploy", file, "any")  # the token of the first is spent: another attempt makes another machine
    bench.poll(again, "a")
    assert bench.said("cancel", again, "edge1", str(host_id), "edge1") == ""


@pytest.mark.parametrize("bench", ["packet", "ec2"], indirect=True)
def test_a_lost_reply_buys_one_machine(bench: Bench) -> None:
    bench.lab.simulator.knobs.change({"lost_reply": 1, "list_lag": 0.3})
    deploy_id = bench.said("deploy", bench.file(), "any")
    assert [machine["id"] for machine in bench.lab.alive()] == [deploy_id]


@pytest.mark.parametrize("bench", ["packet", "ec2"], indirect=True)
def test_credentials_within_the_template_work_and_do_not_come_out(bench: Bench) -> None:
    attributes: dict[str, Any] = {**{k: v for k, v in bench.provision.items() if k != "PROVIDER"}, **bench.credentials}
    for path in (bench.lab.location.etc / "providers.d").iterdir():
        path.unlink()
    deploy_id = bench.said("deploy", bench.file(PROVIDER="", **attributes), "any")
    bench.poll(deploy_id, "a")
    secret = {"packet": "PACKET_TOKEN", "ec2": "EC2_SECRET"}[bench.driver]
    wrong = "wrongCANARY0123456789wrongCANARY01234567"
    refused = bench.refused("deploy", bench.file(PROVIDER="", **{**attributes, secret: wrong}), "any")
    assert wrong not in refused + bench.lab.log()


@pytest.mark.parametrize("bench", ["packet", "ec2"], indirect=True)
def test_failures_are_one_framed_line(bench: Bench) -> None:
    plan = {"packet": "PLAN", "ec2": "INSTANCETYPE"}[bench.driver]
    assert "nonsense" in bench.refused("deploy", bench.file(**cast(Any, {plan: "nonsense.large"})), "any")
    assert "UNKNOWN_KEY" in bench.refused("deploy", bench.file(UNKNOWN_KEY="x"), "any")
    assert "expected <deploy id> <name>" in bench.refused("poll", "one")
    assert "/nowhere.xml" in bench.refused("deploy", "/nowhere.xml", "any")
    bench.lab.simulator.knobs.quota = 1
    bench.said("deploy", bench.file(), "any")
    assert bench.refused("deploy", bench.file(name="edge2"), "any")
