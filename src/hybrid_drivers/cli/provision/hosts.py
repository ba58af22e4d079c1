"""``host ...`` and ``ip add``: the hosts of provisions, and their addresses."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict

import click

from hybrid_drivers.cli.clilog import logging_options
from hybrid_drivers.cli.output import Column, Listing, ListOutput, listing_options, printable, top_options
from hybrid_drivers.cli.provision.carrying import Work, carry_out, carry_out_all
from hybrid_drivers.cli.provision.configuring import configure_hosts
from hybrid_drivers.cli.provision.fail_options import fail_options
from hybrid_drivers.cli.provision.front_end import here
from hybrid_drivers.cli.provision.tell import lasting
from hybrid_drivers.model import Host
from hybrid_drivers.provision import addresses, changes
from hybrid_drivers.provision.failures import Failures
from hybrid_drivers.provision.hostlist import HostRow, find, friendly, host_rows, provision_of
from hybrid_drivers.provision.hostpower import HostPower
from hybrid_drivers.provision.site import Site
from hybrid_drivers.provision.template.inputs import parse_user_inputs

HOSTS: Listing[HostRow] = Listing(
    pool="HOST_POOL",
    element="HOST",
    data=lambda row: {**asdict(row.view), **{key: value for key, value in vars(row).items() if key != "view"}},
    columns=(
        Column("ID", "Identifier of the host", 4, lambda row: row.view.id),
        Column("NAME", "The name it was given", 20, lambda row: row.view.name, left=True),
        Column("PROVISION", "The provision it belongs to", 9, lambda row: row.provision),
        Column("CLUSTER", "Its cluster", 7, lambda row: row.cluster),
        Column("PROVIDER", "Where it is rented", 16, lambda row: row.provider or None, left=True),
        Column("PLAN", "What is rented", 16, lambda row: row.plan or None, left=True),
        Column("ADDRESS", "Where it answers", 15, lambda row: row.view.address or None, left=True),
        Column("STAT", "How far it is", 12, lambda row: row.view.state, left=True, state=True),
        Column("RVM", "Virtual machines on it", 3, lambda row: row.guests),
        Column("TIME", "How long it took, or has taken", 8, lambda row: lasting(row.view.elapsed), default=False),
        Column("STEP", "What is being done, or is wrong", 30, lambda row: row.view.problem or row.view.step, left=True),
        Column("MACHINE", "The provider's id", 36, lambda row: row.machine or None, left=True, default=False),
        Column("ONED", "Its state in oned", 12, lambda row: row.oned_state, left=True, default=False),
        Column("CPU", "Capacity, percent of a core", 6, lambda row: row.cpu, default=False),
        Column("MEM", "Capacity, KiB", 10, lambda row: row.memory, default=False),
    ),
)
WHICH = click.argument("which", metavar="HOST...", nargs=-1, required=True)
FORCE = click.option("--force", "-F", is_flag=True, help="Also under running virtual machines.")


@click.group()
def host() -> None:
    """Look at, add, switch and delete hosts of provisions; HOST is an id or a name."""


@host.command("list")
@listing_options(HOSTS)
@logging_options(letter=False)
def list_(output: ListOutput[HostRow]) -> None:
    """List the hosts of all provisions."""
    site = here()
    output.run(lambda: host_rows(site))


@host.command()
@top_options(HOSTS)
@logging_options(letter=False)
def top(output: ListOutput[HostRow]) -> None:
    """List the hosts of all provisions, again and again."""
    site = here()
    output.run(lambda: host_rows(site))


@host.command()
@click.argument("provision", metavar="PROVISION")
@click.option("--amount", type=click.IntRange(1, 1000), help="How many (1, or as many as there are names).")
@click.option("--hostnames", metavar="NAME,...", default="", help="What they are called.")
@click.option("--host-params", metavar="KEY=VALUE,...", default="", help="PROVISION keys of theirs, like plan=...")
@fail_options(cleanup=False)
@logging_options()
def add(provision: str, amount: int | None, hostnames: str, host_params: str, failures: Failures) -> None:
    """Add hosts to a provision. They are made like the last one of its template."""
    site = here()
    found = site.store.find(provision)
    names = [name.strip() for name in hostnames.split(",") if name.strip()]
    parameters = parse_user_inputs(host_params)
    count = amount or max(1, len(names))
    carry_out(
        found.id,
        lambda tell: changes.add_hosts(
            site, found.id, failures, tell, amount=count, names=names, parameters=parameters
        ),
        failures,
        f"'oneprovision resume {found.id}'",  # the same command would add more
    )


@host.command()
@WHICH
@fail_options(cleanup=False)
@logging_options()
def delete(which: tuple[str, ...], failures: Failures) -> None:
    """Give hosts and their machines back. Their provisions go on without them."""
    site = here()
    by_provision: dict[int, list[int]] = {}
    for one in [find(site, word) for word in which]:
        by_provision.setdefault(provision_of(one), []).append(one.id)

    def deletion(number: int, ids: Sequence[int]) -> Work:
        return lambda tell: changes.remove_hosts(site, number, ids, tell)

    works = {f"host {', '.join(map(str, ids))}": deletion(number, ids) for number, ids in by_provision.items()}
    carry_out_all(works, "given back", failures, site.clock)


@host.command()
@WHICH
@FORCE
@logging_options()
def poweroff(which: tuple[str, ...], force: bool) -> None:
    """Switch machines off, their hosts offline. They are still paid for."""
    site = here()
    _each(site, which, HostPower(site, force=force).off, "is switched off")


@host.command()
@WHICH
@logging_options()
def resume(which: tuple[str, ...]) -> None:
    """Switch machines on and enable the hosts."""
    site = here()
    _each(site, which, HostPower(site).on, "is switched on")


@host.command()
@WHICH
@click.option("--hard", "-H", is_flag=True, help="Like the machine's reset button.")
@FORCE
@logging_options()
def reboot(which: tuple[str, ...], hard: bool, force: bool) -> None:
    """Restart machines."""
    site = here()
    _each(site, which, lambda one: HostPower(site, force=force).restart(one, hard=hard), "restarts")


@host.command()
@WHICH
@click.option("--force", "-F", is_flag=True, help="Accepted: a second run changes nothing that is as it should be.")
@logging_options()
def configure(which: tuple[str, ...], force: bool) -> None:
    """Run the configuration of hosts again."""
    site = here()
    configure_hosts([find(site, word).id for word in which])


@host.command(context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False})
@click.argument("which", metavar="HOST")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
def ssh(which: str, command: tuple[str, ...]) -> None:
    """Log in to a host by SSH, or run COMMAND there. Its host key must be the pinned one."""
    from hybrid_drivers.cli.provision.login import log_in

    click.get_current_context().exit(log_in(find(here(), which), command))


@click.group()
def ip() -> None:
    """Public addresses of provisions."""


@ip.command("add")
@click.argument("provision", metavar="PROVISION")
@click.option("--amount", type=click.IntRange(1, 65536), default=1, show_default=True, help="How many addresses.")
@logging_options()
def add_ip(provision: str, amount: int) -> None:
    """Add addresses to the public network of a provision.

    They are one more address range, like its first one with an IPAM driver.
    """
    site = here()
    record = site.store.read(site.store.find(provision).id)
    network = addresses.add(site, record, amount)
    click.echo(f"network {network} has {amount} more addresses")


def _each(site: Site, which: tuple[str, ...], action: Callable[[Host], None], done: str) -> None:
    for one in [find(site, word) for word in which]:
        action(one)
        click.echo(printable(f"host {friendly(one)} (id {one.id}) {done}"))
