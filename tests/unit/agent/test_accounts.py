"""Provider accounts, from files, documents and inline attributes; and what their lists say, asked for once for all."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from tests.support.agent_fakes import LIMITS, FakeProvider, Fuse, OnedStore, VirtualClock

from hybrid_drivers.agent.accounts import AGE, AGE_MISSING, Accounts
from hybrid_drivers.agent.machines import AccountMachines
from hybrid_drivers.config import Location
from hybrid_drivers.errors import ConfigError, NoSuchObject, TransientError
from hybrid_drivers.model import Document, Machine, MachineState, MachineTags, Template
from hybrid_drivers.oned.api import Oned
from hybrid_drivers.providers.base import Provider
from hybrid_drivers.provision.provider_documents import DOCUMENT_TYPE, SUMMARY


class Documents:
    """The documents of oned: bodies come decrypted one by one only."""

    def __init__(self) -> None:
        self.kept: list[Document] = []
        self.reads = 0

    def add(self, name: str, body: str) -> None:
        self.kept.append(Document(id=len(self.kept), name=name, type=DOCUMENT_TYPE, body=body))

    def documents(self, document_type: int) -> list[Document]:
        self.reads += 1
        return [replace(one, body="encrypted") for one in self.kept if one.type == document_type]

    def document(self, document_id: int, decrypt: bool = True) -> Document:
        assert decrypt
        if self.kept[document_id].name == "vanishes":
            raise NoSuchObject("document: there is none")
        return self.kept[document_id]

    def allocate_document(self, name: str, body: str, document_type: int, extra: Template) -> int:
        assert extra.vector(SUMMARY)["DRIVER"] == json.loads(body)["driver"]
        self.add(name, body)
        return len(self.kept) - 1


class Cloud:
    """One front-end's folder, oned's documents and a clock, with the accounts they make."""

    def __init__(self, folder: Path) -> None:
        self.clock, self.oned = VirtualClock(), Documents()
        location = Location.from_environment({"ONE_LOCATION": str(folder), "HOME": str(folder)})
        self.folder = location.etc / "providers.d"
        self.folder.mkdir(parents=True, mode=0o700)
        location.state.mkdir(parents=True)
        self.accounts = Accounts(location, cast(Oned, self.oned), lambda: "owner", self.clock)

    def write(self, name: str, text: str) -> None:
        path = self.folder / f"{name}.yaml"
        path.touch(mode=0o600)
        path.write_text(text)


@pytest.fixture
def cloud(tmp_path: Path) -> Cloud:
    return Cloud(tmp_path)


def names(cloud: Cloud) -> set[str]:
    return {account.name for account in cloud.accounts.all()}


# --- where they come from ---------------------------------------------------------------------------------------------


def test_files_and_documents_and_files_win(cloud: Cloud) -> None:
    cloud.write("a", "driver: dummy\nnetwork: 198.51.100.0/24\n")
    cloud.oned.add("a", json.dumps({"driver": "dummy"}))
    cloud.oned.add("b", json.dumps({"driver": "dummy"}))
    cloud.oned.add("vanishes", "")
    assert names(cloud) == {"a", "b"}
    assert cloud.accounts.named("a").provider.entry.text("network") == "198.51.100.0/24"


def test_an_entry_is_read_again_after_a_while_or_on_reload_and_the_others_keep_their_accounts(cloud: Cloud) -> None:
    cloud.write("a", "driver: dummy\n")
    cloud.write("b", "driver: dummy\n")
    a, b = cloud.accounts.named("a"), cloud.accounts.named("b")
    cloud.write("a", "driver: dummy\nnetwork: 198.51.100.0/24\n")
    assert cloud.accounts.named("a") is a
    cloud.clock.sleep(AGE + 1)
    assert cloud.accounts.named("a") is not a
    assert cloud.accounts.named("b") is b
    (cloud.folder / "a.yaml").unlink()
    cloud.accounts.reload()
    with pytest.raises(ConfigError, match="there is no provider 'a': known are b"):
        cloud.accounts.named("a")


def test_one_that_was_missing_is_looked_for_sooner(cloud: Cloud) -> None:
    with pytest.raises(ConfigError, match=r"there is no provider 'a': put one into .*providers.d"):
        cloud.accounts.named("a")
    cloud.write("a", "driver: dummy\n")
    cloud.clock.sleep(AGE_MISSING + 0.1)
    assert cloud.accounts.named("a").name == "a"


def test_many_hosts_do_not_read_more_often(cloud: Cloud) -> None:
    cloud.write("a", "driver: dummy\n")
    for _ in range(100):
        cloud.accounts.named("a")
    assert cloud.oned.reads == 1


@pytest.mark.parametrize(
    "wrong", ["driver: nothing\n", "driver: dummy\nnetwork: nonsense\n", "driver: dummy\nkey: 1\n", "a: [\n"]
)
def test_a_wrong_entry_is_told_where_it_is_used_and_left_out_elsewhere(
    cloud: Cloud, wrong: str, caplog: pytest.LogCaptureFixture
) -> None:
    cloud.write("good", "driver: dummy\n")
    cloud.write("wrong", wrong)
    assert names(cloud) == {"good"}
    assert "provider wrong is left out" in caplog.text
    assert cloud.accounts.named("good").name == "good"
    with pytest.raises(ConfigError, match=r"wrong.yaml|network"):
        cloud.accounts.named("wrong")


def test_inline_credentials_become_a_document_once_and_are_never_shown(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    inline = {"DRIVER": "packet", "PACKET_TOKEN": "CANARY-token", "PACKET_PROJECT": "p", "PLAN": "x"}
    account, rest = cloud.accounts.for_attributes(inline, "host edge1")
    assert rest == {"PLAN": "x"}
    assert cloud.accounts.for_attributes(inline, "host edge2")[0] is account
    assert [one.name for one in cloud.oned.kept] == [account.name]
    assert json.loads(cloud.oned.kept[0].body)["token"] == "CANARY-token"
    cloud.accounts.reload()
    assert names(cloud) == {account.name}
    assert "a provider entry is the better place" in caplog.text
    assert "CANARY" not in caplog.text + repr(account.provider.entry) + repr(cloud.oned.kept)


def test_a_recorded_machine_keeps_its_account(cloud: Cloud) -> None:
    cloud.write("a", "driver: dummy\n")
    attributes = {"RENTED_FROM": "a", "PROVIDER": "b", "DRIVER": "packet", "PLAN": "x"}
    account, rest = cloud.accounts.for_attributes(attributes, "host edge1")
    assert (account.name, rest) == ("a", {"PLAN": "x"})


# --- what their lists say ---------------------------------------------------------------------------------------------


class Lists(FakeProvider):
    """A provider whose list calls are counted, and may be held up or fail."""

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__(clock, Fuse(), OnedStore(), idempotent=False)
        self.listed: list[Machine] = []
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()

    def list(self, owner: str) -> Sequence[Machine]:
        self.calls += 1
        assert self.gate.wait(10)
        self._refuse()
        return list(self.listed)


def made(identity: str, *, host_id: int = 7, created: float = 0.0) -> Machine:
    tags = MachineTags(owner="owner", host_id=host_id, token="t", name="edge")
    return Machine(id=identity, state=MachineState.RUNNING, tags=tags, created=created)


@pytest.fixture
def lists(cloud: Cloud) -> Lists:
    return Lists(cloud.clock)


@pytest.fixture
def machines(cloud: Cloud, lists: Lists) -> AccountMachines:
    return AccountMachines(cast(Provider, lists), "owner", cloud.clock)


def test_an_answer_serves_all_who_do_not_need_a_newer_one(
    cloud: Cloud, lists: Lists, machines: AccountMachines
) -> None:
    now = cloud.clock.now()
    assert machines.look(now).asked_at == now
    cloud.clock.sleep(5)
    machines.look(now)
    assert lists.calls == 1
    assert machines.look(now + 1).asked_at == now + 5
    assert lists.calls == 2


@pytest.mark.parametrize("refusals", [0, 1])
def test_a_hundred_at_once_share_one_call_and_its_failure(
    cloud: Cloud, lists: Lists, machines: AccountMachines, refusals: int
) -> None:
    lists.refusals = refusals
    lists.gate.clear()
    answers: list[bool] = []

    def look() -> None:
        try:
            machines.look(cloud.clock.now())
            answers.append(True)
        except TransientError:
            answers.append(False)

    threads = [threading.Thread(target=look) for _ in range(100)]
    for thread in threads:
        thread.start()
    lists.gate.set()
    for thread in threads:
        thread.join()
    assert (answers, lists.calls) == ([not refusals] * 100, 1)
    cloud.clock.sleep(LIMITS.poll)
    assert machines.look(cloud.clock.now()) is machines.latest()


def test_machines_of_a_host_by_tag_and_by_record_oldest_first(
    cloud: Cloud, lists: Lists, machines: AccountMachines
) -> None:
    lists.listed = [made("b", created=2), made("a", created=1), made("other", host_id=8), made("recorded", host_id=-1)]
    machines.look(cloud.clock.now())
    assert [one.id for one in machines.of_host(7)] == ["a", "b"]
    assert [one.id for one in machines.of_host(7, "recorded")] == ["recorded", "a", "b"]


def test_a_machine_just_made_is_shown_until_the_lists_may_be_believed(
    cloud: Cloud, lists: Lists, machines: AccountMachines
) -> None:
    machines.remember(made("new"))
    machines.look(cloud.clock.now())
    assert [one.id for one in machines.of_host(7)] == ["new"]
    cloud.clock.sleep(LIMITS.settle + 1)
    machines.look(cloud.clock.now())
    assert machines.of_host(7) == []
    machines.remember(made("deleted"))
    machines.forget("deleted")
    assert machines.of_host(7) == []
