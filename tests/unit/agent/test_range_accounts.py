"""Whose account an address range is reserved at, and that no credential is left in its attributes."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any, cast

import pytest

from hybrid_drivers.agent.accounts import Accounts
from hybrid_drivers.agent.range_accounts import RangeAccounts
from hybrid_drivers.clock import SystemClock
from hybrid_drivers.errors import ConfigError, NoSuchObject, Unsupported
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.providers import registry
from hybrid_drivers.providers.base import ProviderEntry, Setting
from hybrid_drivers.secret import Secret


def account(tmp_path: Any, name: str, driver: str, defaults: Mapping[str, str], **settings: Setting) -> Any:
    entry = ProviderEntry(name=name, driver=driver, settings=settings, defaults=defaults, source=f"file {name}.yaml")
    return SimpleNamespace(name=name, provider=registry.make_provider(entry, SystemClock(), state_dir=tmp_path))


class Known:
    """Three accounts, and what inline credentials became."""

    def __init__(self, tmp_path: Any) -> None:
        self.kept = [
            account(tmp_path, "ams", "packet", {"METRO": "am", "OS": "debian_12"}, token=Secret("tok"), project="p"),
            account(tmp_path, "aws", "ec2", {"SUBNETID": "subnet-1"}, region="eu-central-1", instance_role=True),
            account(tmp_path, "own", "dummy", {}),
        ]
        self.inline: list[dict[str, str]] = []

    def all(self) -> list[Any]:
        return self.kept

    def named(self, name: str) -> Any:
        for one in self.kept:
            if one.name == name:
                return one
        raise ConfigError(f"there is no provider '{name}'")

    def for_attributes(self, attributes: Mapping[str, str], where: str) -> tuple[Any, dict[str, str]]:
        self.inline.append(dict(attributes))
        return self.kept[0], {}


class Provisions:
    """Documents of provisions: 1 has one provider, 2 has two."""

    def document(self, number: int, decrypt: bool = True) -> Any:
        assert not decrypt
        names = {1: "ams", 2: "ams,aws"}
        if number not in names:
            raise NoSuchObject(f"document {number}: there is none")
        return SimpleNamespace(summary={"PROVIDER": names[number]})


@pytest.fixture
def known(tmp_path: Any) -> Known:
    return Known(tmp_path)


def of(known: Known, driver: str = "packet", **ar: str) -> Any:
    return RangeAccounts(cast(Accounts, known), cast(Oned, Provisions())).of(driver, ar)


def test_a_provider_is_named(known: Known) -> None:
    assert of(known, PROVIDER="ams").account.name == "ams"
    assert of(known, "ec2", PROVIDER="aws").account.name == "aws"


def test_inline_credentials_of_an_entry_we_have_are_that_entry(known: Known) -> None:
    found = of(known, PACKET_TOKEN="tok", SIZE="2")
    assert (found.account.name, known.inline, found.attributes) == ("ams", [], {"SIZE": "2"})


def test_other_inline_credentials_are_kept_as_an_entry_of_their_own(known: Known) -> None:
    found = of(known, PACKET_TOKEN="new", PACKET_PROJECT="q", METRO="da")
    assert known.inline == [{"DRIVER": "packet", "PACKET_TOKEN": "new", "PACKET_PROJECT": "q", "METRO": "da"}]
    assert found.attributes == {"METRO": "da"}


def test_credentials_beside_a_provider_are_left_out_too(known: Known) -> None:
    assert "PACKET_TOKEN" not in of(known, PROVIDER="ams", PACKET_TOKEN="tok").attributes


def test_a_provision_stands_for_its_provider(known: Known) -> None:
    assert of(known, PROVISION_ID="1").account.name == "ams"
    with pytest.raises(ConfigError, match="provision 2 has not one provider"):
        of(known, PROVISION_ID="2")
    with pytest.raises(ConfigError, match="PROVISION_ID 3"):
        of(known, PROVISION_ID="3")


@pytest.mark.parametrize(
    ("driver", "ar", "error", "sentence"),
    [
        ("packet", {}, ConfigError, 'give it PROVIDER="NAME" (known are ams)'),
        ("packet", {"PROVIDER": "nobody"}, ConfigError, "there is no provider 'nobody'"),
        ("packet", {"PROVIDER": "aws"}, ConfigError, "has IPAM_MAD packet, but provider aws is one of ec2"),
        ("dummy", {"PROVIDER": "own"}, Unsupported, "driver dummy has no public addresses"),
    ],
)
def test_what_is_wrong_is_told(
    known: Known, driver: str, ar: dict[str, str], error: type[Exception], sentence: str
) -> None:
    with pytest.raises(error) as caught:
        of(known, driver, **ar)
    assert sentence in str(caught.value)


def test_the_entrys_place_counts_where_the_range_names_none(known: Known) -> None:
    assert of(known, PROVIDER="ams").where["METRO"] == "am"
    assert "OS" not in of(known, PROVIDER="ams").where
    assert "METRO" not in of(known, PROVIDER="ams", FACILITY="dc13").where
    assert of(known, "ec2", PROVIDER="aws").where["SUBNETID"] == "subnet-1"
