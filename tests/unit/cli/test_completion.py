"""What shells complete: bash asked for real, zsh and fish where they are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from hybrid_drivers.cli.completion import FILES, WRITERS, script
from hybrid_drivers.cli.completion.command import completion
from hybrid_drivers.cli.extras import programs, write
from hybrid_drivers.cli.main import GROUPS, cli

BASH = """
{script}
COMP_WORDS=({words}); COMP_CWORD=$(({count} - 1))
_{name}
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
CHOICES = click.Choice(["json", "it's: $(touch x)"])


@click.group()
def tool() -> None:
    """Stand for a program."""


@tool.group()
def host() -> None:
    """Look at hosts."""


@host.command("list")
@click.option("-d", "--delay", type=float, help="It's a 'delay': $(touch x) `touch y` \\ \"s\".")
@click.option("--form", type=CHOICES)
@click.option("--on/--off")
@click.option("--expand", metavar="[COLUMN]", is_flag=False, flag_value="", help="May take a value.")
@click.option("--secret", hidden=True)
def listed(**_given: object) -> None:
    """List hosts."""


@tool.command()
@click.argument("form", type=click.Choice(["short", "long"]))
def show(form: str) -> None:
    """Show 100% of it."""


TOOL = {shell: script(shell, "tool", tool) for shell in WRITERS}


def in_bash(line: str, text: str = TOOL["bash"], name: str = "tool") -> list[str]:
    """Return what bash offers for the last word of ``line``; a blank at its end begins a new word."""
    words = [f"'{word}'" for word in line.split(" ")]
    run = subprocess.run(
        ["bash", "--norc", "-c", BASH.format(script=text, words=" ".join(words), count=len(words), name=name)],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert run.stderr == ""
    return run.stdout.split()


LINES = [
    ("tool ", ["host", "show"]),
    ("tool h", ["host"]),
    ("tool host ", ["list"]),
    ("tool host list --o", ["--on", "--off"]),
    ("tool host list -d 3 --de", ["--delay"]),
    ("tool host list host --de", ["--delay"]),
    ("tool host list --sec", []),
    ("tool show ", ["short", "long"]),
    ("tool show short l", ["long"]),
    ("tool none", []),
]


@pytest.mark.parametrize(("line", "offered"), LINES)
def test_bash_completes_commands_options_and_choices(line: str, offered: list[str]) -> None:
    assert in_bash(line) == offered


def test_bash_completes_values_of_options() -> None:
    assert in_bash("tool host list --form ") == ["json"]  # the other choice is no plain word
    assert in_bash("tool host list --form = j") == ["json"]  # as bash parts --form=j
    assert in_bash("tool host list --delay ") == []
    assert in_bash("tool host list --expand --de") == ["--delay"]


def test_bash_completes_onehybrid() -> None:
    text = script("bash", "onehybrid", cli)
    assert in_bash("onehybrid ", text, "onehybrid") == sorted(GROUPS)
    assert in_bash("onehybrid agent st", text, "onehybrid") == ["status", "stop"]
    assert in_bash("onehybrid agent log-level ", text, "onehybrid") == ["debug", "info", "warning", "error"]
    assert in_bash("onehybrid configure --", text, "onehybrid")[:3] == ["--check", "--all", "--cluster"]


PROGRAMS = {name: script("bash", name, command) for name, command, _ in programs()}
OURS = [
    ("oneprovision s", ["scale", "show"]),
    ("oneprovision host re", ["reboot", "resume"]),
    ("oneprovision create --fail-s", ["--fail-skip", "--fail-sleep"]),
    ("oneprovision list --operator ", ["AND", "OR"]),
    ("oneprovision vnet list --del", ["--delimiter", "--delay"]),
    ("oneprovider ch", ["check", "chgrp", "chmod", "chown"]),
    ("onehybrid provision host po", ["poweroff"]),
]


@pytest.mark.parametrize(("line", "offered"), OURS)
def test_bash_completes_our_programs(line: str, offered: list[str]) -> None:
    name = line.partition(" ")[0]
    assert in_bash(line, PROGRAMS[name], name) == offered


def test_a_tab_in_bash_types_the_rest(tmp_path: Path) -> None:
    (tmp_path / "script").write_text(script("bash", "onehybrid", cli))
    ours, theirs = pty.openpty()
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "TERM": "dumb", "PS1": "$ "}
    shell = subprocess.Popen(
        ["bash", "--norc", "--noprofile", "-i"], stdin=theirs, stdout=theirs, stderr=theirs, env=env, cwd=tmp_path
    )
    os.close(theirs)
    os.write(ours, b'. ./script\necho onehybrid; onehybrid() { echo "<$*>"; }\nonehybrid conf\t --al\t\nexit\n')
    shown, until = b"", time.monotonic() + 30
    while b"<configure --all >" not in shown and b"<configure --all>" not in shown and time.monotonic() < until:
        if select.select([ours], [], [], 1)[0]:
            shown += os.read(ours, 4096)
    os.close(ours)
    shell.wait(30)
    assert b"<configure --all" in shown, shown


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
@pytest.mark.parametrize(("line", "offered"), [*LINES[:6], ("tool host list --form j", ["json"])])
def test_fish_completes(tmp_path: Path, line: str, offered: list[str]) -> None:
    (tmp_path / "tool").write_text("#!/bin/sh\n")
    (tmp_path / "tool").chmod(0o755)
    env = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    text = f"{TOOL['fish']}\ncomplete -C '{line}'"
    run = subprocess.run(["fish", "--no-config", "-c", text], env=env, capture_output=True, text=True, cwd=tmp_path)
    assert run.stderr == ""
    assert sorted(shown.split("\t")[0] for shown in run.stdout.splitlines()) == sorted(offered)


ZSH = """
_describe() {{ local name=$@[-1]; print -l -- ${{${{(P)name}}%%:*}}; }}
_files() {{ print files }}
compdef() {{ }}
{script}
words=({words}); CURRENT={count}; PREFIX=${{words[CURRENT]}}
_tool
"""


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
@pytest.mark.parametrize(("line", "offered"), LINES)
def test_zsh_completes(tmp_path: Path, line: str, offered: list[str]) -> None:
    words = [f"'{word}'" for word in line.split(" ")]
    text = ZSH.format(script=TOOL["zsh"], words=" ".join(words), count=len(words))
    run = subprocess.run(["zsh", "-f", "-c", text], capture_output=True, text=True, cwd=tmp_path)
    assert run.stderr == ""
    last = line.rsplit(" ", maxsplit=1)[-1]  # zsh itself keeps what begins with it
    assert [word for word in run.stdout.splitlines() if word.startswith(last)] == offered


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_loads_it_from_its_function_path(tmp_path: Path) -> None:
    (tmp_path / "_tool").write_text(TOOL["zsh"])
    text = f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -d {tmp_path}/dump; print $_comps[tool]"
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path)}
    run = subprocess.run(["zsh", "-f", "-c", text], env=env, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("_tool\n", "")


@pytest.mark.parametrize("shell", WRITERS)
def test_texts_in_the_scripts_are_never_run(tmp_path: Path, shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    begin = "compdef() { }\n" if shell == "zsh" else ""
    run = subprocess.run([shell, "-c", begin + TOOL[shell]], capture_output=True, text=True, cwd=tmp_path)
    assert (run.returncode, run.stdout, run.stderr) == (0, "", "")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shell", WRITERS)
def test_the_command_prints_the_script_of_the_program_that_is_named(shell: str) -> None:
    for name, command, _ in programs():
        printed = CliRunner().invoke(completion, [shell, "--program", name]).output
        assert printed.strip() == script(shell, name, command).strip()


def test_every_program_gets_its_files(tmp_path: Path) -> None:
    write(tmp_path)
    names = {name for name, _, _ in programs()}
    assert "onehybrid" in names
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    wanted = {f"{shell}/{pattern.format(name)}" for shell, pattern in FILES.items() for name in names}
    assert found == wanted | {f"man/{name}.1" for name in names}
