"""Several virtual machines at once: all are looked at before any is touched, then each is moved on its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from queue import Empty, SimpleQueue

from hybrid_drivers.errors import HybridError
from hybrid_drivers.oned.objects import Objects
from hybrid_drivers.oned.vms import Vms
from hybrid_drivers.provision.moving import mark
from hybrid_drivers.provision.moving.carry import Mover
from hybrid_drivers.provision.moving.naming import Target
from hybrid_drivers.provision.moving.plan import CannotMove, Move, Wishes, decide
from hybrid_drivers.provision.moving.world import World, host_word, vm_word


@dataclass(frozen=True, kw_only=True)
class Task:
    """One machine, and how far it is: ``result`` is ``planned``, ``moved``, ``there``, ``refused`` or ``failed``.

    ``first`` is the place chosen beforehand, tried before ``target``; ``where`` names it for people.
    """

    vm_id: int
    name: str
    target: Target
    first: Target
    result: str = "planned"
    steps: tuple[str, ...] = ()
    where: str = ""
    host_id: int | None = None
    runs: bool = False
    problem: str = ""

    @property
    def bad(self) -> bool:
        """Tell whether the machine is not where it was to go."""
        return self.result in ("refused", "failed")

    def told(self) -> str:
        """Tell people how it stands."""
        named = vm_word(self.vm_id, self.name)
        if self.problem:
            return self.problem if self.problem.startswith(named) else f"{named}: {self.problem}"
        if self.result == "planned":
            return f"{named}: {', '.join(self.steps) or 'nothing is to be done'}"
        return (
            f"{named} {'was' if self.result == 'there' else 'is'} {self.where} and {'runs' if self.runs else 'is off'}"
        )


def survey(objects: Objects, vm_ids: Sequence[int], world: World, target: Target, wishes: Wishes) -> list[Task]:
    """Look at all machines and plan them, each with the room that those before it leave. Nothing is changed.

    Raises:
        OnedError: oned cannot be asked, or one of the machines is gone.
    """
    return list(_planned(Vms(objects.oned), vm_ids, world, target, wishes))


def move_all(tasks: Sequence[Task], mover: Mover, *, parallel: int, done: Callable[[Task], None]) -> list[Task]:
    """Move all machines that can be, ``parallel`` of them at once, and return how each ended, in order.

    ``done`` hears of each. When this is interrupted what is under way goes on in oned.
    """
    found = list(tasks)
    waiting: SimpleQueue[int] = SimpleQueue()
    for at, task in enumerate(tasks):
        if task.bad:
            done(task)
        else:
            waiting.put(at)
    wrong: list[BaseException] = []

    def work() -> None:
        try:
            while not wrong:
                at = waiting.get_nowait()
                found[at] = _moved(tasks[at], mover)
                done(found[at])
        except Empty:
            return
        except BaseException as exc:  # noqa: BLE001 # raised where somebody hears it
            wrong.append(exc)

    if parallel == 1:
        work()
    else:
        _in_threads(work, min(parallel, len(tasks)))
    if wrong:
        raise wrong[0]
    return found


def _in_threads(work: Callable[[], None], count: int) -> None:
    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]  # daemon: Ctrl-C ends the waiting
    for one in threads:
        one.start()
    for one in threads:
        one.join()


def _planned(vms: Vms, vm_ids: Sequence[int], world: World, target: Target, wishes: Wishes) -> Iterator[Task]:
    for vm_id in vm_ids:
        vm = vms.get(vm_id)
        task = Task(vm_id=vm_id, name=vm.name, target=target, first=target, runs=vm.runs)
        if not vm.settled and mark.there(vm):
            yield replace(task, steps=(f"wait until {vm.word} of an earlier run has ended", "go on with it"))
            continue
        try:
            decision = decide(vm, world, target.now(world), wishes)
        except CannotMove as exc:
            yield replace(task, result="refused", problem=str(exc))
            continue
        task = replace(task, steps=decision.steps)
        if isinstance(decision, Move):
            world = world.with_guest(decision.host.id, vm)
            first = Target(cluster=decision.cluster, host=decision.host)
            task = replace(task, first=first, where=f"on {host_word(decision.host)}", host_id=decision.host.id)
        yield task


def _moved(task: Task, mover: Mover) -> Task:
    try:
        try:
            ended = mover.run(task.vm_id, task.first)
        except CannotMove:
            if task.first == task.target:
                raise
            ended = mover.run(task.vm_id, task.target)  # things have changed since it was planned
    except CannotMove as exc:
        return replace(task, result="refused", problem=str(exc))
    except HybridError as exc:
        return replace(task, result="failed", problem=str(exc))
    return replace(
        task,
        result="moved" if ended.moved else "there",
        where=f"on {ended.host}" if ended.moved else f"on {ended.host} already",
        host_id=ended.vm.place.host_id if ended.vm.place else None,
        runs=ended.vm.runs,
    )
