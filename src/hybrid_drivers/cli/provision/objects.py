"""``cluster``, ``datastore``, ``vnet``, ``image``, ``template``, ``vntemplate``, ``flowtemplate``: list and delete."""

from __future__ import annotations

import click

from hybrid_drivers.cli.clilog import logging_options
from hybrid_drivers.cli.output import Column, Listing, ListOutput, listing_options
from hybrid_drivers.cli.provision.front_end import here
from hybrid_drivers.cli.provision.tell import teller
from hybrid_drivers.provision.objectlist import ObjectRow, delete_objects, object_rows

WORDS = {  # our kind -> the group's name, and for people
    "clusters": ("cluster", "clusters"),
    "datastores": ("datastore", "datastores"),
    "networks": ("vnet", "networks"),
    "images": ("image", "images"),
    "templates": ("template", "VM templates"),
    "vntemplates": ("vntemplate", "network templates"),
    "flowtemplates": ("flowtemplate", "service templates"),
}


def _listing(kind: str) -> Listing[ObjectRow]:
    element = WORDS[kind][0].upper()
    return Listing(
        pool=f"{element}_POOL",
        element=element,
        columns=(
            Column("ID", "Identifier", 4, lambda row: row.id),
            Column("NAME", "Its name", 25, lambda row: row.name, left=True),
            Column("PROVISION", "The provision it belongs to", 9, lambda row: row.provision),
            Column("USER", "Its owner", 10, lambda row: row.uname or None, left=True),
            Column("GROUP", "Its group", 10, lambda row: row.gname or None, left=True),
            Column("PERMISSIONS", "Who may do what", 11, lambda row: row.mode or None, left=True, default=False),
        ),
    )


def _group(kind: str) -> click.Group:
    name, words = WORDS[kind]
    listing = _listing(kind)

    @click.group(name, help=f"List or delete {words} of provisions.")
    def group() -> None:
        pass

    @group.command("list", help=f"List the {words} of all provisions.")
    @listing_options(listing)
    @logging_options(letter=False)
    def list_(output: ListOutput[ObjectRow]) -> None:
        site = here()
        output.run(lambda: object_rows(site, kind))

    @group.command("delete", help=f"Delete {words}; their provisions go on without them. WHICH is an id or a name.")
    @click.argument("which", metavar="WHICH...", nargs=-1, required=True)
    @click.option("--force", "-F", is_flag=True, help="Accepted for OneProvision's sake.")
    @logging_options()
    def delete(which: tuple[str, ...], force: bool) -> None:
        site = here()
        with teller() as tell:
            delete_objects(site, kind, which, tell)

    return group


cluster, datastore, vnet = _group("clusters"), _group("datastores"), _group("networks")
image, template = _group("images"), _group("templates")
vntemplate, flowtemplate = _group("vntemplates"), _group("flowtemplates")
