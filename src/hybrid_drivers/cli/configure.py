"""``onehybrid configure``: run the configuration of hosts again, or only see what differs."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import click

from hybrid_drivers.cli.agent import ask
from hybrid_drivers.cli.misuse import FAILED, Command, Misused

DIFFER = 2  # exit code
SHOWN = ("changed", "would-change", "failed")
WORDS = {"would-change": "differs", "changed": "changed", "failed": "FAILED"}


@dataclass
class HostResult:
    """What is known of one host so far."""

    id: int
    name: str
    outcome: str = ""  # done, failed, refused
    message: str = ""
    steps: list[Mapping[str, Any]] = field(default_factory=list)
    seconds: float = 0.0

    @property
    def differing(self) -> list[Mapping[str, Any]]:
        """Return the steps that changed, or would."""
        return [step for step in self.steps if step["status"] in ("changed", "would-change")]

    def as_json(self) -> dict[str, object]:
        """Return it for machines."""
        kept = ("role", "name", "status", "seconds", "notes")
        steps = [{key: step[key] for key in kept} for step in self.steps]
        told = {"outcome": self.outcome, "message": self.message, "seconds": self.seconds}
        return {"id": self.id, "name": self.name, **told, "changed": len(self.differing), "steps": steps}


@click.command(cls=Command)
@click.argument("hosts", nargs=-1, metavar="[HOST]...")
@click.option("--check", is_flag=True, help="Change nothing; show what differs. Exit code 2 when something does.")
@click.option("--all", "everything", is_flag=True, help="All hosts of ours that can be configured now.")
@click.option("--cluster", metavar="NAME", default="", help="Those of this cluster.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, at the end.")
def configure(hosts: tuple[str, ...], check: bool, everything: bool, cluster: str, as_json: bool) -> None:
    """Run the configuration of HOSTs (ids or names) again, with what is configured now.

    READY hosts stay in use meanwhile. A host whose first configuration failed is tried again at once. One host's
    failure does not stop the others. Exit code: 0 all is well, 1 something failed, 2 (with --check) some differ.
    """
    if (len(hosts) > 0) + everything + bool(cluster) != 1:
        raise Misused("Name hosts, or say --all, or --cluster NAME.", click.get_current_context())
    show: Callable[[str], None] = (lambda line: None) if as_json else click.echo
    results = run({"hosts": hosts, "cluster": cluster, "all": everything, "check": check}, show)
    if as_json:
        click.echo(json.dumps({"check": check, "hosts": [one.as_json() for one in results]}))
    else:
        summarize(results, check)
    sys.exit(_exit_code(results, check))


def run(request: Mapping[str, object], show: Callable[[str], None]) -> list[HostResult]:
    """Have the agent configure hosts, and wait; ``show`` hears what happens.

    Raises:
        AgentError: there is no agent, or it refuses the whole request.
    """
    started = json.loads(ask("configure", json.dumps(request), start=True))
    results = {one["id"]: HostResult(one["id"], _name(one)) for one in started["hosts"]}
    for event in _events(started["job"]):
        _take(results[event["host"]], event, show)
    return list(results.values())


def _name(host: Mapping[str, str]) -> str:
    return host["friendly"] if host["friendly"] == host["name"] else f"{host['friendly']} ({host['name']})"


def _events(job: str) -> Iterator[Mapping[str, Any]]:
    """Yield what happens, as it happens, until all hosts are done."""
    seen, done = 0, False
    while not done:
        answer = json.loads(ask("configure-poll", json.dumps({"job": job, "since": seen})))
        yield from answer["events"]
        seen += len(answer["events"])
        done = answer["done"]


def _take(host: HostResult, event: Mapping[str, Any], show: Callable[[str], None]) -> None:
    if event["event"] == "step":
        host.steps.append(event)
        if event["status"] in SHOWN:
            show(f"{host.name}: {event['role']}: {event['name']}  {WORDS[event['status']]}")
        for note in event["notes"]:
            show(f"{host.name}: {event['role']}: {event['name']}: {note}")
        return
    host.outcome, host.message = event["outcome"], event.get("message", "")
    host.seconds = event.get("seconds", 0.0)
    if host.message:
        show(f"{host.name}: {host.message}")


def summarize(results: list[HostResult], check: bool) -> None:
    """Print a line for each host."""
    if not results:
        click.echo("No host to configure.")
        return
    click.echo("")
    width = max(len(one.name) for one in results)
    for one in results:
        click.echo(f"{one.name:<{width}}  {_said(one, check)}")


def _said(host: HostResult, check: bool) -> str:
    if host.outcome != "done":
        return host.outcome
    verb = "differ" if check else "changed"
    return f"{len(host.differing)} of {len(host.steps)} steps {verb}, {host.seconds:.1f} s"


def _exit_code(results: list[HostResult], check: bool) -> int:
    if any(one.outcome != "done" for one in results):
        return FAILED
    return DIFFER if check and any(one.differing for one in results) else 0
