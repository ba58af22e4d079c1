"""Whatever happens to a call for an address range, nothing is left behind and nothing is given twice.

The agent is killed between any two calls of the provider, replies are lost after the work was done, requests come
twice.
"""

from __future__ import annotations

import base64
import ipaddress
import subprocess
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.sax.saxutils import escape

import pytest
from tests.support.lab import ONE_PROVIDER, PROVIDERS, quick_lab
from tests.support.ranges import ERROR, READY, Networks

from hybrid_drivers.sandbox.frontend.template import parse

KILLS = [("packet", 1), ("packet", 2), ("packet", 3), ("ec2", 2)]
ALL_KILLS = [(name, at) for name in PROVIDERS for at in range(1, 9)]
once = pytest.mark.parametrize("networks", ONE_PROVIDER, indirect=True)


@pytest.fixture(params=PROVIDERS)
def networks(request: pytest.FixtureRequest) -> Iterator[Networks]:
    with quick_lab(str(request.param)) as lab:
        yield Networks(lab)


def named(networks: Networks) -> list[str]:
    """Return the blocks that ranges name, each as often as one does."""
    ranges = [ar for one in networks.objects.pool("vnet") for ar in one.address_ranges]
    return sorted(block for ar in ranges for block in ar.get("DEPLOY_ID", "").split(",") if block)


def nothing_is_left(networks: Networks) -> None:
    """Wait until what is reserved is what ranges name, and hold that no address is in two ranges."""
    networks.lab.wait(lambda: sorted(networks.blocks()) == named(networks))
    assert len(set(named(networks))) == len(named(networks))
    ranges = [ar for one in networks.objects.pool("vnet") for ar in one.address_ranges]
    spans = [(int(ipaddress.IPv4Address(ar["IP"])), int(ar["SIZE"])) for ar in ranges]
    numbers = [first + number for first, size in spans for number in range(size)]
    assert len(set(numbers)) == len(numbers)


def run(networks: Networks, action: str, number: int, ar: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """Run an executable as one_ipam does."""
    inner = "".join(f"<{key}>{escape(value)}</{key}>" for key, value in ar.items())
    document = f"<IPAM_DRIVER_ACTION_DATA><AR>{inner}</AR><ADDRESS><SIZE/></ADDRESS></IPAM_DRIVER_ACTION_DATA>"
    path = networks.lab.frontend.location / f"var/remotes/ipam/{networks.driver}/{action}"
    return subprocess.run(
        [str(path), str(number)],
        env={**networks.lab.frontend.environment, "LANG": "C"},
        input=base64.b64encode(document.encode()).decode() + "\n",
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def answered(done: subprocess.CompletedProcess[str]) -> dict[str, str]:
    assert (done.returncode, done.stderr) == (0, "")
    return parse(done.stdout).vector("AR")


def asked(networks: Networks) -> int:
    return sum(networks.lab.simulator.calls.values())


# --- duplicates -------------------------------------------------------------------------------------------------------


@once
def test_the_same_request_twice_gets_the_same_range(networks: Networks) -> None:
    networks.lab.simulator.knobs.list_lag = 0.5
    first = answered(run(networks, "register_address_range", 7, networks.range(2)))
    assert answered(run(networks, "register_address_range", 7, networks.range(2))) == first
    other = answered(run(networks, "register_address_range", 8, networks.range(2)))
    assert not set(other["DEPLOY_ID"].split(",")) & set(first["DEPLOY_ID"].split(","))
    assert other["IP"] != first["IP"]
    nothing_is_left(networks)  # no network came of them


@once
def test_the_same_request_at_once_reserves_once(networks: Networks) -> None:
    networks.lab.simulator.knobs.latency = 0.05
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: run(networks, "register_address_range", 7, networks.range(2)), range(4)))
    assert len({answered(one)["DEPLOY_ID"] for one in answers}) == 1
    assert len(networks.blocks()) == (2 if networks.driver == "ec2" else 1)


@once
def test_a_number_that_comes_again_after_a_restart_of_oned_is_another_request(networks: Networks) -> None:
    request = networks.range(1)
    vnet = networks.ready("one", request)
    number = int(networks.lab.frontend.events[-1].argv[0])
    again = answered(run(networks, "register_address_range", number, request))
    assert again["DEPLOY_ID"] != networks.ar(vnet)["DEPLOY_ID"]
    nothing_is_left(networks)
    assert networks.ar(vnet)["DEPLOY_ID"] in networks.blocks()


@once
def test_leaving_twice_is_harmless(networks: Networks) -> None:
    ar = answered(run(networks, "register_address_range", 7, networks.range(2)))
    for number in (8, 8, 9):
        done = run(networks, "unregister_address_range", number, ar)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert networks.blocks() == {}


def test_a_block_that_another_range_names_stays(networks: Networks) -> None:
    vnet = networks.ready("one", networks.range(1))
    ar = {key: value for key, value in networks.ar(vnet).items() if key != "ALLOCATED"}
    assert run(networks, "unregister_address_range", 9, {**ar, "AR_ID": "77"}).returncode == 0
    assert sorted(networks.blocks()) == named(networks)


@once
def test_asking_for_a_free_address_again_gets_the_same_one(networks: Networks) -> None:
    vnet = networks.ready("one", networks.range(2))
    ar = {key: value for key, value in networks.ar(vnet).items() if key != "ALLOCATED"}
    first, second = (run(networks, "get_address", 9, ar) for _ in range(2))
    assert (first.returncode, first.stdout) == (0, second.stdout)
    assert parse(first.stdout).vector("ADDRESS")["IP"] == ar["IP"]


# --- lost replies -----------------------------------------------------------------------------------------------------


def test_lost_replies_of_every_kind(networks: Networks) -> None:
    knobs = networks.lab.simulator.knobs
    for number, lag in enumerate((0.0, 0.3)):
        knobs.change({"list_lag": lag, "lost_address_reply": 1})
        vnet = networks.make(f"lost{number}", networks.range(2))
        assert networks.get(vnet).state in (READY, ERROR)
        knobs.change({"lost_address_reply": 1})
        try:
            networks.objects.delete("vnet", vnet)
        except Exception:  # noqa: BLE001 - refused or not, the network can be deleted in the end
            knobs.change({"lost_address_reply": 0})
            networks.delete(vnet)
        knobs.change({"lost_address_reply": 0})
    nothing_is_left(networks)


# --- the agent is killed ----------------------------------------------------------------------------------------------


def kill_while(networks: Networks, at: int) -> None:
    """Kill the agent when the provider has been asked ``at`` more times."""
    goal = asked(networks) + at
    networks.lab.wait(lambda: asked(networks) >= goal or None)
    networks.lab.kill_agent()


def making(networks: Networks, at: int) -> None:
    """A network is made while the agent dies: it is ready or in ERROR then, and what it does not name is released."""
    networks.lab.simulator.knobs.latency = 0.15
    kept = networks.ready("kept", networks.range(1))
    vnet = networks.make("cut", networks.range(2), wait=False)
    kill_while(networks, at)
    networks.lab.wait(lambda: networks.get(vnet).state in (READY, ERROR))
    networks.lab.simulator.knobs.latency = 0
    if networks.get(vnet).state == READY:
        vm = networks.vm(vnet)
        assert networks.nic(vm)["IP"] == networks.ar(vnet)["IP"]
    networks.ready("more", networks.range(1))
    nothing_is_left(networks)
    assert networks.ar(kept)["DEPLOY_ID"] in networks.blocks()


def leaving(networks: Networks, at: int) -> None:
    """A network is deleted while the agent dies: deleted it can be, then or again, and its blocks are gone."""
    networks.lab.simulator.knobs.latency = 0.15
    vnet = networks.ready("cut", networks.range(2))
    with ThreadPoolExecutor(1) as pool:
        deleting = pool.submit(networks.objects.delete, "vnet", vnet)
        kill_while(networks, at)
        failed = deleting.exception(timeout=90)
    networks.lab.simulator.knobs.latency = 0
    if failed is not None:
        networks.objects.delete("vnet", vnet)
    networks.lab.wait(lambda: all(one.id != vnet for one in networks.objects.pool("vnet")))
    nothing_is_left(networks)


@pytest.mark.parametrize(("networks", "at"), KILLS, indirect=["networks"])
def test_the_agent_dies_while_a_range_is_made(networks: Networks, at: int) -> None:
    making(networks, at)


@pytest.mark.parametrize(("networks", "at"), [(name, 2) for name in PROVIDERS], indirect=["networks"])
def test_the_agent_dies_while_a_range_goes(networks: Networks, at: int) -> None:
    leaving(networks, at)


@pytest.mark.long
@pytest.mark.parametrize(("networks", "at"), ALL_KILLS, indirect=["networks"])
def test_the_agent_dies_between_any_two_calls(networks: Networks, at: int) -> None:
    making(networks, at)


# --- a provider that hangs --------------------------------------------------------------------------------------------


@pytest.mark.long
def test_an_answer_comes_in_time_whatever_the_provider_does(networks: Networks) -> None:
    networks.ready("kept", networks.range(1))
    networks.lab.simulator.knobs.latency = 300
    done = run(networks, "register_address_range", 7, networks.range(1))
    networks.lab.simulator.knobs.latency = 0
    assert done.returncode == 1
    assert "the provider gave no answer within 45 s" in done.stderr
    assert done.stderr.count("\n") == 1
    nothing_is_left(networks)


# --- ranges that another release made ---------------------------------------------------------------------------------


def test_the_recorded_messages_through_the_real_driver() -> None:
    """A range of 5.12, with a token inline and no project: leases are known from oned, the provider is not asked."""
    recorded = Path(__file__).parents[1] / "data/oned-7.4/actions"
    with quick_lab("packet") as lab:
        networks = Networks(lab)
        plain = {"TYPE": "IP4", "IP": "198.51.100.8", "SIZE": "2"}
        vnet = networks.ready("pub2", plain)
        kept = lab.frontend.store.vnets[vnet].ranges[0]
        kept.told |= {"IPAM_MAD": "packet", "DEPLOY_ID": "7f3c-block", "PACKET_TOKEN": "tok"}
        said = {}
        for action in ("get_address", "allocate_address", "free_address"):
            stdin = base64.b64encode((recorded / f"ipam.{action}.xml").read_bytes()).decode() + "\n"
            path = lab.frontend.location / f"var/remotes/ipam/packet/{action}"
            environment = {**lab.frontend.environment, "LANG": "C"}
            done = subprocess.run(
                [str(path), "5"], env=environment, input=stdin, capture_output=True, text=True, timeout=90, check=False
            )
            assert (done.returncode, done.stderr) == (0, "")
            said[action] = done.stdout
        assert parse(said["get_address"]).vector("ADDRESS") == {
            "IP": "198.51.100.8",
            "MAC": "02:00:c6:33:64:08",
            "SIZE": "1",
        }
        assert (said["allocate_address"], said["free_address"]) == ("", "")
        assert "tok" not in "".join(said.values())
