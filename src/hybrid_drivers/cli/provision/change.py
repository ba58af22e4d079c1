"""``delete``, ``scale``, ``diff``, ``apply`` and ``configure``: provisions that are there already."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from hybrid_drivers.cli.clilog import logging_options
from hybrid_drivers.cli.output import printable
from hybrid_drivers.cli.provision.carrying import Work, carry_out, carry_out_all, sure
from hybrid_drivers.cli.provision.configuring import configure_hosts
from hybrid_drivers.cli.provision.create import INPUTS, PROVIDER, TIMEOUT
from hybrid_drivers.cli.provision.fail_options import fail_options
from hybrid_drivers.cli.provision.front_end import here
from hybrid_drivers.cli.provision.order import reordered
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision import changes
from hybrid_drivers.provision.differences import Difference, summary
from hybrid_drivers.provision.failures import Failures
from hybrid_drivers.provision.runs import take_away

WHICH = click.argument("which", metavar="ID|NAME")
YES = click.option("--yes", "-y", is_flag=True, help="Do not ask.")
DIFFERS = 2  # exit code of diff


@click.command()
@click.argument("which", metavar="ID|NAME...", nargs=-1, required=True)
@click.option("--cleanup", is_flag=True, help="Delete virtual machines on its hosts and images in its datastores, too.")
@TIMEOUT
@click.option("--threads", "-t", type=int, help="Accepted for OneProvision's sake.", expose_value=False)
@fail_options(cleanup=False)
@logging_options()
def delete(which: tuple[str, ...], cleanup: bool, cleanup_timeout: float, failures: Failures) -> None:
    """Delete provisions: all they made, the machines first, and nothing else.

    Refused while virtual machines run on the hosts or others have images in the datastores, unless --cleanup is given.
    """
    site = here()

    def deletion(number: int) -> Work:
        return lambda tell: take_away(site, number, tell, cleanup=cleanup, timeout=cleanup_timeout)

    works = {f"provision {one.id} '{one.name}'": deletion(one.id) for one in map(site.store.find, which)}
    carry_out_all(works, "is deleted; no machine of it is left", failures, site.clock)


@click.command()
@WHICH
@click.argument("hosts", type=click.IntRange(min=0))
@YES
@fail_options(cleanup=False)
@logging_options()
def scale(which: str, hosts: int, yes: bool, failures: Failures) -> None:
    """Bring the number of hosts to HOSTS.

    New ones are made like the template's last one. Those that go are without virtual machines, failed ones first.
    """
    site = here()
    found = site.store.find(which)
    planned = changes.scale_plan(site, found.id, hosts)
    if planned.remove:
        sure(f"give back {', '.join(slot.name or str(slot.index) for slot in planned.remove)}?", yes or failures.batch)
    carry_out(found.id, lambda tell: changes.scale(site, found.id, hosts, failures, tell), failures)


@click.command()
@WHICH
@click.argument("file", required=False, type=click.Path(path_type=Path))
@INPUTS
@PROVIDER
@click.option("--json", "-j", "as_json", is_flag=True, help="Print JSON.")
@logging_options()
def diff(which: str, file: Path | None, user_inputs: str, provider: str, as_json: bool) -> None:
    """Show what differs between a provision and its template, or the template FILE; change nothing.

    Exit code 0: nothing differs, 2: something does.
    """
    site = here()
    record = site.store.read(site.store.find(which).id)
    order = reordered(site, record, file, user_inputs, provider)
    found = changes.compare(site, record, order)
    if as_json:
        click.echo(json.dumps([_as_json(one) for one in found]))
    else:
        _show(found)
    if found:
        click.get_current_context().exit(DIFFERS)


@click.command()
@WHICH
@click.argument("file", required=False, type=click.Path(path_type=Path))
@INPUTS
@PROVIDER
@click.option("--replace", is_flag=True, help="Also hosts that would rent something else: new machines for old ones.")
@YES
@fail_options(cleanup=False)
@logging_options()
def apply(
    *, which: str, file: Path | None, user_inputs: str, provider: str, replace: bool, yes: bool, failures: Failures
) -> None:
    """Bring a provision to its template, or to the template FILE: add, update, configure and remove what differs."""
    site = here()
    record = site.store.read(site.store.find(which).id)
    order = reordered(site, record, file, user_inputs, provider)
    found = changes.compare(site, record, order)
    _show(found)
    if found:
        sure("do this?", yes or failures.batch)
    carry_out(
        record.id,
        lambda tell: changes.apply(
            site, record.id, order, failures, tell, configure=configure_hosts, replace_hosts=replace
        ),
        failures,
    )


@click.command()
@WHICH
@click.option("--force", "-F", is_flag=True, help="Accepted: a second run changes nothing that is as it should be.")
@logging_options()
def configure(which: str, force: bool) -> None:
    """Run the configuration of all hosts of a provision again."""
    site = here()
    record = site.store.read(site.store.find(which).id)
    hosts = [slot.id for slot in record.exists("hosts") if slot.id is not None]
    if not hosts:
        raise ConfigError(f"provision {record.id} '{record.name}' has no host to configure")
    configure_hosts(hosts)


def _show(found: Sequence[Difference]) -> None:
    from hybrid_drivers.provision.plan import WORDS

    for one in found:
        click.echo(printable(f"{one.change.value:<9} {WORDS[one.kind]} {one.name}"))
        for detail in one.details:
            click.echo(printable(f"            {detail}"))
    click.echo(summary(found))


def _as_json(one: Difference) -> dict[str, object]:
    number = one.slot.id if one.slot else None
    return {"change": one.change.value, "kind": one.kind, "name": one.name, "id": number, "details": list(one.details)}
