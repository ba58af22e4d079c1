"""Names and values that a shell would run, in everything that becomes a shell's text: nothing of them is run.

Each text is given to a real ``sh`` as another user, in a folder of its own, where the only program is ``touch``:
whatever gets out of its quotes leaves a file there.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from unittest.mock import patch

import yaml

from hybrid_drivers.agent.userdata import build
from hybrid_drivers.errors import HybridError
from hybrid_drivers.hostconfig import playbooks
from hybrid_drivers.hostconfig.facts import Facts, Peer
from hybrid_drivers.hostconfig.roles import known_parameters
from hybrid_drivers.hostconfig.script import compile_script
from hybrid_drivers.hostconfig.steps import quote
from hybrid_drivers.hostconfig.tree import PackedTree, put_command, up_to_date_command
from hybrid_drivers.model import Template
from hybrid_drivers.oned.template import render

from .rows import Outcome, Row, folder, seeded

NOBODY = 65534
HOSTILE = (
    "$(touch x)", "`touch x`", "; touch x", "a; touch x;", "| touch x", "&& touch x", "& touch x &", "\ntouch x\n",
    "'; touch x; '", '"; touch x; "', "'\"; touch x #", "\\'; touch x; \\'", "${x:-$(touch x)}", "$((1+$(touch x)))",
    "x\rtouch x", "-oProxyCommand=touch x", "--checkpoint-action=exec=touch x", "a'$(touch x)'b", "\\\ntouch x",
    "EOF\ntouch x\nEOF", ") ; touch x ; (", "} ; touch x ; {", "' \n touch x \n '", "a*$(touch x)?[b]", "~$(touch x)",
)  # fmt: skip
EVERY_ROLE = tuple(sorted({role for those in playbooks.PLAYBOOKS.values() for role in those}))
FACTS = Facts(
    opennebula_version="7.0.1",
    address="198.51.100.1",
    peers=tuple(Peer(host_id=number, address=f"198.51.100.{number}") for number in (1, 2)),
)


def forms(name: str) -> tuple[str, ...]:
    """Return how a name may stand in a parameter: as it is, in a list, and without blanks as a part of an address."""
    return name, json.dumps([name]), "https://a.example/" + name.replace(" ", "${IFS}")


def texts(name: str, parameters: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Yield what becomes of a hostile ``name`` wherever it can get, as a place and a shell's text; "" is a refusal."""
    with patch.dict(playbooks.PLAYBOOKS, {"every": EVERY_ROLE}):
        for parameter, value in product(parameters, forms(name)):
            try:
                script = compile_script(["every"], {parameter: value}, FACTS)
            except HybridError:
                yield parameter, ""
                continue
            for number, step in enumerate(script.steps, 1):
                if "touch" in step.check + step.apply + step.stdin:
                    yield f"{parameter} in step {number}", _alone(step.check, step.apply, step.stdin)
    tree = PackedTree(digest="0" * 64, data=b"")
    yield "a folder's name", up_to_date_command(tree, name, "root")
    yield "a folder's owner", put_command(tree, "/nowhere", name)
    yield "a quoted word", f": {quote(name)}"


def _alone(check: str, apply: str, stdin: str) -> str:
    """Return a step's snippets, each in a subshell, as they stand in a script's functions."""
    parts = (check, apply or ":")
    return f"input() {{ printf '%s' {quote(stdin)}; }}\n" + "".join(f"( input | {{\n{one}\n}} )\n" for one in parts)


def touched(text: str, path: Path) -> bool:
    """Run ``text``; tell whether anything was run by it that is not of ours."""
    (path / "bin").mkdir(exist_ok=True)
    if not (path / "bin/touch").exists():
        (path / "bin/touch").symlink_to(shutil.which("touch") or "/usr/bin/touch")
    path.chmod(0o777)
    other = {"user": NOBODY, "group": NOBODY, "extra_groups": []} if os.geteuid() == 0 else {}
    subprocess.run(
        [shutil.which("sh") or "/bin/sh"], input=text.encode(), cwd=path, env={"PATH": f"{path}/bin"}, timeout=60,
        capture_output=True, check=False, **other,  # type: ignore[call-overload]
    )  # fmt: skip
    left = [one for one in path.iterdir() if one.name != "bin"]
    for one in left:
        one.unlink()
    return bool(left)


def kept(name: str) -> list[str]:
    """Say where a name does not arrive as it was written: user-data, and oned's templates."""
    wrong = []
    told = yaml.safe_load(build(host_private=name, host_public="p", authorized=[name]))
    if told["ssh_authorized_keys"] != [name] or told["ssh_keys"]["ed25519_private"] != name:
        wrong.append("user-data")
    try:
        rendered = render(Template([("NAME", name), ("PROVISION", {"A": name})]), "t")
    except HybridError:
        return wrong  # refused by name
    if rendered.count("touch x") != 2:
        wrong.append("a template of oned")
    return wrong


def story(seed: int, *, names: int = len(HOSTILE), parameters: Sequence[str] = ()) -> Outcome:
    """Try ``names`` hostile names, each wherever it can get; of all ``parameters`` unless some are named."""
    chance = random.Random(seed)
    violations, shells, refused = [], 0, 0
    with folder() as path:
        path.chmod(0o711)
        place = path / "here"
        place.mkdir()
        for name in chance.sample(HOSTILE, names):
            violations += [f"changed: {name!r} in {where}" for where in kept(name)]
            for where, text in texts(name, parameters or sorted(known_parameters())):
                shells, refused = shells + bool(text), refused + (not text)
                if text and touched(text, place):
                    violations.append(f"run: {name!r} as {where}")
    return Outcome(
        seed=seed, violations=violations, figures={"names": names, "values refused": refused, "shells": shells}
    )


ROWS = (Row(name="shell-names", what="names that a shell would run, where shells get them", runs=1, run=seeded(story)),)
