"""The stand-in runs network drivers of virtual machines in one_vmm_exec's order, with its arguments and document."""

from __future__ import annotations

import base64
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from hybrid_drivers.config import Location
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.sandbox.frontend import Frontend, Knobs
from hybrid_drivers.sandbox.frontend.oned_conf import OnedConf
from hybrid_drivers.sandbox.frontend.vmm_exec import NOT_RUN, local_actions

RECORDED = Path(__file__).parents[2] / "data/oned-7.4/actions"
SCRIPT = """#!/bin/sh
cat >"{folder}/said-{action}"
[ ! -e "{folder}/refuse-{action}" ] || {{ echo "INFO: a line for the log" >&2; echo "no {action} today" >&2; exit 1; }}
"""


class Cloud:
    """Two hosts, a network of VN_MAD hybrid, and a machine on the first host."""

    def __init__(self, frontend: Frontend) -> None:
        self.frontend, self.folder = frontend, frontend.location
        self.oned = Oned.from_location(Location.from_environment(frontend.environment))
        self.vms = Vms(self.oned)
        for name in ("h0", "h1"):
            self.oned.allocate_host(name, "provision", "kvm", 0)
        network = Template([("NAME", "n"), ("VN_MAD", "hybrid"), ("BRIDGE", "br0")])
        ar = ("AR", {"TYPE": "IP4", "IP": "10.0.0.1", "SIZE": "5"})
        self.oned.write("vn.allocate", "n", Template([*network, ar]).render(), -1)
        frontend.wait_for(lambda: frontend.store.vnets[0].ranges)
        self.vm = self.make()
        self.vms.deploy(self.vm, 0)
        self.settled()

    def make(self) -> int:
        nics = [("NIC", {"NETWORK_ID": "0"}), ("NIC_ALIAS", {"NETWORK_ID": "0", "PARENT": "NIC0"})]
        return self.oned.write("vm.allocate", "vm", Template([("CPU", "1"), ("MEMORY", "64"), *nics]).render(), False)

    def settled(self, *words: str) -> None:
        self.frontend.wait_for(lambda: self.word() in (words or ("RUNNING", "POWEROFF", "DONE", "PENDING")))

    def word(self) -> str:
        return self.frontend.store.machines[self.vm].word

    def ran(self) -> list[str]:
        """Return what was run since the last look: action and arguments."""
        runs, self.frontend.events[:] = list(self.frontend.events), []
        return [" ".join([one.action.lower(), *one.argv]) for one in runs if one.executable.startswith("vnm/")]

    def refuse(self, action: str) -> None:
        (self.folder / f"refuse-{action}").touch()


@pytest.fixture
def cloud(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cloud]:
    folder = tmp_path / "one"
    drivers = folder / "var/remotes/vnm/hybrid"
    drivers.mkdir(parents=True)
    for action in ("post", "clean"):
        path = drivers / action
        path.write_text(SCRIPT.format(folder=folder, action=action))
        path.chmod(0o755)
    (folder / "etc/vmm_exec").mkdir(parents=True)
    (folder / "etc/vmm_exec/vmm_execrc").write_text('VNMAD_LOCAL_ACTIONS="elastic-post hybrid-post hybrid-clean"\n')
    stock = OnedConf.driver
    network = {"NAME": "hybrid", "BRIDGE_TYPE": "linux"}
    monkeypatch.setattr(OnedConf, "driver", lambda self, *of: network if of[1] == "hybrid" else stock(self, *of))
    with Frontend(folder, repository=None, knobs=Knobs(vm_seconds=0)) as frontend:
        yield Cloud(frontend)


def test_a_start_and_an_end(cloud: Cloud) -> None:
    runs = [one for one in cloud.frontend.events if one.executable.startswith("vnm/")]
    assert [(one.executable, one.output) for one in runs] == [("vnm/hybrid/pre", NOT_RUN), ("vnm/hybrid/post", "")]
    assert cloud.ran() == ["pre", "post one-0 h0"]
    cloud.vms.action(cloud.vm, "poweroff")
    cloud.settled("POWEROFF")
    assert cloud.ran() == ["clean h0"]
    cloud.vms.migrate(cloud.vm, 1)
    cloud.settled("POWEROFF")
    assert cloud.ran() == []
    cloud.vms.action(cloud.vm, "resume")
    cloud.settled("RUNNING")
    assert cloud.ran() == ["pre", "post one-0 h1"]
    cloud.vms.action(cloud.vm, "terminate")
    cloud.settled("DONE")
    assert cloud.ran() == ["clean h1"]


def test_moves(cloud: Cloud) -> None:
    cloud.ran()
    cloud.vms.migrate(cloud.vm, 1, live=True)
    cloud.settled("RUNNING")
    assert cloud.ran() == ["pre", "clean h0", "post one-0 h0"]
    assert _told(cloud, "clean").findtext("HISTORY_RECORDS/HISTORY/HOSTNAME") == "h1"
    cloud.vms.migrate(cloud.vm, 0)
    cloud.settled("RUNNING")
    assert cloud.ran() == ["clean h1", "pre", "post one-0 h0"]


def test_the_document_is_made_as_oned_makes_it(cloud: Cloud) -> None:
    """The same elements in the same places as in the recorded one, but for security groups."""
    recorded = ET.parse(RECORDED / "vnm.post.xml").getroot()
    shape = [_shape(one) for one in recorded if one.find("SECURITY_GROUP_RULE") is None]
    assert [_shape(one) for one in _told(cloud, "post")] == shape


def test_a_post_that_fails_is_followed_by_a_clean(cloud: Cloud) -> None:
    cloud.ran()
    cloud.refuse("post")
    cloud.vm = cloud.make()
    cloud.vms.deploy(cloud.vm, 0)
    cloud.settled("BOOT_FAILURE")
    assert cloud.ran() == ["pre", "post one-1 h0", "clean h0"]
    error = cloud.frontend.store.machines[cloud.vm].user.text("ERROR")
    assert error.endswith("Error deploying virtual machine: hybrid: no post today")


def test_failures_after_a_live_migration_change_nothing(cloud: Cloud) -> None:
    cloud.ran()
    cloud.refuse("post")
    cloud.refuse("clean")
    cloud.vms.migrate(cloud.vm, 1, live=True)
    cloud.settled("RUNNING")
    assert cloud.ran() == ["pre", "clean h0", "post one-0 h0"]
    assert cloud.frontend.store.machines[cloud.vm].history[-1].host_id == 1


def test_a_clean_that_fails_fails_the_action(cloud: Cloud) -> None:
    cloud.refuse("clean")
    cloud.vms.action(cloud.vm, "poweroff")
    cloud.settled("RUNNING")
    assert "hybrid: no clean today" in cloud.frontend.store.machines[cloud.vm].user.text("ERROR")


def test_recover(cloud: Cloud) -> None:
    cloud.ran()
    cloud.oned.write("vm.recover", "vm", cloud.vm, 4)
    cloud.settled("PENDING")
    assert cloud.ran() == ["clean h0"]
    assert cloud.frontend.store.vnets[0].used == 2
    cloud.vms.deploy(cloud.vm, 1)
    cloud.settled("RUNNING")
    cloud.ran()
    cloud.oned.write("vm.recover", "vm", cloud.vm, 3)
    assert (cloud.word(), cloud.frontend.store.vnets[0].used) == ("DONE", 0)
    cloud.frontend.wait_for(lambda: [one for one in cloud.frontend.events if one.action == "CLEAN"])


def test_cards_are_attached_and_detached(cloud: Cloud) -> None:
    cloud.ran()
    cloud.oned.write("vm.attachnic", "vm", cloud.vm, 'NIC=[NETWORK_ID="0"]')
    cloud.settled("RUNNING")
    assert cloud.ran() == ["pre", "post one-0 h0"]
    attached = [one.findtext("NIC_ID") for one in _told(cloud, "post").iter("NIC") if one.findtext("ATTACH") == "YES"]
    assert attached == ["2"]
    cloud.refuse("post")
    cloud.oned.write("vm.attachnic", "vm", cloud.vm, 'NIC=[NETWORK_ID="0"]')
    cloud.settled("RUNNING")
    assert (cloud.ran(), cloud.frontend.store.vnets[0].used) == (["pre", "post one-0 h0"], 3)
    cloud.oned.write("vm.detachnic", "vm", cloud.vm, 2)
    cloud.settled("RUNNING")
    assert (cloud.ran(), cloud.frontend.store.vnets[0].used) == (["clean h0"], 2)


def test_local_actions_are_read_from_vmm_execrc(tmp_path: Path) -> None:
    assert local_actions(tmp_path / "none") == frozenset()
    path = tmp_path / "vmm_execrc"
    path.write_text("# VNMAD_LOCAL_ACTIONS=no\nVNMAD_LOCAL_ACTIONS='a-post b-clean'\n")
    assert local_actions(path) == {"a-post", "b-clean"}


def _told(cloud: Cloud, action: str) -> ET.Element:
    return ET.fromstring(base64.b64decode((cloud.folder / f"said-{action}").read_bytes(), validate=True))


def _shape(one: ET.Element) -> list[str]:
    """Return the names down to those of the attributes that a driver reads."""
    own = {"AR_ID", "BRIDGE", "IP", "MAC", "NETWORK_ID", "NIC_ID", "PARENT_ID", "VN_MAD"}
    below = [child.tag for child in one]
    inner = [deeper.tag for child in one for deeper in child if deeper.tag in own or child.tag == "HISTORY"]
    return [one.tag, *below, *inner]
