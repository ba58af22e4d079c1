"""Running the configuration of hosts again, through the agent of this front-end."""

from __future__ import annotations

from collections.abc import Sequence

import click

from hybrid_drivers.cli import configure
from hybrid_drivers.errors import HybridError


def configure_hosts(hosts: Sequence[int]) -> None:
    """Do what ``onehybrid configure`` does for these hosts.

    Raises:
        AgentError: there is no agent here and none can be started.
        HybridError: it failed on some; each was told.
    """
    request = {"hosts": [str(one) for one in hosts], "cluster": "", "all": False, "check": False}
    results = configure.run(request, lambda line: click.echo(line, err=True))
    configure.summarize(results, check=False)
    failed = [one.name for one in results if one.outcome != "done"]
    if failed:
        raise HybridError(f"not configured: {', '.join(failed)}; the lines above say why")
