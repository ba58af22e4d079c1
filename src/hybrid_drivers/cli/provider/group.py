"""``oneprovider`` (``onehybrid provider``): the group, and where its commands are."""

from __future__ import annotations

import click

from hybrid_drivers.cli.onegroup import OneGroup

HERE = "hybrid_drivers.cli.provider"
COMMANDS: dict[str, tuple[str, str]] = {  # name -> (module:attribute, its line in --help)
    "check": (f"{HERE}.entry:check", "Check the credentials of a provider."),
    "chgrp": (f"{HERE}.owned:chgrp", "Give providers to another group."),
    "chmod": (f"{HERE}.owned:chmod", "Set the permissions of providers."),
    "chown": (f"{HERE}.owned:chown", "Give providers to another user."),
    "create": (f"{HERE}.entry:create", "Make a provider from a YAML file."),
    "delete": (f"{HERE}.owned:delete", "Delete providers that nobody uses."),
    "import": (f"{HERE}.entry:import_", "Take over providers of OneProvision 6.x."),
    "list": (f"{HERE}.lists:list_", "List providers."),
    "rename": (f"{HERE}.owned:rename", "Give a provider that nobody uses another name."),
    "show": (f"{HERE}.lists:show", "Show a provider, credentials masked."),
    "update": (f"{HERE}.entry:update", "Replace what a provider says."),
}


@click.group(cls=OneGroup, table=COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
def provider() -> None:
    """Manage the accounts machines are rented from.

    Providers are documents of OpenNebula (made here), or files of the folder providers.d, which are only shown.
    """
