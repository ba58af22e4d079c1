"""``python -m hybrid_drivers.sandbox frontend``: a front-end to try things on, until SIGINT or SIGTERM."""

from __future__ import annotations

import argparse
import shlex
import signal
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.sandbox.frontend.frontend import Frontend
from hybrid_drivers.sandbox.frontend.knobs import Knobs


def main(argv: Sequence[str] | None = None) -> int:
    """Run a front-end and print the environment to export; returns the exit code.

    Raises:
        ConfigError: a knob that does not exist, or the tree cannot be made.
        OSError: a port is taken.
    """
    options = _parser().parse_args(argv)
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    with ExitStack() as undo:
        location = options.location or Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="one-frontend-")))
        frontend = Frontend(
            location,
            port=options.listen[1],
            monitord_port=options.monitord_port,
            address=options.listen[0],
            knobs=_knobs(options.knob),
            encrypt=options.encrypt,
        )
        undo.enter_context(frontend)
        for name, value in frontend.environment.items():
            shown = f"{shlex.quote(str(location / 'bin'))}:$PATH" if name == "PATH" else shlex.quote(value)
            print(f"export {name}={shown}")
        print(f"# monitord: {frontend.monitord_port}; knobs: {frontend.endpoint.removesuffix('RPC2')}_sandbox/knobs")
        print("# end with Ctrl-C", flush=True)
        ended.wait()
    return 0


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not port.isdigit() or int(port) > 65535:
        raise argparse.ArgumentTypeError(f"{text!r} is not HOST:PORT")
    return host or "127.0.0.1", int(port)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m hybrid_drivers.sandbox frontend",
        description="Run a stand-in for oned and monitord with our drivers installed.",
        epilog=f"knobs: {', '.join(Knobs().as_dict())}",
    )
    parser.add_argument("--location", type=Path, help="folder of the tree (default: a temporary one)")
    parser.add_argument(
        "--listen",
        type=_address,
        default=("127.0.0.1", 2633),
        metavar="HOST:PORT",
        help="of oned; monitord listens on the same address (default: 127.0.0.1:2633; port 0: a free one)",
    )
    parser.add_argument("--monitord-port", type=int, default=4124, help="of monitord (default: %(default)s)")
    parser.add_argument("--encrypt", action="store_true", help="monitord has a key pair: messages must be encrypted")
    parser.add_argument("--knob", action="append", default=[], metavar="NAME=VALUE", help="may be given several times")
    return parser


def _knobs(settings: Sequence[str]) -> Knobs:
    knobs = Knobs()
    try:
        knobs.change(dict(_pair(one) for one in settings))
    except ValueError as exc:
        raise ConfigError(f"--knob: {exc}") from exc
    return knobs


def _pair(setting: str) -> tuple[str, str]:
    name, equals, value = setting.partition("=")
    if not equals:
        raise ValueError(f"{setting!r} is not NAME=VALUE")
    return name, value
