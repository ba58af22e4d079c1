"""What follows from a hook's event: oned's present state decides, whatever order events come in."""

from __future__ import annotations

import threading

import pytest
from tests.support.hooks import (
    ACTIVE,
    ALIAS_DETACH,
    DONE,
    HOTPLUG_NIC,
    NIC_ATTACH,
    NIC_DETACH,
    POWEROFF,
    RUNNING,
    Noted,
    alias,
    call_info,
    card,
    hook_call,
    machine,
)

from hybrid_drivers.agent.hooks import AliasIp
from hybrid_drivers.errors import NoSuchObject, OnedUnreachable, ProviderError
from hybrid_drivers.oned.hook_actions import parse_hook

CARDS = (card(0, vn_mad="bridge"), card(1), alias(2, 0, vn_mad="alias_sdnat"))
RUNS = machine(ACTIVE, RUNNING, *CARDS)


class Said:
    """oned: one machine."""

    def __init__(self, vm: bytes | None) -> None:
        self.vm, self.calls = vm, 0

    def read(self, method: str, what: str, *args: object) -> str:
        assert (method, args) == ("vm.info", (7, False))
        self.calls += 1
        if self.vm is None:
            raise NoSuchObject(what)
        return self.vm.decode()


def asked(document: bytes, now: bytes | None) -> list[tuple[str, list[str], str]]:
    noted = Noted()
    AliasIp(Said(now), noted).answer(parse_hook(hook_call(document)))  # type: ignore[arg-type] # it only reads
    return noted.asked


# --- running ---


def test_one_that_runs_gets_its_addresses_where_it_is_now() -> None:
    moved = machine(ACTIVE, RUNNING, *CARDS, host="edge2", actions=(2, 0))
    assert asked(RUNS, RUNS) == [("post", ["0", "1", "2"], "edge1")]
    assert asked(RUNS, moved) == [("post", ["0", "1", "2"], "edge2")]


@pytest.mark.parametrize(
    "now",
    [
        None,
        machine(DONE, 0, *CARDS),
        machine(POWEROFF, 0, *CARDS),
        machine(ACTIVE, 4, *CARDS),
        machine(ACTIVE, HOTPLUG_NIC, *CARDS),
        machine(ACTIVE, RUNNING, CARDS[0]),
    ],
    ids=["gone", "done", "off", "moving", "plugging", "no card of ours"],
)
def test_one_that_no_longer_runs_gets_none(now: bytes | None) -> None:
    assert asked(RUNS, now) == []


def test_machines_without_such_cards_cost_oned_nothing() -> None:
    oned = Said(RUNS)
    AliasIp(oned, Noted()).answer(parse_hook(hook_call(machine(ACTIVE, RUNNING, CARDS[0]))))  # type: ignore[arg-type]
    assert oned.calls == 0


# --- plugging ---


def test_a_card_plugged_out_gives_its_address_back() -> None:
    going = machine(ACTIVE, HOTPLUG_NIC, CARDS[0], card(1, ATTACH="YES"), actions=(NIC_DETACH, 0))
    for now in (going, machine(ACTIVE, RUNNING, CARDS[0]), machine(DONE, 0, CARDS[0]), None):
        assert asked(going, now) == [("clean", ["1"], "edge1")]


def test_the_aliases_of_a_card_plugged_out_go_with_it() -> None:
    going = machine(ACTIVE, HOTPLUG_NIC, card(0, vn_mad="bridge", ATTACH="YES"), CARDS[2], actions=(NIC_DETACH, 0))
    assert asked(going, going) == [("clean", ["0", "2"], "edge1")]


def test_a_card_of_somebody_elses_plugged_out_is_not_ours() -> None:
    going = machine(ACTIVE, HOTPLUG_NIC, card(0, vn_mad="bridge", ATTACH="YES"), card(1), actions=(NIC_DETACH, 0))
    assert asked(going, going) == []


def test_a_card_that_could_not_be_plugged_out_keeps_its_address() -> None:
    going = machine(ACTIVE, HOTPLUG_NIC, alias(2, 0, ATTACH="YES"), actions=(ALIAS_DETACH, 0))
    back = machine(ACTIVE, RUNNING, alias(2, 0), actions=(ALIAS_DETACH, 0))
    assert asked(going, back) == []
    assert asked(back, back) == [("post", ["2"], "edge1")]  # what oned tells next


@pytest.mark.parametrize("actions", [(NIC_ATTACH, 0), (0,), (54, 0)], ids=["in", "?", "updated"])
def test_a_card_plugged_in_gets_its_address_when_it_is_in(actions: tuple[int, ...]) -> None:
    assert asked(machine(ACTIVE, HOTPLUG_NIC, card(1, ATTACH="YES"), actions=actions), RUNS) == []


def test_the_calls_of_hooks_on_calls() -> None:
    going = machine(ACTIVE, HOTPLUG_NIC, card(1, ATTACH="YES"), actions=(NIC_DETACH, 0))
    assert asked(call_info("7", "NIC=[]"), RUNS) == [("post", ["0", "1", "2"], "edge1")]
    assert asked(call_info("7", "1"), going) == [("clean", ["1"], "edge1")]
    assert asked(call_info("7", "1", result="0"), RUNS) == []
    assert asked(call_info("7", "1"), None) == []


# --- done ---

ENDED = machine(DONE, 0, *CARDS, actions=(27,))


def test_one_that_is_done_gives_all_back() -> None:
    assert asked(ENDED, ENDED) == [("clean", ["0", "1", "2"], "edge1")]
    assert asked(ENDED, None) == [("clean", ["0", "1", "2"], "edge1")]


def test_one_deleted_while_a_card_was_plugged_gives_all_back() -> None:
    ended = machine(DONE, 0, card(0, ATTACH="YES"), card(1))
    assert asked(ended, ended) == [("clean", ["0", "1"], "edge1")]


def test_one_that_never_ran_has_nothing() -> None:
    assert asked(machine(DONE, 0, *CARDS, host=""), None) == []


# --- failures, and several at once ---


def test_failures_are_told() -> None:
    class Down(Said):
        def read(self, method: str, what: str, *args: object) -> str:
            raise OnedUnreachable("oned does not answer")

    with pytest.raises(OnedUnreachable):
        AliasIp(Down(None), Noted()).answer(parse_hook(hook_call(RUNS)))  # type: ignore[arg-type]

    class Refuses(Noted):
        def post(self, vm_document: bytes, host: str) -> None:
            raise ProviderError("no")

    with pytest.raises(ProviderError):
        AliasIp(Said(RUNS), Refuses()).answer(parse_hook(hook_call(RUNS)))  # type: ignore[arg-type]


def test_events_of_one_machine_take_turns() -> None:
    inside, most, guard, gate = 0, 0, threading.Lock(), threading.Barrier(4)

    class Slow(Noted):
        def post(self, vm_document: bytes, host: str) -> None:
            nonlocal inside, most
            with guard:
                inside += 1
                most = max(most, inside)
            threading.Event().wait(0.01)
            with guard:
                inside -= 1

    hook = AliasIp(Said(RUNS), Slow())  # type: ignore[arg-type]

    def run() -> None:
        gate.wait()
        hook.answer(parse_hook(hook_call(RUNS)))

    threads = [threading.Thread(target=run) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert most == 1
