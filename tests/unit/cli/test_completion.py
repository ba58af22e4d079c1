"""What shells complete, asked by real shells where they are installed."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from click.testing import CliRunner

from hybrid_drivers.cli.completion import PROGRAMS, SHELLS, completion, script
from hybrid_drivers.cli.extras import programs, write
from hybrid_drivers.cli.main import GROUPS

BIN = Path(sys.executable).parent
BASH = """
{script}
COMP_WORDS=({words}); COMP_CWORD=$(({count} - 1))
_onehybrid_completion {program} "${{COMP_WORDS[COMP_CWORD]}}" ""
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def in_bash(line: str) -> list[str]:
    """Return what bash offers for the last word of ``line``; a blank at its end begins a new word."""
    words = [f"'{word}'" for word in line.split(" ")]
    program = BIN / "onehybrid"
    text = BASH.format(script=script("bash", "onehybrid"), words=" ".join(words), count=len(words), program=program)
    run = subprocess.run(["bash", "--norc", "-c", text], capture_output=True, text=True, check=True)
    assert run.stderr == ""
    return run.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("onehybrid co", ["completion", "configure"]),
        ("onehybrid agent st", ["status", "stop"]),
        ("onehybrid agent log-level ", ["debug", "info", "warning", "error"]),
        ("onehybrid agent run --f", ["--foreground"]),
        ("onehybrid completion --program oneprov", ["oneprovision", "oneprovider"]),
        ("onehybrid --v", ["--version"]),
        ("onehybrid nothing", []),
    ],
)
def test_bash_completes_commands_options_and_choices(line: str, offered: list[str]) -> None:
    assert in_bash(line) == offered


def test_all_groups_are_offered_without_importing_them() -> None:
    assert in_bash("onehybrid ") == sorted(GROUPS)
    code = (
        "import sys; from click.shell_completion import ShellComplete; from hybrid_drivers.cli.main import cli;"
        "ShellComplete(cli, {}, 'onehybrid', '_').get_completions([], '');"
        "print([name for name in sys.modules if name in ('hybrid_drivers.cli.agent', 'hybrid_drivers.cli.configure')])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "[]\n"


@pytest.mark.skipif(not shutil.which("fish"), reason="fish is not installed")
def test_fish_completes(tmp_path: Path) -> None:
    env = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    text = f"{script('fish', 'onehybrid')}\ncomplete -C 'onehybrid agent st'"
    run = subprocess.run(["fish", "--no-config", "-c", text], env=env, capture_output=True, text=True)
    assert [line.split("\t")[0] for line in run.stdout.splitlines()] == ["status", "stop"]


@pytest.mark.skipif(not shutil.which("zsh"), reason="zsh is not installed")
def test_zsh_loads_it_from_its_function_path(tmp_path: Path) -> None:
    (tmp_path / "_onehybrid").write_text(script("zsh", "onehybrid"))
    text = f"fpath=({tmp_path} $fpath); autoload -U compinit; compinit -u -d {tmp_path}/dump; print $_comps[onehybrid]"
    env = {"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    run = subprocess.run(["zsh", "-f", "-c", text], env=env, capture_output=True, text=True)
    assert (run.stdout, run.stderr) == ("_onehybrid\n", "")


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_scripts_are_for_the_program_that_is_named(shell: str, program: str) -> None:
    printed = CliRunner().invoke(completion, [shell, "--program", program]).output
    assert f"_{program.upper()}_COMPLETE={shell}_complete" in printed
    assert printed.strip() == script(shell, program).strip()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_scripts_have_no_mistakes_of_syntax(shell: str) -> None:
    if not shutil.which(shell):
        pytest.skip(f"{shell} is not installed")
    run = subprocess.run([shell, "-n"], input=script(shell, "onehybrid"), capture_output=True, text=True)
    assert (run.returncode, run.stderr) == (0, "")


def test_every_program_gets_its_files(tmp_path: Path) -> None:
    write(tmp_path)
    names = {name for name, _, _ in programs()}
    assert "onehybrid" in names
    found = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    wanted = {f"{shell}/{pattern.format(name)}" for shell, pattern in SHELLS.items() for name in names}
    assert found == wanted | {f"man/{name}.1" for name in names}
