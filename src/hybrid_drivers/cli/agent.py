"""``onehybrid agent``: look at, start and stop the agent of this front-end."""

from __future__ import annotations

import fcntl
import json
import os
import sys
import time
from pathlib import Path

import click

from hybrid_drivers.agent import client, logs
from hybrid_drivers.config import Location
from hybrid_drivers.errors import AgentError

STOP_LIMIT = 60.0  # seconds for the process to be gone: running calls and the core get 20 each (stop_limit)


@click.group()
def agent() -> None:
    """Look at, start and stop the agent of this front-end (of ONE_LOCATION, if set)."""


@agent.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def status(as_json: bool) -> None:
    """Show the running agent and what it looks after."""
    text = ask("status")
    if as_json:
        click.echo(text)
        return
    from rich.console import Console

    Console().print(_table(json.loads(text)))


@agent.command()
def stop() -> None:
    """Stop the agent; calls that run are finished. oned's next call (or systemd) starts it again."""
    pid = int(ask("stop"))
    until = time.monotonic() + STOP_LIMIT
    while not _ended(_location().state / "agent.lock", pid):
        if time.monotonic() > until:
            raise AgentError(f"The agent (process {pid}) still runs after {STOP_LIMIT:.0f} s: see {_location().log}.")
        time.sleep(0.05)
    click.echo(f"The agent (process {pid}) has stopped.")


@agent.command()
def reload() -> None:
    """Make the agent read its configuration again."""
    click.echo(f"The agent (process {ask('reload')}) reads its configuration again.")


@agent.command("log-level")
@click.argument("level", type=click.Choice(logs.LEVELS))
def log_level(level: str) -> None:
    """Set how much the running agent logs, until it is reloaded or stopped; debug writes tracebacks."""
    click.echo(f"The agent logs from level {ask('log-level', level)}.")


@agent.command()
@click.option("--wait", is_flag=True, help="Wait until no other agent runs, instead of ending (with --foreground).")
@click.option("--foreground", is_flag=True, help="Be the agent, and log to standard error too.")
@click.option("--idle-exit", type=float, help="Seconds without work after which it ends; 0: never.")
def run(wait: bool, foreground: bool, idle_exit: float | None) -> None:
    """Start the agent, in the background unless told otherwise."""
    options = [] if idle_exit is None else [f"--idle-exit={idle_exit}"]
    if wait or foreground:
        from hybrid_drivers.agent import daemon

        flags = {"--wait": wait, "--foreground": foreground}
        sys.exit(daemon.main([flag for flag, given in flags.items() if given] + options))
    from hybrid_drivers.agent.starter import start_agent

    start_agent(_location(), options=options)
    click.echo(f"The agent (process {json.loads(ask('status'))['pid']}) runs.")


def ask(action: str, *arguments: str, start: bool = False) -> str:
    """Ask the running agent and return its answer; it is started for that only when asked to.

    Raises:
        AgentError: there is none, or it refused.
    """
    if start:
        _start_if_none()
    state = str(_location().state)
    words = [word.encode() for word in ("agent", "agent", action)]
    frame = client.request(words, [argument.encode() for argument in arguments], [], b"")
    try:
        connection = client.connect(state)
        connection.settimeout(client.LIMITS["agent"])
        code, output, errors = client.ask(connection, frame)
    except client.NoAgent:
        raise AgentError(f"No agent runs for {state}; 'onehybrid agent run' or oned's next call starts it.") from None
    except client.Failed as failed:
        raise AgentError(str(failed)) from failed
    except client.Lost:
        raise AgentError("The agent ended before it answered.") from None
    if code:
        raise AgentError(errors.decode(errors="replace").strip())
    return output.decode().strip()


def _start_if_none() -> None:
    from hybrid_drivers.agent.starter import listening, start_agent

    try:
        if not listening(_location().socket):
            start_agent(_location())
    except OSError as exc:
        raise AgentError(f"Cannot use {_location().socket}: {exc.strerror}; run this as oneadmin.") from exc


def _location() -> Location:
    return Location.from_environment(os.environ)


def _ended(lock: Path, pid: int) -> bool:
    """Tell whether agent ``pid`` holds the lock no more (the next agent may hold it already)."""
    with lock.open() as file:
        if file.read().strip() != str(pid):
            return True
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
    return True


def _table(values: dict[str, object]) -> object:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    for name, value in values.items():
        text = f"{value:,.0f} s" if name == "uptime" and isinstance(value, (int, float)) else _cell(value)
        table.add_row(name.replace("_", " "), Text(text))
    return table


def _cell(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_cell(inner)}" for name, inner in value.items()) or "-"
    if isinstance(value, list):
        return "\n".join(_cell(inner) for inner in value) or "-"
    return str(value)
