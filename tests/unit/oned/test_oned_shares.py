"""What hosts have beyond CPU and memory, VM groups, and the whole documents of machines that wait."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hybrid_drivers.agent.growth import numa
from hybrid_drivers.agent.growth.devices import Wish, free_of, serve
from hybrid_drivers.errors import OnedError
from hybrid_drivers.model_shares import HostShare, HugePages, NumaCore, VmRole
from hybrid_drivers.oned import shares, xml

DATA = Path(__file__).parents[2] / "data" / "oned-7.4" / "xmlrpc"


def recorded(name: str) -> str:
    return str(json.loads((DATA / f"{name}.json").read_text())["response"][1])


def test_a_recorded_pool_tells_devices_and_nodes() -> None:
    hosts, found = shares.parse_hosts_and_shares(recorded("hostpool.info"), "the host pool")
    assert hosts == xml.parse_hosts(recorded("hostpool.info"))
    assert found[5] == HostShare()
    share = found[4]
    gpu = share.devices[0]
    assert (gpu.address, gpu.short_address, gpu.vm_id) == ("0000:02:00:0", "02:00.0", -1)
    assert (gpu.vendor, gpu.device, gpu.class_) == ("10de", "0863", "0302")
    left = serve(free_of(share.devices), (Wish(class_=0x0302), Wish(vendor=0x15B3, device=0x1016)))
    assert left is not None
    assert len(left) == len(share.devices) - 2
    assert [len(one.cores) for one in share.nodes] == [8, 8]
    assert share.nodes[1].cores[0] == NumaCore(id=8, cpus=4, reserved=0, free=4, used=False)
    assert share.nodes[1].pages == (HugePages(size=2048, pages=1024), HugePages(size=1048576, pages=1024))
    assert (share.nodes[1].memory, share.nodes[1].distance) == (8388608, (1, 0))
    assert numa.free_of(share.nodes) == numa.all_of(share.nodes)


@pytest.mark.parametrize(
    ("cpus", "dedicated", "core"),
    [
        ("0:-1,16:-1", "NO", (2, 0, False)),
        ("0:-2,16:-1", "NO", (2, 1, False)),
        ("0:7,0:9,16:-1", "NO", (2, 0, True)),  # two machines on one thread (VMS_THREAD)
        ("0:7,16:-1", "YES", (2, 0, True)),
        ("", "NO", (0, 0, False)),
    ],
)
def test_threads_of_a_core(cpus: str, dedicated: str, core: tuple[int, int, bool]) -> None:
    text = f"<CORE><ID>0</ID><CPUS>{cpus}</CPUS><FREE>1</FREE><DEDICATED>{dedicated}</DEDICATED></CORE>"
    host = f"<HOST><HOST_SHARE><NUMA_NODES><NODE><NODE_ID>0</NODE_ID>{text}</NODE></NUMA_NODES></HOST_SHARE></HOST>"
    (node,) = shares.read_share(xml.parse(host, "HOST", "the host", OnedError)).nodes
    assert [(one.cpus, one.reserved, one.used) for one in node.cores] == [core]


def test_vm_groups() -> None:
    """As ``VMGroup.cc`` and ``VMGroupRole.cc`` (``to_xml``) write them."""
    text = (
        "<VM_GROUP_POOL><VM_GROUP><ID>3</ID><UID>0</UID><GID>0</GID><UNAME>oneadmin</UNAME><GNAME>oneadmin</GNAME>"
        "<NAME>shop</NAME><ROLES>"
        "<ROLE><ID><![CDATA[0]]></ID><NAME><![CDATA[web]]></NAME><POLICY><![CDATA[ANTI_AFFINED]]></POLICY>"
        "<VMS><![CDATA[4,5]]></VMS></ROLE>"
        "<ROLE><HOST_AFFINED><![CDATA[1,2]]></HOST_AFFINED><ID><![CDATA[1]]></ID><NAME><![CDATA[db]]></NAME></ROLE>"
        "</ROLES><TEMPLATE><AFFINED><![CDATA[web, db]]></AFFINED><ANTI_AFFINED><![CDATA[db,log]]></ANTI_AFFINED>"
        "</TEMPLATE></VM_GROUP></VM_GROUP_POOL>"
    )
    (group,) = shares.parse_vm_groups(text, "the VM groups")
    assert (group.id, group.name) == (3, "shop")
    assert group.roles["web"] == VmRole(name="web", policy="ANTI_AFFINED", vm_ids=frozenset((4, 5)))
    assert group.roles["db"].host_ids == frozenset((1, 2))
    assert (group.affined, group.anti_affined) == ((frozenset({"web", "db"}),), (frozenset({"db", "log"}),))


def test_machines_that_wait_come_whole() -> None:
    """``one.vmpool.infoextended``: the elements of ``to_xml_extended``, as recorded of ``one.vm.info``, in a pool."""
    one = recorded("vm.info.pending")
    special = (
        "<TEMPLATE><AUTOMATIC_REQUIREMENTS><![CDATA[(CLUSTER_ID = 100) & (PIN_POLICY = PINNED)]]>"
        "</AUTOMATIC_REQUIREMENTS><CPU><![CDATA[4]]></CPU><MEMORY><![CDATA[2048]]></MEMORY>"
        "<NUMA_NODE><MEMORY><![CDATA[2097152]]></MEMORY><TOTAL_CPUS><![CDATA[4]]></TOTAL_CPUS></NUMA_NODE>"
        "<PCI><CLASS><![CDATA[0302]]></CLASS><PCI_ID><![CDATA[0]]></PCI_ID></PCI>"
        "<TOPOLOGY><PIN_POLICY><![CDATA[THREAD]]></PIN_POLICY><SOCKETS><![CDATA[1]]></SOCKETS></TOPOLOGY>"
        "<VCPU><![CDATA[4]]></VCPU><VMGROUP><ROLE><![CDATA[web]]></ROLE><VMGROUP_ID><![CDATA[3]]></VMGROUP_ID>"
        "</VMGROUP><VMID><![CDATA[2]]></VMID></TEMPLATE>"
    )
    begin, end = one.index("<TEMPLATE>"), one.index("<USER_TEMPLATE>")
    other = f"{one[:begin]}{special}{one[end:]}".replace("<ID>2</ID>", "<ID>3</ID>", 1)
    plain, wants = xml.parse_vms(f"<VM_POOL>{one}{other}</VM_POOL>")
    assert (plain.id, plain.state, plain.cpu, plain.memory, plain.host_id) == (2, 1, 64.0, 65536, None)
    assert plain.template.text("AUTOMATIC_REQUIREMENTS") == "!(PIN_POLICY = PINNED)"
    assert "[HOST] Not enough CPU" in plain.sched_message
    assert plain.started == 1795425794
    assert (wants.id, wants.template.vectors("PCI")) == (3, [{"CLASS": "0302", "PCI_ID": "0"}])
    assert wants.template.vector("VMGROUP") == {"ROLE": "web", "VMGROUP_ID": "3"}
    assert numa.topology(wants.template) == numa.Topology(((4, 2097152),))
