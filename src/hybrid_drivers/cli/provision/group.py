"""``oneprovision`` (``onehybrid provision``): the group, and where its commands are.

Commands are imported when they are run: a list must not wait for what only ``create`` needs.
"""

from __future__ import annotations

import click

from hybrid_drivers.cli.onegroup import OneGroup

HERE = "hybrid_drivers.cli.provision"
COMMANDS: dict[str, tuple[str, str]] = {  # name -> (module:attribute, its line in --help)
    "apply": (f"{HERE}.change:apply", "Bring a provision to its template, or to another one."),
    "cluster": (f"{HERE}.objects:cluster", "List or delete clusters of provisions."),
    "configure": (f"{HERE}.change:configure", "Configure the hosts of a provision again."),
    "create": (f"{HERE}.create:create", "Make a provision from a template."),
    "datastore": (f"{HERE}.objects:datastore", "List or delete datastores of provisions."),
    "delete": (f"{HERE}.change:delete", "Delete provisions with all they made."),
    "diff": (f"{HERE}.change:diff", "Show what differs from the template."),
    "events": (f"{HERE}.lists:events", "Show the history of a provision."),
    "flowtemplate": (f"{HERE}.objects:flowtemplate", "List or delete service templates of provisions."),
    "host": (f"{HERE}.hosts:host", "Look at, add, switch and delete hosts of provisions."),
    "image": (f"{HERE}.objects:image", "List or delete images of provisions."),
    "ip": (f"{HERE}.hosts:ip", "Add public addresses to a provision."),
    "list": (f"{HERE}.lists:list_", "List provisions."),
    "resume": (f"{HERE}.create:resume", "Go on with a provision that was interrupted."),
    "scale": (f"{HERE}.change:scale", "Change the number of hosts of a provision."),
    "show": (f"{HERE}.lists:show", "Show a provision."),
    "template": (f"{HERE}.objects:template", "List or delete VM templates of provisions."),
    "top": (f"{HERE}.lists:top", "List provisions, again and again."),
    "validate": (f"{HERE}.create:validate", "Check a template."),
    "vm-move": (f"{HERE}.move:vm_move", "Move virtual machines between local and rented hosts."),
    "vnet": (f"{HERE}.objects:vnet", "List or delete networks of provisions."),
    "vntemplate": (f"{HERE}.objects:vntemplate", "List or delete network templates of provisions."),
}


@click.group(cls=OneGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def provision() -> None:
    """Make whole clusters of rented hosts from templates, change them, and give them back."""
