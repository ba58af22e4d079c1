"""What a light machine answers to the commands the agent sends. It runs nothing on this computer.

``HANDLERS`` is the whole list; anything else ends with exit code 127, as a shell ends that does not find a program.
A command may begin with ``sudo -n --``, as the agent writes it for users other than root.
"""

from __future__ import annotations

import base64
import hashlib
import re
import shlex
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hybrid_drivers.errors import HybridError
from hybrid_drivers.hostconfig.script import PROTOCOL, read_steps
from hybrid_drivers.sandbox.machines import light_probes
from hybrid_drivers.sandbox.machines.light_node import LightNode
from hybrid_drivers.sandbox.machines.seed import new_host_key

_REMOTES = "/var/tmp/one"
_MARK = "/.hybrid-checksum"
_GZIP = b"\x1f\x8b"
_NOT_FOUND = 127


@dataclass(frozen=True, kw_only=True)
class Order:
    """One command on one machine: its words, its standard input, and where the answer goes."""

    node: LightNode
    words: Sequence[str]
    stdin: bytes
    out: Callable[[bytes], None]
    err: Callable[[bytes], None]
    probes: light_probes.Probes
    step_delay: float  # seconds

    def say(self, line: str) -> None:
        """Write a line to its stdout."""
        self.out(f"{line}\n".encode())

    def fail(self, code: int, line: str) -> int:
        """Write a line to its stderr and return ``code``."""
        self.err(f"{line}\n".encode())
        return code


Handler = Callable[[Order], int]


def find(command: str) -> tuple[list[str], Handler | None]:
    """Return the command's words and who answers it, if anybody."""
    try:
        words = shlex.split(command)
    except ValueError:  # quotes left open
        return [command], None
    if words[:3] == ["sudo", "-n", "--"]:
        words = words[3:]
    for pattern, handler in HANDLERS:
        if len(words) >= len(pattern) and all(
            re.fullmatch(one, word) for one, word in zip(pattern, words, strict=False)
        ):
            return words, handler
    return words, None


def not_found(order: Order) -> int:
    """Answer as a shell answers for a program it does not find."""
    return order.fail(_NOT_FOUND, f"sh: 1: {order.words[0][:100] if order.words else ''}: not found (a light machine)")


# --- configuration ------------------------------------------------------------------------------------------------


def configure(order: Order) -> int:
    """Answer a compiled program step by step: changed the first time and after its text changed, ok otherwise."""
    text = order.stdin.decode(errors="replace")
    check_only = order.words[3] == "check"
    steps = read_steps(text)
    order.say(f"@hybrid {PROTOCOL} {len(steps)} {order.words[3]}")
    digests = _digests(text)
    changes = 0
    order.node.runs.append((order.words[3], len(steps)))
    with order.node.lock:  # one run at a time, as on a real host
        for number, role, name in steps:
            order.say(f"@step {number} {len(steps)} start")
            time.sleep(order.step_delay)
            if name in order.node.cut:
                order.node.cut.discard(name)
                raise EOFError(f"cut at {name}")
            end = f"@step {number} {len(steps)}"
            must = re.search(rf"^run_step {number} '[^']*' '[^']*' must", text, re.MULTILINE)
            if must or order.node.done.get((role, name)) == digests.get(number, ""):
                order.say(f"{end} ok {order.step_delay:.2f}")
                continue
            if name in order.node.failing and not check_only:
                for line in order.node.failing[name].splitlines():
                    order.say(f"@stderr {number} {line}")
                order.say(f"{end} failed 1 {order.step_delay:.2f}")
                order.say(f"@end failed {changes}")
                return 1
            changes += 1
            if not check_only:
                order.node.done[role, name] = digests.get(number, "")
            order.say(f"{end} {'would-change' if check_only else 'changed'} {order.step_delay:.2f}")
    order.say(f"@end ok {changes}")
    return 0


def _digests(text: str) -> dict[int, str]:
    """Return a digest of each step's snippets, by number; the numbers in their names are left out of it."""
    pieces = re.split(r"^# (\d+): ", text, flags=re.MULTILINE)
    found = {}
    for number, piece in zip(pieces[1::2], pieces[2::2], strict=True):
        body = piece.partition("\nmain() {\n")[0].replace(f"_{number}()", "()")
        found[int(number)] = hashlib.sha256(body.strip().encode()).hexdigest()
    return found


# --- host keys ----------------------------------------------------------------------------------------------------


def stage_host_key(order: Order) -> int:
    """Make a new host key, or find the one already staged, and print its public line."""
    with order.node.lock:
        order.node.staged = order.node.staged or new_host_key()
        order.say(order.node.staged[1])
    return 0


def activate_host_key(order: Order) -> int:
    """Show the staged key to new connections from now on; without one nothing changes."""
    with order.node.lock:
        if order.node.staged:
            order.node.key, order.node.staged = order.node.staged, None
    return 0


# --- trees --------------------------------------------------------------------------------------------------------


def has_tree(order: Order) -> int:
    """Answer whether a folder is the tree asked for: ``grep -qsxF 'DIGEST OWNER' FOLDER/.hybrid-checksum``."""
    return 0 if order.node.trees.get(order.words[3].removesuffix(_MARK)) == order.words[2] else 1


def put_tree(order: Order) -> int:
    """Take a tree (a tar.gz on standard input) and remember only that it is there."""
    if not order.stdin.startswith(_GZIP):
        return order.fail(2, "gzip: stdin: not in gzip format")
    remote, owner, digest = order.words[4:7]
    order.node.trees[remote] = f"{digest} {owner}"
    return 0


# --- probes -------------------------------------------------------------------------------------------------------


def run_monitord_client(order: Order) -> int:
    """Answer with the machine's capacity, and send to monitord from now on. The remotes must be there."""
    if _REMOTES not in order.node.trees:
        return not_found(order)
    try:
        settings = light_probes.read_settings(order.stdin)
    except HybridError as exc:
        return order.fail(1, str(exc))
    order.out(light_probes.answer(order.node.hostname, order.words[1]))
    order.probes.start(order.node.machine_id, settings, order.node.hostname, order.words[1])
    return 0


def stop_monitord_client(order: Order) -> int:
    """Stop what :func:`run_monitord_client` left running."""
    if _REMOTES not in order.node.trees:
        return not_found(order)
    order.probes.stop(order.node.machine_id)
    return 0


# --- networks of virtual machines -----------------------------------------------------------------------------------


def network(order: Order) -> int:
    """Answer ``vnm/hybrid/remote_post`` or ``remote_clean``: note what it was told. The remotes must be there."""
    if _REMOTES not in order.node.trees:
        return not_found(order)
    program = order.words[0].rpartition("/")[2]
    if why := order.node.failing.get(program):
        return order.fail(1, why)
    order.node.networks.append((program, base64.b64decode(order.stdin).decode()))
    return 0


def default_route(order: Order) -> int:
    """Answer ``ip -4 route show default``."""
    order.say("default via 192.0.2.1 dev eth0 proto dhcp src 192.0.2.10 metric 100")
    return 0


# Patterns for the first words of a command; hostconfig/runner.py tells what it sends.
HANDLERS: Sequence[tuple[Sequence[str], Handler]] = (
    (("sh", "-s", "hybrid-configure", "apply|check"), configure),
    (("sh", "-s", "hybrid-stage-host-key"), stage_host_key),
    (("sh", "-s", "hybrid-activate-host-key"), activate_host_key),
    (("grep", "-qsxF", ".+", f".+{re.escape(_MARK)}"), has_tree),
    (("sh", "-c", r"(?s).*", "hybrid-put-tree", ".+", ".+", ".+"), put_tree),
    (("ip", "-4", "route", "show", "default"), default_route),
    ((f"{_REMOTES}/im/run_monitord_client", ".+", r"\d+", ".+"), run_monitord_client),
    ((f"{_REMOTES}/im/stop_monitord_client", ".+"), stop_monitord_client),
    ((f"{_REMOTES}/vnm/hybrid/remote_(post|clean)",), network),
)
