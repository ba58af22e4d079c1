"""What is in the agent's memory, credentials among it, stays there: no core files, no look from another process."""

from __future__ import annotations

import logging

log = logging.getLogger(__name__)

_PR_SET_DUMPABLE = 4  # prctl(2), linux/prctl.h


def keep_private() -> None:
    """Allow no core file of this process, and no other process but root's to read its memory or environment.

    RLIMIT_CORE holds for files, and for the children too; a core_pattern that is a program (systemd-coredump) does not
    ask it, but is not run for a process that is not dumpable (core(5), prctl(2) PR_SET_DUMPABLE). To be called after
    the process has become its owner: that sets the flag anew. execve(2) clears it, so Ansible's processes are as usual.
    """
    import ctypes
    import resource

    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        failed = ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    except (OSError, AttributeError) as exc:  # no such call in this C library
        log.warning("the agent's memory may be dumped: %s", exc)
        return
    if failed:
        log.warning("the agent's memory may be dumped: prctl failed with error %d", ctypes.get_errno())
