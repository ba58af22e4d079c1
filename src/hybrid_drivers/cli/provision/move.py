"""``vm-move``: virtual machines from one host or cluster to another."""

from __future__ import annotations

import json
from collections.abc import Sequence

import click

from hybrid_drivers.cli.clilog import logging_options
from hybrid_drivers.cli.output import printable
from hybrid_drivers.cli.provision.front_end import here
from hybrid_drivers.cli.provision.tell import teller
from hybrid_drivers.errors import ConfigError, HybridError
from hybrid_drivers.provision.moving.carry import Mover
from hybrid_drivers.provision.moving.naming import find_machines, find_target
from hybrid_drivers.provision.moving.plan import Wishes
from hybrid_drivers.provision.moving.several import Task, move_all, survey
from hybrid_drivers.provision.moving.world import World
from hybrid_drivers.provision.site import Site


@click.command("vm-move")
@click.argument("machines", metavar="VM...", nargs=-1, required=True)
@click.option("--to", metavar="HOST|CLUSTER", required=True, help="Where to; host:... and cluster:... are exact.")
@click.option("--datastore", type=click.IntRange(min=0), help="The system datastore there (one that fits).")
@click.option("--live", is_flag=True, help="Without a stop, within a cluster and its system datastore.")
@click.option("--hard", is_flag=True, help="Switch off without asking the guest.")
@click.option("--no-resume", is_flag=True, help="Leave what is switched off as it is.")
@click.option("--timeout", type=click.FloatRange(min=1), default=600, show_default=True, help="Seconds for each step.")
@click.option("--parallel", type=click.IntRange(1, 100), default=1, show_default=True, help="How many at once.")
@click.option("--dry-run", is_flag=True, help="Show what would be done, or why not, and do nothing.")
@click.option("--json", "-j", "as_json", is_flag=True, help="Print JSON.")
@logging_options()
def vm_move(
    *,
    machines: tuple[str, ...],
    to: str,
    datastore: int | None,
    live: bool,
    hard: bool,
    no_resume: bool,
    timeout: float,
    parallel: int,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move virtual machines to a host, or to the host of a cluster that has the most room.

    VM, HOST and CLUSTER are ids or names. Running machines are switched off, moved, and started again; nothing is
    switched off that cannot be moved. After an interruption the same command goes on.
    """
    if live and (hard or no_resume):
        raise ConfigError("--live switches nothing off, so --hard and --no-resume do not go with it")
    site, wishes = here(), Wishes(live=live, hard=hard, resume=not no_resume, datastore_id=datastore)
    world = World.look(site.objects)
    target, vm_ids = find_target(world, to), find_machines(site.oned.vms(), machines)
    tasks = survey(site.objects, vm_ids, world, target, wishes)
    if not dry_run:
        tasks = _carry_out(site, tasks, wishes, parallel=parallel, timeout=timeout)
    _show(tasks, as_json=as_json)
    _complain(tasks)


def _carry_out(site: Site, tasks: Sequence[Task], wishes: Wishes, *, parallel: int, timeout: float) -> list[Task]:
    try:
        with teller() as tell:
            mover = Mover(site.objects, site.clock, site.who, wishes, tell.say, timeout=timeout)
            several = len(tasks) > 1
            return move_all(
                tasks, mover, parallel=parallel, done=lambda task: tell.say(task.told()) if several else None
            )
    except KeyboardInterrupt:
        raise ConfigError(
            "interrupted; what had begun goes on in oned, and the same command goes on from there"
        ) from None


def _show(tasks: Sequence[Task], *, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps([_as_json(task) for task in tasks]))
        return
    for task in tasks:
        if not task.bad:
            click.echo(printable(task.told()))


def _complain(tasks: Sequence[Task]) -> None:
    """Raise: HybridError: some machines are not where they were to go."""
    bad = [task for task in tasks if task.bad]
    if not bad:
        return
    if len(tasks) == 1:
        raise HybridError(bad[0].told())
    reasons = "".join(f"\n  {task.told()}" for task in bad)
    raise HybridError(f"{len(bad)} of {len(tasks)} virtual machines were not moved:{reasons}")


def _as_json(task: Task) -> dict[str, object]:
    return {
        "vm": task.vm_id,
        "name": task.name,
        "result": task.result,
        "host": task.host_id,
        "running": task.runs,
        "steps": list(task.steps),
        "problem": task.problem,
    }
