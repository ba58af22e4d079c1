"""The stand-in runs address drivers as oned does: the recorded messages byte for byte, one after another, locked."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.standin import call

from hybrid_drivers.sandbox.frontend import Frontend, Knobs, tree

RECORDED = Path(__file__).parents[2] / "data/oned-7.4/actions"
# Keeps what it is handed, and answers as the driver did that was there when the messages were recorded.
DRIVER = """#!/bin/sh
folder={folder}
action=${{0##*/}}
cat > "$folder/$action.$1"
[ -e "$folder/fail" ] && {{ cat "$folder/fail" >&2; exit 1; }}
while [ -e "$folder/hold" ]; do sleep 0.02; done
case $action in
register_address_range)
    echo 'AR=[TYPE="IP4",IP="198.51.100.8",SIZE="2",IPAM_MAD="packet",DEPLOY_ID="7f3c-block",PACKET_TOKEN="tok"]' ;;
get_address) echo 'ADDRESS=[IP="198.51.100.9",SIZE="1"]' ;;
esac
"""
ACTIONS = ("register_address_range", "unregister_address_range", "get_address", "allocate_address", "free_address")
AR = (
    'AR=[TYPE="IP4",SIZE="2",IPAM_MAD="packet",IP="192.0.2.1",FACILITY="ams1",PACKET_IP_TYPE="public_ipv4",'
    'PACKET_PROJECT="p",PACKET_TOKEN="tok"]'
)
NETWORK = f'NAME="pub2"\nVN_MAD="bridge"\nBRIDGE="br0"\n{AR}'
VM = 'CPU=1\nMEMORY=64\nNIC=[NETWORK_ID="0"{more}]'


class Bench:
    """A front-end with a driver that keeps what it is handed."""

    def __init__(self, frontend: Frontend, folder: Path) -> None:
        self.frontend, self.folder = frontend, folder

    def handed(self, action: str) -> list[bytes]:
        """Return what the driver got for an action, decoded, in the order of the requests."""
        files = sorted(self.folder.glob(f"{action}.*"), key=lambda path: int(path.suffix[1:]))
        return [base64.b64decode(path.read_bytes()) for path in files]

    def state(self) -> str:
        reply = str(call(self.frontend, "one.vnpool.info", -2, -1, -1)[1])
        return reply.partition("<STATE><![CDATA[")[2].partition("]")[0]

    def ready(self) -> None:
        call(self.frontend, "one.vn.allocate", NETWORK, 0)
        self.frontend.wait_for(lambda: self.state() == "1", 10)

    def vm(self, more: str = "") -> list[object]:
        return list(call(self.frontend, "one.vm.allocate", VM.format(more=more)))


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    folder = tmp_path / "handed"
    folder.mkdir()
    tree.build(tmp_path / "one", None)
    drivers = tmp_path / "one/var/remotes/ipam/packet"
    drivers.mkdir(parents=True)
    for action in ACTIONS:
        (drivers / action).write_text(DRIVER.format(folder=folder))
        (drivers / action).chmod(0o755)
    conf = tmp_path / "one/etc/oned.conf"
    conf.write_text(conf.read_text().replace("dummy,aws,equinix,vultr", "dummy,packet"))
    with Frontend(tmp_path / "one", repository=None, knobs=Knobs(vnet_seconds=0)) as running:
        yield Bench(running, folder)


def recorded(action: str) -> bytes:
    return (RECORDED / f"ipam.{action}.xml").read_bytes().strip()


def test_drivers_are_handed_what_was_recorded(bench: Bench) -> None:
    bench.ready()
    assert bench.handed("register_address_range") == [recorded("register_address_range")]
    assert bench.vm(',IP="198.51.100.8"')[0] is True
    assert bench.vm(',IP="198.51.100.9"')[0] is True
    assert bench.handed("allocate_address")[1] == recorded("allocate_address")
    call(bench.frontend, "one.vm.action", "terminate", 1)
    bench.frontend.wait_for(lambda: bench.handed("free_address") == [recorded("free_address")], 10)


def test_any_address_is_asked_for_as_recorded(bench: Bench) -> None:
    bench.ready()
    assert bench.vm()[0] is True
    assert bench.handed("get_address") == [recorded("get_address")]
    assert "198.51.100.9" in str(call(bench.frontend, "one.vm.info", 0)[1])


def test_what_a_driver_says_of_a_failure_is_the_networks_error(bench: Bench) -> None:
    (bench.folder / "fail").write_text("there is no more\n")
    call(bench.frontend, "one.vn.allocate", NETWORK, 0)
    bench.frontend.wait_for(lambda: bench.state() == "5", 10)
    assert "there is no more" in str(call(bench.frontend, "one.vn.info", 0)[1])


def test_a_range_its_driver_does_not_let_go_stays(bench: Bench) -> None:
    bench.ready()
    (bench.folder / "fail").write_text("not now\n")
    assert "not now" in str(call(bench.frontend, "one.vn.delete", 0)[1])
    (bench.folder / "fail").unlink()
    assert call(bench.frontend, "one.vn.delete", 0)[0] is True
    assert len(bench.handed("unregister_address_range")) == 2


def test_a_driver_that_is_not_listed_is_not_run(bench: Bench) -> None:
    call(bench.frontend, "one.vn.allocate", NETWORK.replace("packet", "ec2", 1), 0)
    bench.frontend.wait_for(lambda: bench.state() == "5", 10)
    assert "IPAM driver 'ec2' not available" in str(call(bench.frontend, "one.vn.info", 0)[1])


def test_the_network_is_locked_while_its_driver_works_and_the_pool_is_not(bench: Bench) -> None:
    (bench.folder / "hold").touch()
    call(bench.frontend, "one.vn.allocate", NETWORK, 0)
    bench.frontend.wait_for(lambda: bool(bench.handed("register_address_range")), 10)
    answers: list[object] = []
    asking = threading.Thread(target=lambda: answers.append(call(bench.frontend, "one.vn.info", 0)))
    asking.start()
    assert bench.state() == "2"
    assert answers == []
    (bench.folder / "hold").unlink()
    asking.join(10)
    assert "198.51.100.8" in str(answers[0])


def test_oned_forgets_a_request_that_takes_too_long(bench: Bench) -> None:
    bench.frontend.set_knobs({"ipam_timeout": 0.3})
    (bench.folder / "hold").touch()
    call(bench.frontend, "one.vn.allocate", NETWORK, 0)
    bench.frontend.wait_for(lambda: bench.state() == "5", 10)
    (bench.folder / "hold").unlink()
