"""``oneprovision vm-move`` between local and rented clusters: the real executable on a front-end with such hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.provisions import Heard, HurriedClock, entry, hosts_are_ready, order, quits, site_of

from hybrid_drivers.model import Template, Value
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.provision.moving.mark import ATTRIBUTE
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


def running(front_end: Frontend, site: Site, name: str, host: str = "local1", *more: tuple[str, Value]) -> int:
    """Start a virtual machine on a host and return its id."""
    template = Template([("NAME", name), ("CPU", "1"), ("MEMORY", "64"), *more])
    number = site.objects.allocate("vm", template)
    host_id = next(one.id for one in site.oned.hosts() if one.name == host)
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
