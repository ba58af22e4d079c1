"""``oneprovision vm-move`` between local and rented clusters: the real executable on a front-end with such hosts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from tests.support.provisions import Heard, HurriedClock, entry, hosts_are_ready, killed_at, order, quits, site_of

from hybrid_drivers.errors import ActionRefused, HybridError
from hybrid_drivers.model import Template, Value
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.provision.moving import mark
from hybrid_drivers.provision.moving.carry import Mover
from hybrid_drivers.provision.moving.naming import find_target
from hybrid_drivers.provision.moving.plan import Wishes
from hybrid_drivers.provision.moving.world import World
from hybrid_drivers.provision.runs import begin, go_on
from hybrid_drivers.provision.site import Site
from hybrid_drivers.sandbox.frontend import Frontend

PROGRAM = str(Path(sys.executable).with_name("oneprovision"))  # this front-end has no executables of ours
EDGE = """
name: edge
playbook: dummy
defaults: {provision: {provider: packet-ams}}
cluster: {name: edge, datastores: [1]}
datastores: [{name: edge-system, type: SYSTEM_DS, tm_mad: local}]
hosts: [{im_mad: kvm, vm_mad: kvm, provision: {hostname: "edge-${index}", count: 2}}]
"""
FAR = """
name: far
playbook: dummy
defaults: {provision: {provider: packet-ams}}
cluster: {name: far}
datastores: [{name: far-system, type: SYSTEM_DS, tm_mad: ssh}]
hosts: [{im_mad: kvm, vm_mad: kvm, provision: {hostname: "far-${index}"}}]
"""


@pytest.fixture(scope="module")
def front_end(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Frontend]:
    """Yield a front-end with a local host and two provisions."""
    with Frontend(tmp_path_factory.mktemp("one"), repository=None) as started:
        hosts_are_ready(started)
        entry(started)
        with site_of(started, HurriedClock()) as site:
            site.oned.allocate_host("local1", "provision", "kvm", 0)
            for text in (EDGE, FAR):
                go_on(site, begin(site, order(text)).id, quits(), Heard())
            started.wait_for(lambda: all(host.total_cpu > 0 for host in site.oned.hosts()))
        yield started


@pytest.fixture
def site(front_end: Frontend) -> Iterator[Site]:
    with site_of(front_end, HurriedClock()) as made:
        yield made
        front_end.set_knobs({"vm_fails": "", "vm_seconds": 0.05})
        for vm in site_vms(made).pool():
            site_vms(made).action(vm.id, "terminate-hard")
        front_end.wait_for(lambda: not site_vms(made).pool())


def site_vms(site: Site) -> Vms:
    return Vms(site.oned)


def move(front_end: Frontend, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, "vm-move", *words],
        env={**front_end.environment, "LANG": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def running(front_end: Frontend, site: Site, name: str, *more: tuple[str, Value], cpu: str = "1") -> int:
    """Start a virtual machine on the local host and return its id."""
    template = Template([("NAME", name), ("CPU", cpu), ("MEMORY", "64"), *more])
    number = site.objects.allocate("vm", template)
    site_vms(site).deploy(number, host_id(site, "local1"), enforce=False)
    front_end.wait_for(lambda: site_vms(site).get(number).runs)
    return number


def place(site: Site, number: int) -> tuple[str, bool]:
    """Return the host a machine is on, and whether it runs."""
    vm = site_vms(site).get(number)
    assert vm.place is not None
    return vm.place.host_name, vm.runs


def host_id(site: Site, name: str) -> int:
    return next(one.id for one in site.oned.hosts() if one.name == name)


def marked(vm: VmDetail) -> bool:
    return bool(vm.user_template.vector(mark.ATTRIBUTE))


def test_a_running_machine_goes_to_a_rented_cluster_and_back(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "web")
    there = move(front_end, "web", "--to", "cluster:edge")
    assert there.returncode == 0, there.stderr
    host, runs = place(site, number)
    assert (host in ("edge-0", "edge-1"), runs) == (True, True)
    assert not marked(site_vms(site).get(number))
    back = move(front_end, str(number), "--to", "local1", "--json")
    assert back.returncode == 0, back.stderr
    assert place(site, number) == ("local1", True)
    assert json.loads(back.stdout)[0]["running"] is True


def test_one_that_is_off_stays_off_and_no_resume_leaves_one_off(front_end: Frontend, site: Site) -> None:
    off, on = running(front_end, site, "off"), running(front_end, site, "on")
    site_vms(site).action(off, "poweroff")
    front_end.wait_for(lambda: site_vms(site).get(off).powered_off)
    done = move(front_end, "off", "on", "--to", "edge-1", "--no-resume")
    assert done.returncode == 0, done.stderr
    assert [place(site, number) for number in (off, on)] == [("edge-1", False)] * 2


def test_what_cannot_be_moved_is_told_and_nothing_is_stopped(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "stays")
    for words, parts in (
        (("--to", "far"), ("ssh", "local", "TM_MAD=local")),
        (("--to", "edge", "--datastore", "0"), ("is not in cluster edge", "onecluster adddatastore")),
        (("--to", "nowhere"), ("there is no host or cluster 'nowhere'",)),
        (("--to", "cluster:edge", "--live"), ("live",)),
    ):
        done = move(front_end, "stays", *words)
        assert (done.returncode, done.stdout) == (255, ""), words
        for part in parts:
            assert part in done.stderr, (words, done.stderr)
        assert place(site, number) == ("local1", True)
        assert not marked(site_vms(site).get(number))
    assert move(front_end, "nobody", "--to", "edge").returncode == 255


def test_datastores_and_networks_that_the_cluster_lacks_are_named(front_end: Frontend, site: Site) -> None:
    edge = next(one.id for one in site.oned.clusters() if one.name == "edge")
    store = site.objects.allocate("datastore", Template([("NAME", "home"), ("DS_MAD", "fs"), ("TM_MAD", "local")]))
    image = site.objects.allocate("image", Template([("NAME", "disk"), ("PATH", "/var/tmp/x")]), datastore_id=store)
    lan: list[tuple[str, Value]] = [("NAME", "lan"), ("VN_MAD", "dummy"), ("BRIDGE", "br0")]
    net = site.objects.allocate("vnet", Template([*lan, ("AR", {"TYPE": "IP4", "IP": "10.0.0.2", "SIZE": "4"})]))
    front_end.wait_for(lambda: (site.objects.get("image", image).state, site.objects.get("vnet", net).state) == (1, 1))
    number = running(front_end, site, "bound", ("DISK", {"IMAGE_ID": str(image)}), ("NIC", {"NETWORK_ID": str(net)}))
    done = move(front_end, "bound", "--to", "edge")
    assert (done.returncode, done.stdout) == (255, "")
    assert f"'onecluster adddatastore {edge} {store}'" in done.stderr
    assert f"'onecluster addvnet {edge} {net}'" in done.stderr
    assert (place(site, number), site_vms(site).get(number).history[-1].sequence) == (("local1", True), 0)
    site.objects.add_to_cluster(edge, "datastore", store)
    site.objects.add_to_cluster(edge, "vnet", net)
    done = move(front_end, "bound", "--to", "edge-1")
    assert done.returncode == 0, done.stderr
    assert place(site, number) == ("edge-1", True)


def test_one_of_several_that_cannot_be_moved_stops_none_of_the_others(front_end: Frontend, site: Site) -> None:
    good = running(front_end, site, "good")
    big = running(front_end, site, "big", cpu="9")
    done = move(front_end, "big", "good", "--to", "edge", "--json")
    assert done.returncode == 255
    assert [one["result"] for one in json.loads(done.stdout)] == ["refused", "moved"]
    assert "9 CPU" in done.stderr
    assert place(site, big) == ("local1", True)
    assert (place(site, good)[0] != "local1", place(site, good)[1]) == (True, True)


def test_a_guest_that_does_not_switch_off_runs_on(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "deaf")
    front_end.set_knobs({"vm_fails": "poweroff"})
    done = move(front_end, "deaf", "--to", "edge-0")
    assert done.returncode == 255
    for words in ("was not switched off", "RUNNING on host local1, not moved", "--hard does not ask its guest"):
        assert words in done.stderr
    assert (place(site, number), marked(site_vms(site).get(number))) == (("local1", True), False)
    assert move(front_end, "deaf", "--to", "edge-0", "--hard").returncode == 0
    assert place(site, number) == ("edge-0", True)


def test_disks_that_do_not_arrive_are_brought_by_the_same_command(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "lost")
    front_end.set_knobs({"vm_fails": "move"})
    done = move(front_end, "lost", "--to", "edge-0")
    assert done.returncode == 255
    assert "is off, its disks did not arrive at host edge-0" in done.stderr
    assert "Error copying disk directory" in done.stderr
    front_end.set_knobs({"vm_fails": ""})
    done = move(front_end, "lost", "--to", "edge-0")
    assert done.returncode == 0, done.stderr
    assert (place(site, number), marked(site_vms(site).get(number))) == (("edge-0", True), False)


def test_what_oned_refuses_after_all_runs_again_where_it_was(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "back")
    real, heard = site.oned.write, Heard()

    def refuses(method: str, what: str, *args: object) -> int:
        if method == "vm.migrate":
            raise ActionRefused("no longer")
        return real(method, what, *args)

    with mock.patch.object(site.oned, "write", refuses):
        mover = Mover(site.objects, site.clock, site.who, Wishes(), heard.say, timeout=10)
        with pytest.raises(HybridError, match=r"oned refused the move: no longer; it runs again on host local1"):
            mover.run(number, find_target(World.look(site.objects), "edge-1"))
    assert (place(site, number), marked(site_vms(site).get(number))) == (("local1", True), False)
    assert "switching it off" in heard.text()


def test_waits_are_limited(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "slow")
    front_end.set_knobs({"vm_seconds": 1.3})
    done = move(front_end, "slow", "--to", "edge-0", "--timeout", "1")
    assert done.returncode == 255
    assert "after 1 s (--timeout); the same command goes on" in done.stderr
    front_end.set_knobs({"vm_seconds": 0.05})
    done = move(front_end, "slow", "--to", "edge-0")
    assert done.returncode == 0, done.stderr
    assert place(site, number) == ("edge-0", True)


def test_a_machine_that_waits_is_not_moved(front_end: Frontend, site: Site) -> None:
    number = site.objects.allocate("vm", Template([("NAME", "waits"), ("CPU", "1"), ("MEMORY", "64")]))
    done = move(front_end, "waits", "--to", "edge")
    assert (done.returncode, done.stdout) == (255, "")
    assert done.stderr.startswith(f"Error: virtual machine {number} 'waits' cannot go to cluster edge (id ")
    assert done.stderr.endswith(f"): it waits for a host: 'onevm deploy {number} HOST' starts it on one\n")


def test_one_under_way_is_left_alone_unless_it_was_begun_by_the_same_command(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "busy")
    front_end.set_knobs({"vm_seconds": 3600})
    site_vms(site).action(number, "poweroff")
    done = move(front_end, "busy", "--to", "edge")
    assert (done.returncode, "SHUTDOWN_POWEROFF is going on: run the same command again" in done.stderr) == (255, True)
    site_vms(site).delete(number)


def test_live_within_a_cluster(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "alive")
    assert move(front_end, "alive", "--to", "edge-0").returncode == 0
    before = len(site_vms(site).get(number).history)
    done = move(front_end, "alive", "--to", "edge-1", "--live")
    assert done.returncode == 0, done.stderr
    vm = site_vms(site).get(number)
    assert (place(site, number), len(vm.history)) == (("edge-1", True), before + 1), "it never stopped"
    assert not marked(vm)
    front_end.set_knobs({"vm_fails": "live"})
    done = move(front_end, "alive", "--to", "edge-0", "--live")
    assert done.returncode == 255
    assert "Error live migrating VM; it is RUNNING on host edge-1" in done.stderr
    assert place(site, number) == ("edge-1", True)
    assert move(front_end, "alive", "--to", "edge-0", "--live", "--hard").returncode == 255


def test_a_machine_that_does_not_start_there_is_started_by_the_same_command(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "cold")
    front_end.set_knobs({"vm_fails": "boot"})
    done = move(front_end, "cold", "--to", "edge-0")
    assert done.returncode == 255
    assert "is on host edge-0 but does not run" in done.stderr
    assert f"'onevm resume {number}' or the same command tries it again" in done.stderr
    front_end.set_knobs({"vm_fails": ""})
    done = move(front_end, "cold", "--to", "edge-0")
    assert (done.returncode, done.stdout) == (
        0,
        f"virtual machine {number} 'cold' was on host edge-0 (id {host_id(site, 'edge-0')}) already and runs\n",
    )
    assert not marked(site_vms(site).get(number))


def test_one_that_was_switched_off_by_hand_meanwhile_stays_off(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "mine")
    front_end.set_knobs({"vm_fails": "boot"})
    assert move(front_end, "mine", "--to", "edge-0").returncode == 255
    front_end.set_knobs({"vm_fails": ""})
    for action in ("resume", "poweroff"):
        site_vms(site).action(number, action)
        front_end.wait_for(lambda: site_vms(site).get(number).settled)
    assert move(front_end, "mine", "--to", "edge-1").returncode == 0
    assert place(site, number) == ("edge-1", False)


def test_several_at_once_go_where_there_is_room(front_end: Frontend, site: Site) -> None:
    cores = site.oned.host(host_id(site, "edge-0")).max_cpu // 100
    numbers = [running(front_end, site, f"many{at}", cpu=str(cores / 2)) for at in range(5)]
    done = move(front_end, *(f"many{at}" for at in range(5)), "--to", "edge", "--parallel", "5", "--json")
    results = [one["result"] for one in json.loads(done.stdout)]
    assert (done.returncode, results) == (255, ["moved"] * 4 + ["refused"]), done.stderr
    assert "1 of 5 virtual machines were not moved:\n" in done.stderr
    assert "no host there takes it: host edge-0 (id " in done.stderr
    assert sorted(place(site, number)[0] for number in numbers) == ["edge-0", "edge-0", "edge-1", "edge-1", "local1"]
    assert all(place(site, number)[1] for number in numbers)


def test_ids_that_are_of_a_host_and_a_cluster_are_told(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "where")
    done = move(front_end, str(number), "--to", "0")
    assert done.returncode == 255
    assert "'0' may be host local1 (id 0) or cluster default (id 0): say which, as host:0 or cluster:0" in done.stderr


def test_dry_run_does_nothing(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "dry")
    done = move(front_end, "dry", "--to", "edge", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "edge" in done.stdout
    assert place(site, number) == ("local1", True)


@pytest.mark.parametrize("state", ["SHUTDOWN_POWEROFF", "PROLOG_MIGRATE_POWEROFF", "BOOT_POWEROFF"])
def test_one_that_was_killed_in_the_middle_is_finished_by_the_same_command(
    front_end: Frontend, site: Site, state: str
) -> None:
    number = running(front_end, site, "killed")
    front_end.set_knobs({"vm_seconds": 0.8})
    words = [PROGRAM, "vm-move", "killed", "--to", "edge-0"]
    with subprocess.Popen(words, env={**os.environ, **front_end.environment}, stderr=subprocess.DEVNULL) as tool:
        front_end.wait_for(lambda: site_vms(site).get(number).word == state)
        tool.kill()
    assert marked(site_vms(site).get(number))
    done = move(front_end, "killed", "--to", "edge-0")
    assert done.returncode == 0, done.stderr
    assert place(site, number) == ("edge-0", True)
    assert not marked(site_vms(site).get(number))


def test_what_an_earlier_run_began_is_waited_for(front_end: Frontend, site: Site) -> None:
    number, heard = running(front_end, site, "waited"), Heard()
    front_end.set_knobs({"vm_seconds": 1.5})
    mark.write(site_vms(site), site_vms(site).get(number), host_id(site, "edge-0"), start=True, who="somebody")
    site_vms(site).action(number, "poweroff")
    front_end.set_knobs({"vm_seconds": 0.05})
    mover = Mover(site.objects, site.clock, site.who, Wishes(), heard.say, timeout=10)
    assert mover.run(number, find_target(World.look(site.objects), "edge-0")).vm.runs
    assert place(site, number) == ("edge-0", True)
    assert f"virtual machine {number} 'waited': SHUTDOWN_POWEROFF of an earlier run is going on" in heard.text()


def test_an_interruption_says_how_to_go_on(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "stopped")
    front_end.set_knobs({"vm_seconds": 0.8})
    words = [PROGRAM, "vm-move", "stopped", "--to", "edge-0"]
    with subprocess.Popen(
        words, env={**os.environ, **front_end.environment}, stderr=subprocess.PIPE, text=True
    ) as tool:
        front_end.wait_for(lambda: not site_vms(site).get(number).runs)
        tool.send_signal(signal.SIGINT)
        _, said = tool.communicate(timeout=30)
    assert (tool.returncode, said.splitlines()[-1]) == (
        255,
        "Error: interrupted; what had begun goes on in oned, and the same command goes on from there",
    )
    assert move(front_end, "stopped", "--to", "edge-0").returncode == 0


@pytest.mark.parametrize("before", [True, False], ids=["before", "after"])
def test_one_that_was_killed_at_any_change_is_finished_by_the_same_command(
    site: Site, front_end: Frontend, before: bool
) -> None:
    number, heard = running(front_end, site, "anywhere"), Heard()
    mover = Mover(site.objects, site.clock, site.who, Wishes(), heard.say, timeout=10)
    for at in range(10):
        there = ("edge-0", "edge-1")[at % 2]
        target = find_target(World.look(site.objects), there)
        ended = False
        with killed_at(site, at, before=before):
            mover.run(number, target)
            ended = True
        front_end.wait_for(lambda: site_vms(site).get(number).settled)
        mover.run(number, target)
        assert place(site, number) == (there, True), at
        assert not marked(site_vms(site).get(number)), at
        if ended:
            assert at == 5, "mark, switch off, move, start, take the mark away"
            return
    pytest.fail("there are more changes than this test looks at")
