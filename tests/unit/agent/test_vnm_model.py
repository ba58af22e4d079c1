"""Any sequence of events of virtual machines on several hosts, against a small model.

Each address is at exactly one place or nowhere, none is lost, none is shared, and after every event that oned waits for
it is where its machine is. The agent's code is the real one, over the real simulators; oned's order of actions is that
of ``one_vmm_exec.rb``.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test
from tests.support.examples import examples
from tests.support.vnm_world import Cut, vnm_world

from hybrid_drivers.errors import HostUnreachable, HybridError

SIZE, HOSTS, VMS = 3, 3, (11, 12, 13)
PLACES = st.integers(0, HOSTS - 1)
ADDRESSES = st.integers(0, SIZE - 1)


class Events(RuleBasedStateMachine):
    """``on``: where machines run; ``has``: their cards; ``left``: addresses that a failure may have left anywhere."""

    provider = "packet"

    def __init__(self) -> None:
        super().__init__()
        self.undo = contextlib.ExitStack()
        folder = Path(self.undo.enter_context(tempfile.TemporaryDirectory()))
        self.world = self.undo.enter_context(vnm_world(self.provider, folder, size=SIZE, hosts=HOSTS))
        self.on: dict[int, int] = {}
        self.has: dict[int, list[int]] = {vm: [] for vm in VMS}
        self.left: set[int] = set()

    def teardown(self) -> None:
        self.undo.close()

    def free(self) -> list[int]:
        return [one for one in range(SIZE) if one not in self.world.leases]

    def off(self) -> list[int]:
        return [vm for vm in VMS if vm not in self.on]

    def sure(self, act: Callable[[], None]) -> None:
        """Do it as people would: again, when it failed."""
        for _ in range(3):
            with contextlib.suppress(HybridError):
                act()
                return
        act()

    # --- events of virtual machines -------------------------------------------------------------------------------

    @rule(data=st.data(), place=PLACES)
    def start(self, data: Any, place: int) -> None:
        """Deployed, or resumed: one without cards gets a free address first."""
        if not self.off():
            return
        vm = data.draw(st.sampled_from(self.off()))
        if not self.has[vm] and self.free():
            self._lease(vm, data.draw(st.sampled_from(self.free())))
        if not self.has[vm]:
            return
        self.sure(lambda: self.world.post(vm, place, *self.has[vm]))
        self.on[vm] = place
        self.left -= set(self.has[vm])

    @precondition(lambda self: self.on)
    @rule(data=st.data(), twice=st.booleans())
    def stop(self, data: Any, twice: bool) -> None:
        vm = data.draw(st.sampled_from(sorted(self.on)))
        host = self.on.pop(vm)
        for _ in range(1 + twice):
            self.sure(lambda: self.world.clean(vm, host, *self.has[vm]))

    @precondition(lambda self: self.on)
    @rule(data=st.data(), place=PLACES, clean_first=st.booleans(), reached=st.booleans())
    def migrate(self, data: Any, place: int, clean_first: bool, reached: bool) -> None:
        """Live (the old host is in argv of both), in either order; the old node may be out of reach."""
        vm = data.draw(st.sampled_from(sorted(self.on)))
        old = self.on[vm]
        if old == place:
            return
        if not reached:
            self.world.nodes.failing["remote_clean"] = HostUnreachable("gone")

        def clean() -> None:
            with contextlib.suppress(HostUnreachable):
                self.sure(lambda: self.world.clean(vm, old, *self.has[vm], now_on=place))

        if clean_first:
            clean()
        self.sure(lambda: self.world.post(vm, place, *self.has[vm], argv=old))
        if not clean_first:
            clean()
        self.world.nodes.failing.clear()
        self.on[vm] = place

    @precondition(lambda self: self.on and self.free())
    @rule(data=st.data(), fails=st.booleans())
    def attach(self, data: Any, fails: bool) -> None:
        vm = data.draw(st.sampled_from(sorted(self.on)))
        number = data.draw(st.sampled_from(self.free()))
        self._lease(vm, number)
        if not fails:
            self.sure(lambda: self.world.post(vm, self.on[vm], *self.has[vm], attach=number))
            self.left.discard(number)
            return
        self.world.nodes.failing["remote_post"] = HostUnreachable("gone")
        with pytest.raises(HybridError):
            self.world.post(vm, self.on[vm], *self.has[vm], attach=number)
        self.world.nodes.failing.clear()
        self._give_back(vm, number)

    @precondition(lambda self: any(self.has[vm] for vm in self.on))
    @rule(data=st.data())
    def detach(self, data: Any) -> None:
        vm = data.draw(st.sampled_from([one for one in self.on if self.has[one]]))
        number = data.draw(st.sampled_from(self.has[vm]))
        self.sure(lambda: self.world.clean(vm, self.on[vm], *self.has[vm], attach=number))
        self._give_back(vm, number)

    @rule(data=st.data())
    def terminate(self, data: Any) -> None:
        vm = data.draw(st.sampled_from(VMS))
        if vm in self.on:
            host = self.on.pop(vm)
            self.sure(lambda: self.world.clean(vm, host, *self.has[vm]))
        for number in list(self.has[vm]):
            self._give_back(vm, number)

    @precondition(lambda self: self.on)
    @rule(data=st.data())
    def vanish(self, data: Any) -> None:
        """Deleted by force: nobody cleans, the leases are free."""
        vm = data.draw(st.sampled_from(sorted(self.on)))
        del self.on[vm]
        for number in list(self.has[vm]):
            self._give_back(vm, number)
            self.left.add(number)

    @precondition(lambda self: self.on)
    @rule(data=st.data(), place=PLACES)
    def deleted_then_cleaned(self, data: Any, place: int) -> None:
        """The lease is free, and somebody else's, before the clean of the old one comes."""
        vm = data.draw(st.sampled_from(sorted(self.on)))
        host = self.on.pop(vm)
        cards = list(self.has[vm])
        for number in cards:
            self._give_back(vm, number)
        heir = next((one for one in self.off() if not self.has[one] and one != vm), None)
        if heir is not None and cards:
            self._lease(heir, cards[0])
            self.sure(lambda: self.world.post(heir, place, cards[0]))
            self.on[heir] = place
        self.sure(lambda: self.world.clean(vm, host, *cards))

    # --- what goes wrong ------------------------------------------------------------------------------------------

    @rule()
    def lose_a_reply(self) -> None:
        self.world.bench.simulator.knobs.change({"lost_address_reply": 1})

    @precondition(lambda self: self.on)
    @rule(data=st.data(), before=st.booleans())
    def end_of_the_agent(self, data: Any, before: bool) -> None:
        """In the middle of a move, before or after an address was sent: the client repeats the call."""
        vm = data.draw(st.sampled_from(sorted(self.on)))
        place = (self.on[vm] + 1) % HOSTS
        addresses = self.world.bench.addresses
        real = addresses.assign

        def ends(*told: Any, **more: Any) -> None:
            if not before:
                with contextlib.suppress(HybridError):
                    real(*told, **more)
            raise Cut

        with mock.patch.object(type(addresses), "assign", staticmethod(ends)), contextlib.suppress(Cut):
            self.world.post(vm, place, *self.has[vm], argv=self.on[vm])
        self.world.agent()
        self.sure(lambda: self.world.post(vm, place, *self.has[vm], argv=self.on[vm]))
        self.sure(lambda: self.world.clean(vm, self.on[vm], *self.has[vm], now_on=place))
        self.on[vm] = place

    @rule()
    def sweep(self) -> None:
        self.world.bench.simulator.knobs.change({"lost_address_reply": 0})
        self.world.sweep()
        self.left.clear()

    # --- what always holds ----------------------------------------------------------------------------------------

    @invariant()
    def each_address_is_where_its_machine_is(self) -> None:
        wanted = {number: host for vm, host in self.on.items() for number in self.has[vm]}
        found = {number: host for number, host in self.world.where().items() if number not in self.left}
        assert found == wanted

    def _lease(self, vm: int, number: int) -> None:
        self.world.leases[number] = vm
        self.has[vm].append(number)

    def _give_back(self, vm: int, number: int) -> None:
        self.world.freed(number)
        self.has[vm].remove(number)


class Ec2Events(Events):
    provider = "ec2"


@pytest.mark.hypothesis
@pytest.mark.parametrize("kind", [Events, Ec2Events], ids=lambda kind: kind.provider)
def test_any_sequence_of_events(kind: type[Events]) -> None:
    """None is lost: whatever happened, the reservation is still what it was."""
    run_state_machine_as_test(
        kind,
        settings=settings(
            max_examples=examples({"packet": 8, "ec2": 4}[kind.provider]),
            stateful_step_count=25,
            suppress_health_check=list(HealthCheck),
            derandomize=True,
            database=None,
            phases=[Phase.generate],  # what fails is found again by the same run; making it small takes minutes
        ),
    )
