"""Tell how an Ansible playbook gets on: a callback plugin of type stdout, which prints nothing.

Ansible loads it in its own Python, so it imports nothing of ours and keeps to what ansible-core 2.14 and Python 3.9
have. It writes one JSON object a line to the file descriptor named in ``OPENNEBULA_HYBRID_EVENTS``;
``ansible_report.py`` reads them:

    {"event": "plan", "total": 12}                           what can be counted beforehand
    {"event": "start", "task": ID, "role": ..., "name": ...} a task or handler begins
    {"event": "end", "task": ID, "status": ..., "seconds": 0.1, "code": 1, "text": [...]}
    {"event": "nobody", "play": NAME}                        a play whose ``hosts`` match none

``status`` is ok, changed, skipped, failed, ignored (failed, but it may) or unreachable. Results hidden by ``no_log``
arrive here without their content (``TaskResult.clean_copy``, in 2.19 ``as_callback_task_result``).
"""

from __future__ import annotations

import json
import os
import signal
import time

from ansible.playbook.block import Block
from ansible.plugins.callback import CallbackBase

DOCUMENTATION = """
    name: opennebula_hybrid
    type: stdout
    short_description: events for the OpenNebula Hybrid Drivers
    version_added: "2.14"
    description:
        - Writes one JSON object a line for each task that begins or ends.
"""
LAST_LINES = 20
HIDDEN = "its result is hidden by no_log"


class CallbackModule(CallbackBase):  # type: ignore[misc]  # Ansible has no types
    """What Ansible calls as a playbook runs."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "stdout"
    CALLBACK_NAME = "opennebula_hybrid"

    def __init__(self, *args: object, **kwargs: object) -> None:
        super().__init__(*args, **kwargs)
        self._to = int(os.environ["OPENNEBULA_HYBRID_EVENTS"])
        self._play = ""
        self._began: dict[str, float] = {}

    def v2_playbook_on_start(self, playbook) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        try:
            total = sum(_count(play) for play in playbook.get_plays())
        except Exception:  # noqa: BLE001 - a mistake in the playbook, which Ansible is about to tell
            total = 0
        self._write(event="plan", total=total)

    def v2_playbook_on_play_start(self, play) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        self._play = play.get_name()

    def v2_playbook_on_no_hosts_matched(self) -> None:  # noqa: D102
        self._write(event="nobody", play=self._play)

    def v2_playbook_on_task_start(self, task, is_conditional) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        role = task._role.get_name() if task._role else self._play
        self._began[task._uuid] = time.monotonic()
        # get_name() would put the role in front of it.
        self._write(event="start", task=task._uuid, role=role, name=task.name or task.action)

    def v2_playbook_on_handler_task_start(self, task) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        self.v2_playbook_on_task_start(task, False)

    def v2_runner_on_ok(self, result) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        self._end(result, "changed" if result.is_changed() else "ok")

    def v2_runner_on_skipped(self, result) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        self._end(result, "skipped")

    def v2_runner_on_failed(self, result, ignore_errors=False) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        self._end(result, "ignored" if ignore_errors else "failed")

    def v2_runner_on_unreachable(self, result) -> None:  # type: ignore[no-untyped-def]  # noqa: D102
        self._end(result, "unreachable")

    def _end(self, result, status) -> None:  # type: ignore[no-untyped-def]
        task = result._task._uuid
        now = time.monotonic()
        event = {"event": "end", "task": task, "status": status, "seconds": now - self._began.get(task, now)}
        if status in ("failed", "ignored", "unreachable"):
            event.update(code=_code(result._result), text=_text(result._result))
            delegated = result._result.get("_ansible_delegated_vars") or {}
            event.update(elsewhere=delegated.get("ansible_delegated_host") or result._task.delegate_to or "")
        self._write(**event)

    def _write(self, **event: object) -> None:
        data = (json.dumps(event, default=str) + "\n").encode()
        try:
            while data:
                data = data[os.write(self._to, data) :]
        except BrokenPipeError:
            # Who started us is gone and nobody will hear of failures: another run may begin at any time.
            os.killpg(os.getpgid(0), signal.SIGTERM)


def _count(play) -> int:  # type: ignore[no-untyped-def]
    """Count a play's tasks, as ``ansible-playbook --list-tasks`` finds them, and the gathering of facts."""
    facts = play.gather_facts is None or bool(play.gather_facts)
    return facts + sum(_count_block(block) for block in play.compile())


def _count_block(block) -> int:  # type: ignore[no-untyped-def]
    return sum(
        _count_block(task) if isinstance(task, Block) else not (task.implicit or task.action.endswith("meta"))
        for task in block.block
    )


def _code(result: dict[str, object]) -> int:
    code = _culprit(result).get("rc", 1)
    return code if isinstance(code, int) and code else 1


def _text(result: dict[str, object]) -> list[str]:
    """Return what a failed task says: its message, then the last lines of its stderr."""
    if "censored" in result:
        return [HIDDEN]
    told = _culprit(result)
    message = str(told.get("msg") or told.get("reason") or "")
    stderr = str(told.get("stderr") or told.get("module_stderr") or "")
    if stderr.strip() in message:
        stderr = ""
    return [line for line in f"{message}\n{stderr}".splitlines() if line.strip()][-LAST_LINES:]


def _culprit(result: dict[str, object]) -> dict[str, object]:
    """Return a loop's first failed item, or the result itself."""
    items = result.get("results")
    for item in items if isinstance(items, list) else []:
        if isinstance(item, dict) and (item.get("failed") or item.get("unreachable")):
            return {"msg": HIDDEN} if "censored" in item else item
    return result
