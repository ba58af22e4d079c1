"""Who may import whom (docs/development.md has the map): read from the syntax trees, so nothing is imported here."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

TOP = Path(__file__).parents[2]
SOURCE = TOP / "src"
OURS = "hybrid_drivers"


def module_name(path: Path) -> str:
    parts = list(path.relative_to(SOURCE).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(tree: ast.AST, package: str) -> Iterator[str]:
    """Yield the full name of all that ``tree`` imports, anywhere; ``from a import b`` yields ``a`` and ``a.b``."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def within(name: str, *packages: str) -> bool:
    return any(name == package or name.startswith(package + ".") for package in packages)


@cache
def modules() -> dict[str, set[str]]:
    found = {}
    for path in SOURCE.rglob("*.py"):
        name = module_name(path)
        package = name if path.name == "__init__.py" else name.rpartition(".")[0]
        found[name] = set(imports(ast.parse(path.read_text(), str(path)), package))
    return found


def offenders(
    forbidden: tuple[str, ...], *, allowed: tuple[str, ...] = (), among: tuple[str, ...] = (OURS,)
) -> list[str]:
    """Return ``importer -> imported`` for each import of ``forbidden`` by a module ``among`` some, not ``allowed``."""
    return sorted(
        f"{module} -> {name}"
        for module, names in modules().items()
        if within(module, *among) and not within(module, *allowed)
        for name in names
        if within(name, *forbidden)
    )


def ours(*names: str) -> tuple[str, ...]:
    return tuple(f"{OURS}.{name}" for name in names)


def test_the_rules_can_fail() -> None:
    tree = ast.parse("import a.b\ndef f():\n    from .c import d\n    from .. import e\nfrom x.y import z")
    assert set(imports(tree, "top.sub")) == {"a.b", "top.sub.c", "top.sub.c.d", "top", "top.e", "x.y", "x.y.z"}
    assert offenders(ours("errors"), among=ours("oned.process"))
    assert not within("hybrid_driversx", OURS)


@pytest.mark.parametrize("module", ours("model", "errors"))
def test_the_bottom_imports_nothing_of_ours(module: str) -> None:
    assert offenders((OURS,), among=(module,)) == []


def test_providers_and_hostconfig_know_neither_oned_nor_the_agent() -> None:
    assert offenders(ours("oned", "agent", "cli"), among=ours("providers", "hostconfig")) == []


def test_only_the_sandbox_imports_the_sandbox() -> None:
    assert offenders(ours("sandbox"), allowed=ours("sandbox")) == []


@pytest.mark.parametrize(
    ("library", "allowed"),
    [
        (("lxml",), ours("oned.xml")),
        (("xml", "defusedxml"), ours("oned.xml", "sandbox")),
        (("pyone",), ours("oned", "sandbox")),
        (("paramiko",), ours("hostconfig.runner", "sandbox")),
        (("boto3", "botocore"), ours("providers.ec2", "sandbox")),
        (("ansible",), ours("hostconfig.ansible_callback")),
    ],
    ids=["lxml", "xml", "pyone", "paramiko", "boto3", "ansible"],
)
def test_each_outside_library_has_its_door(library: tuple[str, ...], allowed: tuple[str, ...]) -> None:
    assert offenders(library, allowed=allowed) == []


def test_the_thin_client_loads_next_to_nothing() -> None:
    """It runs for every call of oned; ``socket`` or ``json`` alone would double its start (bench/driver_start.py)."""
    tree = ast.parse((SOURCE / OURS / "agent/client.py").read_text())
    everything = {name.partition(".")[0] for name in imports(tree, f"{OURS}.agent")}
    at_start = {name for node in tree.body for name in imports(ast.Module([node], []), "") if not _is_code(node)}
    assert everything <= set(sys.stdlib_module_names)
    assert {name.partition(".")[0] for name in at_start} <= {"__future__", "os", "sys", "_signal", "_socket"}


def _is_code(node: ast.stmt) -> bool:
    return isinstance(node, (ast.FunctionDef, ast.ClassDef))


def test_the_installer_needs_the_standard_library_only() -> None:
    files = list((TOP / "share/install").glob("*.py"))
    siblings = {path.stem for path in files}
    names = {name.partition(".")[0] for path in files for name in imports(ast.parse(path.read_text()), "")}
    assert names <= set(sys.stdlib_module_names) | siblings


def test_no_module_is_named_for_nothing() -> None:
    bad = {"util", "utils", "helper", "helpers", "common", "misc", "lib", "tools"}
    paths = [path for folder in ("src", "tests", "bench", "share") for path in (TOP / folder).rglob("*.py")]
    assert [str(path) for path in paths if path.stem in bad] == []


def executables() -> list[Path]:
    files = (path for path in (TOP / "remotes").rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return sorted(path for path in files if path.suffix != ".py")


def handed_over() -> list[Path]:
    """What hands its call to the agent; the others do their work where they are, on hypervisors."""
    return [path for path in executables() if "hybrid-client" in path.read_text()]


@pytest.mark.parametrize("path", executables(), ids=lambda path: str(path.relative_to(TOP)))
def test_executables_are_short_shell_scripts(path: Path) -> None:
    text = path.read_text()
    assert path.stat().st_mode & 0o777 == 0o755
    assert text.startswith("#!/bin/sh\n")
    assert len(text.splitlines()) <= 15


@pytest.mark.parametrize("path", handed_over(), ids=lambda path: str(path.relative_to(TOP)))
def test_executables_only_say_who_they_are(path: Path) -> None:
    parts = path.relative_to(TOP / "remotes").with_suffix("").parts
    family, driver, action = parts if len(parts) == 3 else (*parts, path.name)  # a hook is one file
    text = path.read_text()
    assert f'exec "$client" {family} {driver.removesuffix(".d")} {action} "$@"\n' in text
    twin = path.parents[1] / "packet/deploy"
    if family == "pm":  # all the same but for the names
        assert text.replace(f"{driver} {action}", "packet deploy") == twin.read_text()


def on_hypervisors() -> list[Path]:
    return sorted((TOP / "remotes").rglob("*.py"))


@pytest.mark.parametrize("path", on_hypervisors(), ids=lambda path: str(path.relative_to(TOP)))
def test_what_runs_on_hypervisors_is_one_file_of_the_standard_library(path: Path) -> None:
    """Nothing but its folder and its siblings is there, and RHEL 8's Python is 3.6."""
    tree = ast.parse(path.read_text(), feature_version=(3, 6))
    siblings = {other.stem for other in path.parents[1].glob("*/*.py")}
    assert {name.partition(".")[0] for name in imports(tree, "")} <= set(sys.stdlib_module_names) | siblings
    assert path.stat().st_mode & 0o777 == 0o644
    starters = [one for one in executables() if one.parent == path.parent and one not in handed_over()]
    assert starters
    for other in starters:  # all the same but for the action
        text = other.read_text()
        assert f'exec "$python" -IS "${{0%/*}}/{path.name}" {other.name} "$@"' in text
        assert text.replace(f" {other.name}", " ACTION") == starters[0].read_text().replace(
            f" {starters[0].name}", " ACTION"
        )
