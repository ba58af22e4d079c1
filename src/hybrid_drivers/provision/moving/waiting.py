"""Waiting for what oned only begins: until a machine is as it is to be, or it is clear that it does not get there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import HybridError, OnedUnreachable
from hybrid_drivers.model_vms import VmDetail
from hybrid_drivers.oned.vms import Vms

FIRST, LONGEST = 0.05, 1.0  # seconds between two looks: short at first, as some things take no time
GRACE: Final = 15.0  # seconds for oned to begin with what it has accepted: it does so behind the call's reply


class Failed(HybridError):
    """What was begun has ended, and not well; the text is oned's reason, ``where`` what the machine does and where."""

    def __init__(self, vm: VmDetail) -> None:
        super().__init__(vm.error or f"its state is {vm.word}")
        self.where = f"{vm.word} on host {vm.place.host_name}" if vm.place else vm.word


class TooLong(HybridError):
    """It has taken longer than it may; it goes on in oned."""


class Wait:
    """Waits for machines. ``timeout``: seconds for each wait."""

    def __init__(self, vms: Vms, clock: Clock, timeout: float) -> None:
        self._vms, self._clock, self._timeout = vms, clock, timeout

    def until(self, before: VmDetail, reached: Callable[[VmDetail], bool]) -> VmDetail:
        """Look at a machine until ``reached`` says so, and return how it is then; ``before`` is how it was.

        A oned that does not answer is asked again until the time is over.

        Raises:
            Failed: it has come to rest somewhere else.
            TooLong: the time is over.
        """
        began, moving, pause = self._clock.monotonic(), False, FIRST
        while True:
            vm, spent = self._look(before.id), self._clock.monotonic() - began
            if vm is not None:
                if reached(vm):
                    return vm
                moving = moving or not vm.settled
                told = bool(vm.error) and vm.error != before.error
                failed = vm.failed and not before.failed
                if vm.settled and (moving or told or failed or spent > GRACE):
                    raise Failed(vm)
            if spent > self._timeout:
                state = f"its state is {vm.word}" if vm else "oned does not answer"
                raise TooLong(f"{state} after {self._timeout:.0f} s (--timeout)")
            self._clock.sleep(pause)
            pause = min(LONGEST, pause * 1.5)

    def _look(self, vm_id: int) -> VmDetail | None:
        try:
            return self._vms.get(vm_id)
        except OnedUnreachable:
            return None
