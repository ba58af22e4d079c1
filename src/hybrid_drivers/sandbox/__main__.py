"""``python -m hybrid_drivers.sandbox packet|ec2|frontend|demo``: a part of the laboratory alone, or the whole show.

``packet`` and ``ec2`` run a provider simulator until SIGINT or SIGTERM, then destroy its machines.
"""

from __future__ import annotations

import argparse
import importlib
import logging
import signal
import sys
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any

from hybrid_drivers.errors import HybridError
from hybrid_drivers.sandbox.knobs import Knobs
from hybrid_drivers.sandbox.machines import KINDS, Machines, make_machines
from hybrid_drivers.sandbox.simulator import Simulator

# parts with a command line of their own
_OTHERS = {"frontend": "hybrid_drivers.sandbox.frontend", "demo": "hybrid_drivers.sandbox.demo"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run the part named first on the command line; returns the exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        if words and words[0] in _OTHERS:
            signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C: everything made is removed
            return int(importlib.import_module(_OTHERS[words[0]]).main(words[1:]) or 0)
        return _serve(_parser().parse_args(words))
    except HybridError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    except OSError as exc:
        print(f"error: cannot listen there: {exc}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted: everything made was removed", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    knobs = "\n".join(f"  {one.name:18}{one.metadata['help']}{_default(one)}" for one in fields(Knobs) if one.metadata)
    parser = argparse.ArgumentParser(
        prog="python -m hybrid_drivers.sandbox",
        description="Run a provider simulator (packet, ec2), the front-end stand-in (frontend) or the demo (demo).",
        epilog=f"{_KNOBS}\n{knobs}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("part", choices=("packet", "ec2", *_OTHERS))
    parser.add_argument("--listen", type=_address, default=("127.0.0.1", 0), metavar="HOST:PORT")
    parser.add_argument("--machines", choices=KINDS, default="none", help="what stands behind the API (default: none)")
    parser.add_argument("--work-dir", type=Path, help="folder for the machines' disks (default: a temporary one)")
    parser.add_argument("--knob", action="append", default=[], metavar="NAME=VALUE", help="may be given several times")
    parser.add_argument("--verbose", action="store_true", help="log every request")
    return parser


_KNOBS = """\
knobs: times are seconds, or lognormal:MEDIAN,SIGMA; of those that say how often, below 1 is a share of all, and a whole
number is the next so many (1: the next one)"""


def _default(one: Field[Any]) -> str:
    return f" ({one.default})" if one.default is not MISSING and one.default not in ("", 0, False) else ""


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host.strip("[]") or "127.0.0.1", int(port)


def _serve(options: argparse.Namespace) -> int:
    logging.basicConfig(level=logging.DEBUG if options.verbose else logging.WARNING)
    knobs = Knobs.from_assignments(options.knob)
    ended = threading.Event()
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: ended.set())
    with ExitStack() as undo:
        work_dir = options.work_dir or Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="one-sandbox-")))
        machines = undo.enter_context(closing(make_machines(options.machines, work_dir)))
        simulator, credentials = _simulator(options.part, machines, knobs, options.listen)
        undo.callback(simulator.stop)
        simulator.start()
        print(f"{options.part} simulator with {options.machines} machines at {simulator.url}")
        for name, value in {**credentials, "machines' SSH port": machines.ssh_port}.items():
            print(f"  {name}: {value}")
        print(f"  knobs and machines: {simulator.url}/_sandbox/{{knobs,machines,calls}}; end with Ctrl-C", flush=True)
        ended.wait()
        print("ending: destroying the machines", flush=True)
    return 0


def _simulator(
    part: str, machines: Machines, knobs: Knobs, listen: tuple[str, int]
) -> tuple[Simulator, dict[str, str]]:
    host, port = listen
    if part == "packet":
        from hybrid_drivers.sandbox.packet_api import PacketSimulator

        packet = PacketSimulator(machines, knobs, port, host=host)
        return packet, {"token": packet.token, "project": packet.project}
    from hybrid_drivers.sandbox.ec2_api import Ec2Simulator

    ec2 = Ec2Simulator(machines, knobs, port, host=host)
    return ec2, {
        "access key id": ec2.access_key_id,
        "secret access key": ec2.secret_access_key,
        "region": ec2.region,
        "image": ec2.image,
    }


if __name__ == "__main__":
    sys.exit(main())
