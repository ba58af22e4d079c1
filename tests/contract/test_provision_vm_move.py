"""``oneprovision vm-move`` between local and rented clusters: the real executable on a front-end with such hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest import mock

import pytest
from tests.support.provisions import Heard, HurriedClock, entry, hosts_are_ready, order, quits, site_of

from hybrid_drivers.errors import ActionRefused, HybridError
from hybrid_drivers.model import Template, Value
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.provision.moving.carry import Mover
from hybrid_drivers.provision.moving.mark import ATTRIBUTE
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
    host_id = next(one.id for one in site.oned.hosts() if one.name == "local1")
    site_vms(site).deploy(number, host_id, enforce=False)
    front_end.wait_for(lambda: site_vms(site).get(number).runs)
    return number


def place(site: Site, number: int) -> tuple[str, bool]:
    """Return the host a machine is on, and whether it runs."""
    vm = site_vms(site).get(number)
    assert vm.place is not None
    return vm.place.host_name, vm.runs


def marked(vm: VmDetail) -> bool:
    return bool(vm.user_template.vector(ATTRIBUTE))


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
    site.objects.allocate("vm", Template([("NAME", "waits"), ("CPU", "1"), ("MEMORY", "64")]))
    done = move(front_end, "waits", "--to", "edge")
    assert done.returncode == 255
    assert "waits" in done.stderr


def test_dry_run_does_nothing(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "dry")
    done = move(front_end, "dry", "--to", "edge", "--dry-run")
    assert done.returncode == 0, done.stderr
    assert "edge" in done.stdout
    assert place(site, number) == ("local1", True)


def test_one_that_was_killed_in_the_middle_is_finished_by_the_same_command(front_end: Frontend, site: Site) -> None:
    number = running(front_end, site, "killed")
    front_end.set_knobs({"vm_seconds": 0.6})
    words = [PROGRAM, "vm-move", "killed", "--to", "edge-0"]
    with subprocess.Popen(words, env={**os.environ, **front_end.environment}, stderr=subprocess.DEVNULL) as tool:
        front_end.wait_for(lambda: not site_vms(site).get(number).runs)
        tool.kill()
    assert marked(site_vms(site).get(number))
    done = move(front_end, "killed", "--to", "edge-0")
    assert done.returncode == 0, done.stderr
    assert place(site, number) == ("edge-0", True)
    assert not marked(site_vms(site).get(number))
