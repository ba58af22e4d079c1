"""In which order the drivers of a virtual machine are run, and what follows when one fails.

Facts: OpenNebula 7's ``one_vmm_exec.rb``: ``post`` and ``clean`` get the host of the action in argv, which is the
**old** one for both during a live migration; what fails there after the machine has moved changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

VMM = "vmm"


@dataclass(frozen=True, kw_only=True)
class Step:
    """One step. Of the virtualization driver (``action`` is VMM) nothing is run: ``fails`` is why it fails, if it does.

    ``host`` is where it is done, unless ``vmm_execrc`` has it on the front-end; ``undo`` is done when it fails;
    ``no_fail``: a failure is only logged.
    """

    action: str
    host: str = ""
    argv: tuple[str, ...] = ()
    fails: str = ""
    undo: Sequence[Step] = ()
    no_fail: bool = False


def clean(host: str, *, named: str = "", no_fail: bool = False) -> Step:
    """Return a ``clean`` on a host; ``named`` is the one in argv when that is another."""
    return Step(action="clean", host=host, argv=(named or host,), no_fail=no_fail)


def deploy(deploy_id: str, host: str, fails: str = "") -> list[Step]:
    """Start it: waiting, or powered off."""
    boot = Step(action=VMM, fails=fails, undo=[clean(host)])
    post = Step(action="post", host=host, argv=(deploy_id, host), undo=[Step(action=VMM), clean(host)])
    return [Step(action="pre", host=host), boot, post]


def destroy(host: str, fails: str = "") -> list[Step]:
    """End it or switch it off (``shutdown``, ``cancel``)."""
    return [Step(action=VMM, fails=fails), clean(host)]


def save(host: str) -> list[Step]:
    """Save its state, as before a migration that is not live."""
    return [Step(action=VMM), clean(host)]


def restore(deploy_id: str, host: str) -> list[Step]:
    """Restore it from its saved state; a ``post`` that fails is not followed by a ``clean``."""
    post = Step(action="post", host=host, argv=(deploy_id, host), undo=[Step(action=VMM)])
    return [Step(action="pre", host=host), Step(action=VMM), post]


def migrate(deploy_id: str, old: str, new: str, fails: str = "") -> list[Step]:
    """Move it while it runs."""
    post = Step(action="post", host=new, argv=(deploy_id, old), no_fail=True)
    return [Step(action="pre", host=new), Step(action=VMM, fails=fails), clean(old, no_fail=True), post]


def cleanup(host: str, previous: str = "") -> list[Step]:
    """Take it away by force; ``previous``: the other host of a migration, which argv does not name."""
    other = [clean(previous, named=host, no_fail=True)] if previous else []
    return [Step(action=VMM, no_fail=True), clean(host, no_fail=True), *other]


def attach(deploy_id: str, host: str, *, alias: bool) -> list[Step]:
    """Give it a card; an alias needs no virtualization driver."""
    post = Step(action="post", host=host, argv=(deploy_id, host), undo=[] if alias else [Step(action=VMM)])
    return [Step(action="pre", host=host), *([] if alias else [Step(action=VMM)]), post]


def detach(host: str, *, alias: bool) -> list[Step]:
    """Take a card from it."""
    return [*([] if alias else [Step(action=VMM)]), clean(host)]
