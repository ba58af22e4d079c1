"""Virtual machines in detail: recorded documents, and what each verb sends."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from tests.unit.oned.replay import SESSION, FakeClock, body, serving

from hybrid_drivers.errors import OnedError
from hybrid_drivers.model import Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.oned.vms import Vms, read_vm
from hybrid_drivers.secret import Secret

DISK = (
    "<DISK><DISK_ID>0</DISK_ID><IMAGE>a</IMAGE><IMAGE_ID>7</IMAGE_ID><DATASTORE_ID>1</DATASTORE_ID>"
    "<CLUSTER_ID>0,100</CLUSTER_ID><SIZE>2048</SIZE></DISK><DISK><DISK_ID>1</DISK_ID><TYPE>fs</TYPE></DISK>"
    "<NIC><NETWORK_ID>3</NETWORK_ID></NIC><NIC><NETWORK_MODE>auto</NETWORK_MODE></NIC>"
)
RECORD = (
    "<HISTORY><OID>2</OID><SEQ>{}</SEQ><HOSTNAME>h</HOSTNAME><HID>{}</HID><CID>100</CID><DS_ID>{}</DS_ID>"
    "<TM_MAD>local</TM_MAD></HISTORY>"
)
RECORDS = f"<HISTORY_RECORDS>{RECORD.format(1, 5, 101)}{RECORD.format(0, 4, 0)}</HISTORY_RECORDS>"


def moved() -> str:
    """The recorded machine, as it would be with disks, networks and two hosts behind it."""
    return body("vm.info.pending").replace("<HISTORY_RECORDS/>", RECORDS).replace("<TEMPLATE>", f"<TEMPLATE>{DISK}", 1)


def test_a_machine_that_waits() -> None:
    vm = read_vm(body("vm.info.pending"), "it")
    assert (vm.id, vm.name, vm.state, vm.lcm_state, vm.cpu, vm.memory) == (2, "big", 1, 0, 64.0, 65536)
    assert (vm.disks, vm.network_ids, vm.history, vm.place) == ((), (), (), None)
    assert (vm.settled, vm.runs, vm.powered_off, vm.failed, vm.error) == (True, False, False, False, "")
    assert (vm.uname, vm.gname) == ("oneadmin", "oneadmin")


def test_a_machine_with_a_past() -> None:
    vm = read_vm(moved(), "it")
    assert [(one.sequence, one.host_id, one.datastore_id) for one in vm.history] == [(0, 4, 0), (1, 5, 101)]
    assert vm.place == vm.history[1]
    first, second = vm.disks
    assert (first.image_id, first.image, first.datastore_id, first.cluster_ids, first.size) == (
        7,
        "a",
        1,
        (0, 100),
        2048,
    )
    assert (second.id, second.image_id, second.cluster_ids) == (1, None, ())
    assert vm.network_ids == (3,)


@pytest.mark.parametrize(
    ("state", "lcm_state", "settled", "failed"),
    [
        (3, 3, True, False),
        (3, 16, True, False),
        (3, 4, False, False),
        (3, 43, False, False),
        (3, 44, True, True),
        (3, 40, True, True),
        (8, 0, True, False),
    ],
)
def test_states(state: int, lcm_state: int, settled: bool, failed: bool) -> None:
    data = body("vm.info.pending").replace("<STATE>1<", f"<STATE>{state}<")
    vm = read_vm(data.replace("<LCM_STATE>0<", f"<LCM_STATE>{lcm_state}<"), "it")
    assert (vm.settled, vm.failed) == (settled, failed)
    assert vm.runs is (lcm_state == 3)
    assert vm.powered_off is (state == 8)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ("<LCM_STATE>0</LCM_STATE>", "", "VM/LCM_STATE is missing"),
        ("<HID>5</HID>", "<HID>x</HID>", "HISTORY/HID is 'x', expected a whole number"),
        ("<DISK_ID>0</DISK_ID>", "", "DISK/DISK_ID is missing"),
        ("0,100", "0,x", "DISK/CLUSTER_ID is '0,x', expected a whole number"),
    ],
)
def test_what_is_wrong_is_named(old: str, new: str, says: str) -> None:
    data = moved()
    assert old in data
    with pytest.raises(OnedError, match=re.escape(f"virtual machine 2: {says}")):
        read_vm(data.replace(old, new, 1), "virtual machine 2")


@pytest.mark.parametrize(
    ("call", "method", "arguments"),
    [
        (lambda vms: vms.action(4, "poweroff-hard"), "one.vm.action", ["poweroff-hard", 4]),
        (lambda vms: vms.migrate(4, 2), "one.vm.migrate", [4, 2, False, False, -1, 0]),
        (
            lambda vms: vms.migrate(4, 2, live=True, datastore_id=100, way="poweroff-hard", enforce=True),
            "one.vm.migrate",
            [4, 2, True, True, 100, 2],
        ),
        (lambda vms: vms.deploy(4, 2, 100), "one.vm.deploy", [4, 2, False, 100, ""]),
        (
            lambda vms: vms.instantiate(1, "n", Template([("A", "b")]), hold=True),
            "one.template.instantiate",
            [1, "n", True, 'A="b"\n', False],
        ),
        (lambda vms: vms.update(4, Template([("A", "b")])), "one.vm.update", [4, 'A="b"\n', 1]),
    ],
)
def test_what_is_sent(call: Callable[[Vms], object], method: str, arguments: list[object]) -> None:
    with serving(lambda *_: [True, 4, 0]) as server:
        call(Vms(Oned(server.url, Secret(SESSION), timeout=5, clock=FakeClock())))
    [(sent, (_, *args))] = server.calls
    assert (sent, args) == (method, arguments)
