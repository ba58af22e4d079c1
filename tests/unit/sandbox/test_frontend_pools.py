"""Pools of the stand-in beyond the recordings: what drivers do by themselves, refusals, clusters, owners."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.standin import Cloud, call

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.frontend import Frontend, Knobs, Store, tree
from hybrid_drivers.sandbox.frontend.calls import Calls
from hybrid_drivers.sandbox.frontend.oned_conf import ONED_CONF, OnedConf
from hybrid_drivers.sandbox.frontend.parts import METHODS

VNET = 'NAME="net"\nVN_MAD="bridge"\nAR=[TYPE="IP4",IP="192.0.2.10",SIZE="4"]'
IMAGE = 'NAME="data"\nTYPE="DATABLOCK"\nSIZE="5"'


@pytest.fixture
def frontend(tmp_path: Path) -> Iterator[Frontend]:
    with Frontend(tmp_path / "one", repository=None, knobs=Knobs(image_seconds=0, vnet_seconds=0)) as running:
        yield running


class Timed:
    """The calls alone, with a clock that a test moves."""

    def __init__(self, **knobs: float | str) -> None:
        self.cloud = Cloud()
        self.cloud.knobs.change(knobs)
        self.context = self.cloud.context.__class__(
            store=self.cloud.store,
            monitor=self.cloud.monitor,
            knobs=self.cloud.knobs,
            version="7.4.0",
            clock=self.cloud.clock,
        )
        self.calls = Calls(self.context, METHODS, "oneadmin:x")

    def call(self, name: str, *arguments: object) -> Any:
        return self.calls.call(name, ("oneadmin:x", *arguments))

    def state(self, kind: str, number: int) -> str:
        reply = self.call(f"one.{kind}.info", number, False)
        found = re.search(r"<STATE>(?:<!\[CDATA\[)?(\d+)", str(reply[1]))
        return found[1] if found else str(reply[1])


# --- drivers that take their time -------------------------------------------------------------------------------------


def test_an_image_is_locked_until_its_driver_is_done() -> None:
    timed = Timed(image_seconds=10)
    assert timed.call("one.image.allocate", IMAGE, 1)[1] == 0
    assert timed.state("image", 0) == "4"
    assert timed.call("one.image.delete", 0)[1].startswith("[one.image.delete] Image locked, use --force flag")
    timed.cloud.clock.sleep(9)
    assert timed.state("image", 0) == "4"
    timed.cloud.clock.sleep(1)
    assert timed.state("image", 0) == "1"
    assert timed.call("one.image.delete", 0)[0] is True
    assert timed.state("image", 0) == "7"
    assert timed.call("one.datastore.delete", 1)[2] == 2048
    timed.cloud.clock.sleep(10)
    assert timed.state("image", 0) == "[one.image.info] Error getting image [0]."
    assert timed.cloud.store.datastores[1].images == set()


def test_an_image_that_fails_says_why() -> None:
    timed = Timed(image_seconds=0, image_error="no space left on device")
    timed.call("one.image.allocate", IMAGE, 1)
    assert timed.state("image", 0) == "5"
    assert "Error copying image in the datastore: no space left on device" in timed.call("one.image.info", 0)[1]
    assert timed.call("one.image.delete", 0) == [True, 0, 0]


def test_a_locked_image_may_be_deleted_by_force() -> None:
    timed = Timed(image_seconds=10)
    timed.call("one.image.allocate", IMAGE, 1)
    assert timed.call("one.image.delete", 0, True) == [True, 0, 0]
    timed.cloud.clock.sleep(10)
    assert timed.call("one.imagepool.info", -2, -1, -1)[1] == "<IMAGE_POOL></IMAGE_POOL>"


def test_a_network_gets_its_addresses_when_its_driver_is_done() -> None:
    timed = Timed(vnet_seconds=10)
    timed.call("one.vn.allocate", VNET, -1)
    xml = timed.call("one.vn.info", 0, False)[1]
    assert (timed.state("vn", 0), "<AR_POOL></AR_POOL>" in xml) == ("2", True)
    assert timed.call("one.vn.add_ar", 0, 'AR=[TYPE="IP4",IP="192.0.2.1",SIZE="1"]')[1] == (
        "[one.vn.add_ar] Could not execute one.vn.add_arVirtual Network is in wrong state: LOCK_CREATE"
    )
    assert timed.call("one.vn.delete", 0)[1].endswith("Can not remove a Virtual Network, wrong state LOCK_CREATE")
    timed.cloud.clock.sleep(10)
    assert (timed.state("vn", 0), "<IP_END><![CDATA[192.0.2.13]]>" in timed.call("one.vn.info", 0)[1]) == ("1", True)

    timed.call("one.vn.delete", 0)
    assert (timed.state("vn", 0), timed.cloud.store.clusters[0].vnets) == ("3", {0})
    timed.cloud.clock.sleep(10)
    assert timed.state("vn", 0) == "[one.vn.info] Error getting virtual network [0]."
    assert timed.cloud.store.clusters[0].vnets == set()


def test_a_network_with_a_wrong_range_ends_in_error() -> None:
    timed = Timed(vnet_seconds=0)
    timed.call("one.vn.allocate", 'NAME="n"\nVN_MAD="bridge"\nAR=[TYPE="IP4",IP="here",SIZE="2"]', 0)
    assert timed.state("vn", 0) == "5"
    assert "Wrong or empty IP attribute" in timed.call("one.vn.info", 0)[1]
    assert timed.call("one.vn.delete", 0) == [True, 0, 0]


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "arguments", "code", "words"),
    [
        (
            "one.datastore.allocate",
            ['NAME="system"\nTYPE="SYSTEM_DS"\nTM_MAD="local"', 0],
            8192,
            "taken by DATASTORE 0",
        ),
        ("one.datastore.allocate", ['NAME="a/b"\nTYPE="SYSTEM_DS"\nTM_MAD="local"', 0], 8192, "Invalid NAME"),
        ("one.datastore.allocate", ['NAME="a"\nTM_MAD="local"\nDS_MAD="ceph"', 0], 8192, 'missing the "DISK_TYPE"'),
        (
            "one.datastore.allocate",
            ['NAME="a"\nTYPE="SYSTEM_DS"\nTM_MAD="local"', 9],
            1024,
            "Error getting cluster [9]",
        ),
        ("one.datastore.allocate", ["NAME=[", 0], 8192, "Parse error"),
        ("one.datastore.update", [0, 'TM_MAD="nope"', 1], 8192, 'Cannot update template. TM_MAD named "nope"'),
        ("one.datastore.rename", [1, "system"], 2048, "datastore cannot be renamed to system because it collides"),
        ("one.vn.allocate", [VNET, 0], 8192, "NAME is already taken by NET 0."),
        ("one.vn.rename", [0, "a;b"], 2048, "Invalid NAME"),
        ("one.vn.rm_ar", [0, 7], 8192, "Address Range does not exist"),
        ("one.vn.add_ar", [0, 'A="b"'], 8192, "AR vector attribute is missing"),
        ("one.vn.add_ar", [0, 'AR=[TYPE="IP4",IP="192.0.2.1"]'], 8192, "Wrong SIZE for address range"),
        ("one.vn.add_ar", [0, 'AR=[TYPE="X",SIZE="1"]'], 8192, "Unknown or missing address range TYPE."),
        ("one.image.allocate", [IMAGE, 1], 16384, "Error allocating a new image. NAME is already taken by IMAGE 0."),
        ("one.image.allocate", [IMAGE.replace("data", "b"), 2], 16384, "cannot be registered in file datastores"),
        ("one.image.allocate", ['NAME="b"\nTYPE="CDROM"', 1], 8192, "Cannot parse image SIZE"),
        ("one.image.allocate", ['NAME="b"\nTYPE="OS"\nSIZE="900000"', 1], 2048, "Not enough space in datastore"),
        ("one.image.allocate", ['NAME="b"\nPATH="/x"\nSOURCE="y"', 1], 16384, "PATH and SOURCE cannot be both set."),
        ("one.template.allocate", ['NAME="t"'], 8192, "NAME is already taken by TEMPLATE 0."),
        ("one.template.chmod", [0, 2, 0, 0, 0, 0, 0, 0, 0, 0], 8192, "must be -1, 0 or 1"),
        ("one.template.chown", [0, 7, -1], 1024, "Error getting user [7]."),
        ("one.vntemplate.info", [7], 1024, "Error getting virtual network template [7]."),
        ("one.marketapp.info", [7], 1024, "Error getting marketplaceapp [7]."),
        ("one.cluster.addvnet", [0, 7], 1024, "Error getting virtual network [7]."),
        ("one.cluster.adddatastore", [7, 0], 1024, "Error getting cluster [7]."),
        ("one.user.info", [7], 1024, "Error getting user [7]."),
    ],
)
def test_failures(frontend: Frontend, method: str, arguments: list[object], code: int, words: str) -> None:
    call(frontend, "one.vn.allocate", VNET, 0)
    call(frontend, "one.image.allocate", IMAGE, 1)
    call(frontend, "one.template.allocate", 'NAME="t"')
    reply = call(frontend, method, *arguments)
    assert (reply[0], reply[2], reply[4]) == (False, code, -1)
    assert reply[1].startswith(f"[{method}] ")
    assert words in reply[1]


def test_a_name_is_one_owners(frontend: Frontend) -> None:
    call(frontend, "one.template.allocate", 'NAME="t"')
    assert call(frontend, "one.template.chown", 0, 1, 1) == [True, 0, 0]
    assert call(frontend, "one.template.allocate", 'NAME="t"') == [True, 1, 0]
    assert call(frontend, "one.template.chown", 1, 1, -1)[1] == (
        "[one.template.chown] user [1] already owns virtual machine template [0] with NAME t"
    )
    shown = {
        whose: call(frontend, "one.templatepool.info", whose, -1, -1)[1].count("<VMTEMPLATE>") for whose in (-2, 1, -3)
    }
    assert shown == {-2: 2, 1: 1, -3: 1}


# --- what follows from a change ---------------------------------------------------------------------------------------


def test_updates_keep_what_makes_an_object_work(frontend: Frontend) -> None:
    call(frontend, "one.vn.allocate", VNET, 0)
    call(frontend, "one.vn.update", 0, 'NOTE="x"', 0)
    xml = call(frontend, "one.vn.info", 0)[1]
    assert "<VN_MAD><![CDATA[bridge]]></VN_MAD>" in xml
    assert "<BRIDGE><![CDATA[onebr0]]></BRIDGE>" in xml
    call(frontend, "one.datastore.update", 0, 'NOTE="x"', 0)
    xml = call(frontend, "one.datastore.info", 0)[1]
    assert "<TM_MAD><![CDATA[local]]></TM_MAD>" in xml
    assert "<TYPE><![CDATA[SYSTEM_DS]]></TYPE>" in xml


def test_networks_of_a_template_go_into_its_clusters(frontend: Frontend) -> None:
    call(frontend, "one.cluster.allocate", "edge")
    call(frontend, "one.vntemplate.allocate", VNET.replace("net", "vt") + '\nCLUSTER_IDS="100"')
    assert call(frontend, "one.vntemplate.instantiate", 0, "", "") == [True, 0, 0]
    xml = call(frontend, "one.vn.info", 0)[1]
    assert "<NAME>vt-0</NAME>" in xml
    assert "<CLUSTERS><ID>100</ID></CLUSTERS>" in xml
    assert "<TEMPLATE_ID><![CDATA[0]]></TEMPLATE_ID>" in xml
    assert call(frontend, "one.vntemplate.instantiate", 0, "vt-0", "")[2] == 16384


def test_every_kind_of_range_has_its_ends(frontend: Frontend) -> None:
    call(
        frontend, "one.vn.allocate", 'NAME="n"\nVN_MAD="bridge"\nAR=[TYPE="ETHER",SIZE="3",MAC="02:00:00:00:00:fe"]', 0
    )
    xml = call(frontend, "one.vn.info", 0)[1]
    assert "<MAC_END><![CDATA[02:00:00:00:01:00]]></MAC_END>" in xml
    assert "IP_END" not in xml


# --- oned.conf --------------------------------------------------------------------------------------------------------


def test_drivers_are_those_of_oned_conf(tmp_path: Path) -> None:
    tree.build(tmp_path, None)
    with (tmp_path / "etc/oned.conf").open("a") as conf:
        conf.write('VN_MAD_CONF = [ NAME = "hybrid", BRIDGE_TYPE = "linux" ]\n')
    told = 'NAME="n"\nVN_MAD="hybrid"'
    with Frontend(tmp_path, repository=None) as frontend:
        assert call(frontend, "one.vn.allocate", told, 0)[0] is True
    with Frontend(tmp_path / "other", repository=None) as frontend:
        assert call(frontend, "one.vn.allocate", told, 0)[2] == 8192


def test_an_oned_conf_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    path = tmp_path / "oned.conf"
    with pytest.raises(ConfigError, match=r"oned\.conf cannot be read: No such file"):
        OnedConf.read(path)
    path.write_text("A B\n")
    with pytest.raises(ConfigError, match=r"oned\.conf cannot be understood by oned: Parse error"):
        OnedConf.read(path)
    path.write_text(ONED_CONF)
    assert OnedConf.read(path) == OnedConf.stock()
    assert OnedConf.stock().driver("TM_MAD", "none") is None


# --- two servers of one cloud -----------------------------------------------------------------------------------------


def test_two_servers_share_the_pools(tmp_path: Path) -> None:
    store = Store()
    with (
        Frontend(tmp_path / "one", repository=None, store=store, knobs=Knobs(vnet_seconds=0)) as first,
        Frontend(tmp_path / "two", repository=None, store=store) as second,
    ):
        call(first, "one.vn.allocate", VNET, 0)
        assert "<STATE><![CDATA[1]]></STATE>" in call(second, "one.vn.info", 0)[1]


def test_oneflow_starts_when_it_is_asked_for(frontend: Frontend) -> None:
    assert "ONEFLOW_URL" not in frontend.environment
    url = frontend.oneflow_url
    assert frontend.environment["ONEFLOW_URL"] == url == frontend.oneflow_url
    frontend.restart()
    assert "ONEFLOW_URL" not in frontend.environment
