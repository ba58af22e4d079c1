"""``validate``, ``create`` and ``resume``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from hybrid_drivers.cli.clilog import logging_options
from hybrid_drivers.cli.output import printable
from hybrid_drivers.cli.provision.fail_options import fail_options, pausing
from hybrid_drivers.cli.provision.front_end import here, here_if_any
from hybrid_drivers.cli.provision.order import checked, ordered
from hybrid_drivers.cli.provision.preview import show_preview
from hybrid_drivers.cli.provision.tell import teller
from hybrid_drivers.errors import ConfigError
from hybrid_drivers.provision.failures import Failures, Quit
from hybrid_drivers.provision.record import Wishes
from hybrid_drivers.provision.runs import CLEANUP_TIMEOUT, begin, go_on
from hybrid_drivers.provision.site import Site

IGNORED = "Accepted for OneProvision's sake: hosts are waited for by the limits of their provider."
FILE = click.argument("file", metavar="FILE", type=click.Path(path_type=Path))
TIMEOUT = click.option(
    "--cleanup-timeout",
    type=click.FloatRange(min=1),
    default=CLEANUP_TIMEOUT,
    metavar="SECONDS",
    show_default=True,
    help="How long a virtual machine or image may take to go.",
)
INPUTS = click.option("--user-inputs", metavar="NAME=VALUE,...", default="", help="Values of the template's inputs.")
PROVIDER = click.option(
    "--provider", metavar="NAME", default="", help="Rent from this provider, whatever the template says."
)


@click.command()
@FILE
@click.option("--dump", is_flag=True, help="Print the template with all it extends; credentials show as ***.")
@INPUTS
@PROVIDER
@logging_options()
def validate(file: Path, dump: bool, user_inputs: str, provider: str) -> None:
    """Check the template FILE, all of it at once, and change nothing.

    With a front-end at hand, providers, names and what must be there already are checked too.
    """
    template = checked(here_if_any(), file, user_inputs, provider)
    if dump:
        from hybrid_drivers.provision.template.dump import dump as dumped

        click.echo(dumped(template, masked=True), nl=False)
    else:
        click.echo(f"{file} is a valid template.")


@click.command()
@FILE
@click.option("--dry-run", is_flag=True, help="Show what would be made and what it costs; make nothing.")
@click.option("--json", "as_json", is_flag=True, help="With --dry-run: print JSON.")
@click.option("--name", metavar="NAME", default="", help="Call it NAME, whatever the template says.")
@PROVIDER
@INPUTS
@click.option("--skip-provision", is_flag=True, help="Make no hosts.")
@click.option("--skip-config", is_flag=True, help="Rent the hosts and do not configure them.")
@click.option("--wait-ready", is_flag=True, help="Wait until images are ready.")
@click.option(
    "--wait-timeout",
    type=click.FloatRange(min=1),
    default=60,
    metavar="SECONDS",
    show_default=True,
    help="How long one image may take.",
)
@click.option("--cleanup", is_flag=True, help="Accepted: taking everything away again always includes images.")
@TIMEOUT
@click.option("--threads", "-t", metavar="N", type=int, help=IGNORED, expose_value=False)
@click.option("--ping-timeout", metavar="SECONDS", type=int, help=IGNORED, expose_value=False)
@click.option("--ping-retries", metavar="N", type=int, help=IGNORED, expose_value=False)
@fail_options()
@logging_options()
def create(
    *,
    file: Path,
    dry_run: bool,
    as_json: bool,
    name: str,
    provider: str,
    user_inputs: str,
    skip_provision: bool,
    skip_config: bool,
    wait_ready: bool,
    wait_timeout: float,
    cleanup: bool,
    cleanup_timeout: float,
    failures: Failures,
) -> None:
    """Make a provision from the template FILE: a cluster, its datastores and networks, hosts, and what runs there.

    Prints its id first and last. When it was interrupted, 'resume ID' goes on, and so does the same command.
    """
    wishes = Wishes(
        provider=provider,
        skip_provision=skip_provision,
        skip_config=skip_config,
        wait_ready=wait_ready,
        wait_timeout=wait_timeout,
    )
    site = here()
    order = ordered(site, file, name, wishes, user_inputs, ask=not failures.batch)
    if dry_run:
        show_preview(site, order, as_json=as_json)
        return
    record = begin(site, order)
    click.echo(f"ID: {record.id}")
    sys.stdout.flush()
    carry_on(site, record.id, failures, cleanup_timeout)


@click.command()
@click.argument("which", metavar="ID|NAME")
@TIMEOUT
@fail_options()
@logging_options()
def resume(which: str, cleanup_timeout: float, failures: Failures) -> None:
    """Go on with a provision that was interrupted, or had a failure that is mended."""
    site = here()
    carry_on(site, site.store.find(which).id, failures, cleanup_timeout)


def carry_on(site: Site, provision_id: int, failures: Failures, cleanup_timeout: float) -> None:
    """Make what is missing of a provision, show it, and print its id at the end.

    Raises:
        ConfigError: it did not come to an end; the text says what to do.
    """
    try:
        with teller() as tell, pausing(failures, tell):
            record = go_on(site, provision_id, failures, tell, timeout=cleanup_timeout)
    except KeyboardInterrupt:
        raise ConfigError(f"interrupted; 'oneprovision resume {provision_id}' goes on") from None
    except Quit as exc:
        click.echo(f"ID: {provision_id}")
        raise ConfigError(
            f"{exc}; everything stays as it is: 'oneprovision resume {provision_id}' goes on, "
            f"'oneprovision delete {provision_id}' takes it away"
        ) from exc
    if record is None:
        click.echo("ID: -1")
        raise ConfigError(f"provision {provision_id} failed, and all it had made was taken away again")
    if record.problem:
        click.echo(printable(record.problem), err=True)
    click.echo(f"ID: {record.id}")
