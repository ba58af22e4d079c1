"""What our executables are asked to do: argv and standard input of a call, parsed once into a frozen value.

``im``: called by monitord through ``one_im_sh``. ``pm``: called by our tools and by OneProvision 5.12.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Union

from hybrid_drivers.errors import ConfigError
from hybrid_drivers.oned.process import Call
from hybrid_drivers.oned.xml import MAX_INPUT, DeployFile, MonitorConfiguration, parse_deploy, parse_start_monitor


@dataclass(frozen=True, kw_only=True)
class StartMonitor:
    """monitord wants the host watched: its host was made, enabled again, or has been silent for too long."""

    host_id: int
    host_name: str
    configuration: MonitorConfiguration


@dataclass(frozen=True, kw_only=True)
class StopMonitor:
    """monitord no longer wants the host watched: it is offline, or deleted (then oned does not know it any more)."""

    host_id: int
    host_name: str
    configuration: MonitorConfiguration


@dataclass(frozen=True, kw_only=True)
class Deploy:
    """Make a machine; the answer is its deploy id."""

    driver: str
    file: DeployFile


@dataclass(frozen=True, kw_only=True)
class PowerOn:
    """Switch a machine on that exists already; the answer is its deploy id."""

    driver: str
    deploy_id: str
    host_id: int | None
    file: DeployFile


@dataclass(frozen=True, kw_only=True)
class OnMachine:
    """An action on a machine that exists; ``host_id`` and ``host_name`` are those of its host in oned."""

    driver: str
    deploy_id: str
    host_id: int
    host_name: str


class Cancel(OnMachine):
    """Give the machine back."""


class Shutdown(OnMachine):
    """Switch the machine off and keep it."""


class Reboot(OnMachine):
    """Restart the machine as its system would."""


class Reset(OnMachine):
    """Restart the machine the hard way."""


class Poll(OnMachine):
    """Tell the machine's state and addresses."""


Action = Union[StartMonitor, StopMonitor, Deploy, PowerOn, Cancel, Shutdown, Reboot, Reset, Poll]


def parse(call: Call) -> Action:
    """Turn a call into what it asks for. A deploy call's file is read here.

    Raises:
        ConfigError: there is no such action, or argv, standard input or the file is not as it has to be.
    """
    read = ACTIONS.get((call.family, call.action))
    if not read:
        raise ConfigError(f"the hybrid drivers have no action '{call.action[:40]}' in '{call.family[:40]}'")
    return read(call)


# --- im ---------------------------------------------------------------------------------------------------------------


def _monitor_control(call: Call) -> StartMonitor | StopMonitor:
    """``provision <host id> <host name>`` starts, ``stop provision <host id> <host name>`` stops."""
    stops = call.argv[:1] == ("stop",)
    arguments = call.argv[1:] if stops else call.argv
    if len(arguments) != 3:
        raise _usage(call, "[stop] provision <host id> <host name>")
    host_id = _host_id(call, arguments[1])
    configuration = parse_start_monitor(call.stdin)
    if configuration.host_id != host_id:
        raise ConfigError(
            f"{_name(call)} was called for host {host_id}, but its standard input is of host {configuration.host_id}"
        )
    return (StopMonitor if stops else StartMonitor)(
        host_id=host_id, host_name=arguments[2], configuration=configuration
    )


# --- pm ---------------------------------------------------------------------------------------------------------------


def _deploy(call: Call) -> Deploy | PowerOn:
    """``<file> <anything>`` makes; ``<file> <name> <host id> <name>`` with a DEPLOY_ID in the file switches on."""
    if len(call.argv) not in (2, 4):
        raise _usage(call, "<file with the HOST document> <name> [<host id> <name>]")
    file = parse_deploy(_read(call, Path(call.argv[0])), f"deployment file {call.argv[0]}")
    if not file.deploy_id:
        return Deploy(driver=call.driver, file=file)
    host_id = _host_id(call, call.argv[2]) if len(call.argv) == 4 else file.host_id
    return PowerOn(driver=call.driver, deploy_id=_deploy_id(call, file.deploy_id), host_id=host_id, file=file)


def _on_machine(kind: type[OnMachine], usage: str) -> Callable[[Call], Action]:
    """Read ``<deploy id> <name> <host id> <name>``; words in capitals in ``usage`` stand in argv as they are."""
    words = usage.split(" ")

    def read(call: Call) -> Action:
        if len(call.argv) != len(words) or any(
            word.isupper() and word != given for word, given in zip(words, call.argv, strict=True)
        ):
            raise _usage(call, usage.replace("-", " "))
        return kind(  # type: ignore[return-value]  # each subclass of OnMachine is in Action
            driver=call.driver,
            deploy_id=_deploy_id(call, call.argv[0]),
            host_id=_host_id(call, call.argv[-2]),
            host_name=call.argv[-1],
        )

    return read


def _read(call: Call, path: Path) -> bytes:
    if not path.is_absolute():  # the agent does not run in the caller's folder
        raise ConfigError(f"{_name(call)}: the path of the deployment file '{path}' must be absolute")
    try:
        with path.open("rb") as file:
            data = file.read(MAX_INPUT + 1)
    except OSError as exc:
        raise ConfigError(f"{_name(call)}: the deployment file {path} cannot be read: {exc.strerror}") from exc
    return data


# --- what they share --------------------------------------------------------------------------------------------------


def _host_id(call: Call, text: str) -> int:
    if not re.fullmatch("[0-9]{1,9}", text):
        raise ConfigError(f"{_name(call)}: the host id '{text[:40]}' is not a number")
    return int(text)


def _deploy_id(call: Call, text: str) -> str:
    if not re.fullmatch("[!-~]{1,256}", text):
        raise ConfigError(f"{_name(call)}: the deploy id is empty, too long or holds blanks")
    return text


def _usage(call: Call, usage: str) -> ConfigError:
    return ConfigError(f"{_name(call)} was called with {len(call.argv)} arguments, expected {usage}")


def _name(call: Call) -> str:
    return f"{call.family}/{call.driver}/{call.action}"


ACTIONS: Final[Mapping[tuple[str, str], Callable[[Call], Action]]] = {
    ("im", "monitord-client_control"): _monitor_control,
    ("pm", "deploy"): _deploy,
    ("pm", "cancel"): _on_machine(Cancel, "<deploy-id> <name> <host-id> <name>"),
    ("pm", "shutdown"): _on_machine(Shutdown, "<deploy-id> <name> SHUTDOWN_POWEROFF <host-id> <name>"),
    ("pm", "reboot"): _on_machine(Reboot, "<deploy-id> <name> <host-id> <name>"),
    ("pm", "reset"): _on_machine(Reset, "<deploy-id> <name> <host-id> <name>"),
    ("pm", "poll"): _on_machine(Poll, "<deploy-id> <name> <host-id> <name>"),
}
