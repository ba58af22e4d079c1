"""``python -m hybrid_drivers.sandbox.machines clean|image [SUITE...]``.

``clean`` removes what killed yards of real machines left behind; ``image`` makes images beforehand: Debian 12's unless
suites are named.
"""

from __future__ import annotations

import sys

from hybrid_drivers.errors import HybridError
from hybrid_drivers.sandbox.machines import leftovers, rootfs, suites


def main(argv: list[str]) -> int:
    """Run the command; the exit code is 0, or 2 for a wrong call, or 1 when something could not be removed."""
    if argv[:1] != ["image"] and argv != ["clean"]:
        print("usage: python -m hybrid_drivers.sandbox.machines clean|image [SUITE...]", file=sys.stderr)
        return 2
    try:
        if argv[0] == "image":
            for name in argv[1:] or [suites.DEFAULT]:
                print(rootfs.ensure_image(suites.suite(name)))
            return 0
        gone = leftovers.clean()
    except (HybridError, OSError) as exc:
        print(exc, file=sys.stderr)
        return 1
    print(f"removed {len(gone)} dead yards{': ' if gone else ''}{', '.join(gone)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
