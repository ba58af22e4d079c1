"""Every recorded XML-RPC call of a real oned 7.4.0, in the situation it was recorded in, against the stand-in."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.standin import call

from hybrid_drivers.sandbox.frontend import Frontend, Knobs, tree
from hybrid_drivers.sandbox.frontend.attributes import Attributes
from hybrid_drivers.sandbox.frontend.monitor import Message

RECORDED = Path(__file__).parents[2] / "data/oned-7.4/xmlrpc"
NAMES = sorted(path.stem for path in RECORDED.glob("*.json"))


def recorded(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((RECORDED / f"{name}.json").read_text())
    return content


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[Frontend]:
    tree.build(tmp_path / "one", None)
    with (tmp_path / "one/etc/oned.conf").open("a") as conf:
        conf.write('VN_MAD_CONF = [ NAME = "packet", BRIDGE_TYPE = "linux" ]\n')
    with Frontend(tmp_path / "one", repository=None, knobs=Knobs(vnet_seconds=0, vm_seconds=0)) as running:
        yield running


def replay(frontend: Frontend, *names: str) -> None:
    for name in names:
        content = recorded(name)
        assert call(frontend, content["method"], *content["args"])[0] is True


# --- the situations -------------------------------------------------------------------------------------------------


def former_hosts(frontend: Frontend) -> None:
    """Hosts 0 and 2 of the default cluster, 4 of cluster 100, and 5, which has been told of its state."""
    call(frontend, "one.cluster.allocate", "edge")
    for name in ("dummy1", "gone1", "h1", "gone3", "d2", "10.9.9.9", "gone6"):
        call(frontend, "one.host.allocate", name, "provision", "kvm", 100 if name == "d2" else 0)
    for host_id in (1, 3, 6):
        call(frontend, "one.host.delete", host_id)
    told = 'PROVISION_STATE="DEPLOYING"\nPROVISION_STEP="install qemu 4/12"\nTOTALCPU=0\nTOTALMEMORY=0\n'
    frontend._running().monitor.message(Message(kind="SYSTEM_HOST", ok=True, host_id=5, timestamp=0, payload=told))
    frontend.store.clusters[0].vnets |= {1, 2}


def host_7(frontend: Frontend) -> None:
    former_hosts(frontend)
    replay(frontend, "host.allocate")


def host_7_deleted(frontend: Frontend) -> None:
    host_7(frontend)
    replay(frontend, "host.delete")


def host_7_provisioned(frontend: Frontend) -> None:
    host_7(frontend)
    replay(frontend, "host.update.append")


def host_7_renamed(frontend: Frontend) -> None:
    host_7_provisioned(frontend)
    replay(frontend, "host.rename")


def cluster_100(frontend: Frontend) -> None:
    call(frontend, "one.cluster.allocate", "edge")


def cluster_101(frontend: Frontend) -> None:
    cluster_100(frontend)
    replay(frontend, "cluster.allocate")


def cluster_101_updated(frontend: Frontend) -> None:
    cluster_101(frontend)
    replay(frontend, "cluster.update")


def cluster_101_used(frontend: Frontend) -> None:
    cluster_101(frontend)
    frontend.store.clusters[101].datastores.add(100)


def three_documents(frontend: Frontend) -> None:
    for number in range(3):
        call(frontend, "one.document.allocate", f'NAME="other{number}"', 102)


def document_3(frontend: Frontend) -> None:
    three_documents(frontend)
    replay(frontend, "document.allocate")


def datastore_100(frontend: Frontend) -> None:
    cluster_101(frontend)
    replay(frontend, "datastore.allocate")


def networks(frontend: Frontend) -> None:
    """Networks 1, whose addresses machine 4 and some before it had, and 2, of an address driver, which is attached."""
    block = 'IPAM_MAD="packet",PACKET_TOKEN="tok",DEPLOY_ID="7f3c-block"'
    for name, more, address, size, ipam in (
        ("pub", "", "198.51.100.0", 2, ""),
        ("priv", "", "192.168.150.2", 10, ""),
        ("pub2", 'EXTERNAL="YES"', "198.51.100.8", 2, f",{block}"),
    ):
        ar = f'AR=[TYPE="IP4",IP="{address}",SIZE="{size}"{ipam}]'
        call(frontend, "one.vn.allocate", f'NAME="{name}"\nVN_MAD="packet"\nBRIDGE="br0"\n{more}\n{ar}', 0)
    call(frontend, "one.vn.delete", 0)
    vnets = frontend.store.vnets
    for machine in (0, 1, 2, 4):
        vnets[1].ranges[0].lease(machine)
    for machine in (0, 1, 2):
        vnets[1].free(machine)
    vnets[1].updated_vms.add(4)
    vnets[2].ranges[0].lease(4)


def vn_template(frontend: Frontend) -> None:
    replay(frontend, "vntemplate.allocate")
    frontend.store.vntemplates[0].registered = 1795426336


def vm_template(frontend: Frontend) -> None:
    replay(frontend, "template.allocate")
    frontend.store.templates[0].registered = 1795426336


def vms(frontend: Frontend) -> None:
    xml = recorded("vmpool.info.all")["response"][1]
    for one in re.findall(r"<VM>.*?</VM>", xml):
        frontend.store.vms.append((int(re.findall(r"<STATE>(\d+)<", one)[0]), one))


def waiting(frontend: Frontend) -> None:
    """Machine 2, which waits for a host that is large enough; some driver said something of it nevertheless."""
    told = 'NAME="other"\nCPU="0.1"\nMEMORY="64"'
    for text in (told, told, 'NAME="big"\nCPU="64"\nMEMORY="65536"'):
        call(frontend, "one.vm.allocate", text, False)
    big = frontend.store.machines[2]
    big.started, big.last_poll = 1795425794, 1795426309
    big.template.set("OS", {"MACHINE": "q35", "UUID": "68886db5-4df5-4ebf-9c6e-3cd0280f49b3"})
    big.user.set("SCHED_MESSAGE", "Mon Nov 23 09:31:57 2026: [HOST] Not enough CPU on hosts: 0,2,4,5")
    inner = re.findall("<MONITORING>(.*?)</MONITORING>", recorded("vm.info.pending")["response"][1])[0]
    big.monitoring = Attributes(re.findall(r"<(\w+)><!\[CDATA\[(.*?)\]\]>", inner))


def machines(frontend: Frontend) -> None:
    """Machines 1 to 4 as objects: done, waiting, powered off, and one whose end failed."""
    former_hosts(frontend)
    networks(frontend)
    waiting(frontend)
    call(frontend, "one.host.update", 0, 'VM_MAD="dummy"', 1)
    call(frontend, "one.vm.allocate", 'NAME="small"\nCPU="0.1"\nMEMORY="64"', False)
    call(frontend, "one.vm.deploy", 3, 0, False, -1, "")
    call(frontend, "one.vm.action", "poweroff-hard", 3)
    call(frontend, "one.vm.action", "terminate", 0)
    frontend.store.machines[3].started = 1795425846


SITUATIONS: dict[str, Callable[[Frontend], None]] = {
    "cluster.allocate": cluster_100,
    "cluster.delete": cluster_101,
    "cluster.delete.not_empty": cluster_101_used,
    "cluster.info": cluster_101_updated,
    "cluster.update": cluster_101,
    "clusterpool.info": former_hosts,
    "datastore.allocate": cluster_101,
    "datastore.allocate.bad_tm": cluster_101,
    "datastore.delete": datastore_100,
    "datastore.info": datastore_100,
    "document.allocate": three_documents,
    "document.delete": document_3,
    "document.info": document_3,
    "document.info.decrypted": document_3,
    "documentpool.info": document_3,
    "host.allocate": former_hosts,
    "host.allocate.duplicate": former_hosts,
    "host.delete": host_7,
    "host.delete.no_exists": host_7_deleted,
    "host.info.provision": former_hosts,
    "host.info.with_provision": host_7_provisioned,
    "host.rename": host_7,
    "host.status.disable": host_7,
    "host.status.enable": host_7,
    "host.status.offline": host_7,
    "host.update.append": host_7,
    "hostpool.info": host_7_renamed,
    "template.delete": vm_template,
    "template.info": vm_template,
    "vm.info.pending": waiting,
    "vmpool.info.all": vms,
    "vmpool.info.pending": vms,
    "vn.info": networks,
    "vnpool.info": networks,
    "vntemplate.delete": vn_template,
    "vntemplate.info": vn_template,
}


def without_chance(name: str, reply: list[Any]) -> list[Any]:
    """Take out what differs between two runs: the encrypted text, and the dummy hosts' inventory."""
    xml = reply[1]
    if name in ("document.info", "documentpool.info"):
        hidden = re.findall(r"<PROVISION_BODY><!\[CDATA\[(.*?)\]\]>", xml)
        assert all(b'{"state": 1}' not in base64.b64decode(one, validate=True) for one in hidden)
        xml = re.sub(r"(<PROVISION_BODY><!\[CDATA\[).*?\]\]>", r"\1]]>", xml)
    if name == "hostpool.info":
        hosts = re.findall(r"<HOST><ID>(\d+)</ID>.*?</HOST>", xml)
        shown = re.findall(r"<HOST><ID>[57]</ID>.*?</HOST>", xml)
        return [reply[0], hosts, shown, reply[2]]
    return [reply[0], xml, *reply[2:]]


@pytest.mark.parametrize("name", NAMES)
def test_replies_as_recorded(frontend: Frontend, name: str) -> None:
    content = recorded(name)
    if name in SITUATIONS:
        SITUATIONS[name](frontend)
    session = "oneadmin:wrong" if name == "auth.failed" else None
    reply = call(frontend, content["method"], *content["args"], session=session)
    assert without_chance(name, reply) == without_chance(name, content["response"])


def test_machines_are_listed_as_recorded(frontend: Frontend) -> None:
    """The pool of a real oned, made by calls here where the recording's machines were."""
    machines(frontend)
    pool = call(frontend, "one.vmpool.info", -2, -1, -1, -2)[1]
    theirs = recorded("vmpool.info.all")["response"][1]
    for number in (2, 3):
        shown = rf"<VM><ID>{number}</ID>.*?</VM>"
        assert re.findall(shown, pool) == re.findall(shown, theirs)
    assert call(frontend, "one.vmpool.info", -2, -1, -1, -1)[1].count("<VM>") == 3


def test_all_recordings_are_looked_at() -> None:
    assert set(SITUATIONS) <= set(NAMES)
    assert len(NAMES) == 45
