"""Every error the project raises on purpose, in one tree.

    HybridError
    |- ConfigError             the operator's input is wrong: a file, a key, an attribute
    |- OnedError               oned answered with a failure
    |  |- OnedUnreachable      no answer at all: down, restarting, no leader (passing)
    |  |- AuthenticationFailed 256        |- NotAuthorized   512
    |  |- NoSuchObject        1024        |- ActionRefused  2048
    |  |- BadCall             4096        |- InternalFailure 8192
    |  |- AllocateRefused    16384        '- ObjectLocked  32768
    |- ProviderError           a provider did not do what it was asked
    |  |- TransientError       worth another try: 5xx, time-outs before anything was sent, throttling
    |  |  |- RateLimited       429 and its kin; carries ``retry_after``
    |  |  '- WrongState        the machine cannot do this now (still provisioning)
    |  |- OutcomeUnknown       the request may have been carried out: look before asking again
    |  |- CapacityExhausted    this plan is sold out in this place: try the next
    |  |- QuotaExceeded        the account's limit: only a person can raise it
    |  |- TokenSpent           an idempotency token that can no longer be used: raise the attempt
    |  |- PermanentError       asking again gives the same answer
    |  |  |- CredentialsRejected
    |  |  '- Unsupported       the provider lacks this capability
    |  |- MachineGone          no such machine (any more)
    |  '- AddressGone          no such block of addresses (any more)
    |- HostError               an SSH host did not do what it was asked
    |  |- HostUnreachable      no SSH yet, or no longer (passing)
    |  |- HostKeyMismatch      not the machine we made: nothing was sent to it
    |  |- LoginRefused         the host does not take our key
    |  '- StepFailed           a configuration step failed; carries role, step, exit code, stderr
    |- AgentError              the agent cannot be reached or started
    '- SandboxError            the laboratory cannot do what was asked (never raised by production code)

The text of an error is one sentence a person can act on. It never holds a secret.
"""

from __future__ import annotations


class HybridError(Exception):
    """Base of every error of this project; ``str()`` is the sentence for people."""


class ConfigError(HybridError):
    """The operator's input is wrong; the text names the file or object, the key and what is expected."""


class OnedError(HybridError):
    """oned answered with a failure; ``code`` is its error code (0 when there was no answer)."""

    code = 0


class OnedUnreachable(OnedError):
    """oned gave no answer; a later try may succeed. ``sent``: the request was on its way, so it may have been done."""

    def __init__(self, message: str, *, sent: bool = False) -> None:
        super().__init__(message)
        self.sent = sent


class AuthenticationFailed(OnedError):
    """oned does not know the user or password."""

    code = 256


class NotAuthorized(OnedError):
    """The user may not do this."""

    code = 512


class NoSuchObject(OnedError):
    """The object does not exist (any more)."""

    code = 1024


class ActionRefused(OnedError):
    """oned refuses the action in the object's present state."""

    code = 2048


class BadCall(OnedError):
    """oned did not understand the call."""

    code = 4096


class InternalFailure(OnedError):
    """oned failed inside, for example over an unknown driver."""

    code = 8192


class AllocateRefused(OnedError):
    """oned will not make the object, for example because the name is taken."""

    code = 16384


class ObjectLocked(OnedError):
    """The object is locked."""

    code = 32768


class ProviderError(HybridError):
    """A provider did not do what it was asked."""


class TransientError(ProviderError):
    """A passing failure. ``retry_after`` (seconds) is set when the provider named a time."""

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class RateLimited(TransientError):
    """The provider throttles us."""


class WrongState(TransientError):
    """The machine cannot do this in its present state; later it may."""


class OutcomeUnknown(ProviderError):
    """A changing request was sent and no answer came: it may have been carried out."""


class CapacityExhausted(ProviderError):
    """The provider has no machine of this plan in this place now."""


class QuotaExceeded(ProviderError):
    """A limit of the account is reached."""


class TokenSpent(ProviderError):
    """The idempotency token was used by a request that can no longer be repeated."""


class PermanentError(ProviderError):
    """The request is wrong or forbidden; repeating it gives the same answer."""


class CredentialsRejected(PermanentError):
    """The provider does not accept the credentials of the provider entry."""


class Unsupported(PermanentError):
    """The provider does not have this capability."""


class MachineGone(ProviderError):
    """The provider does not have this machine (any more); ``failure`` is why it ended by itself, where known."""

    def __init__(self, message: str, *, failure: str = "", failure_is_capacity: bool = False) -> None:
        super().__init__(message)
        self.failure, self.failure_is_capacity = failure, failure_is_capacity


class AddressGone(ProviderError):
    """The provider does not have this block of addresses (any more)."""


class HostError(HybridError):
    """A host did not do what it was asked over SSH."""


class HostUnreachable(HostError):
    """No SSH connection, or it broke; a later try may succeed."""


class HostKeyMismatch(HostError):
    """The host showed another key than the pinned one; nothing was sent to it."""


class LoginRefused(HostError):
    """The host does not accept our key for this user."""


class StepFailed(HostError):
    """A configuration step failed on a host; the text names host, role, step, exit code and the last of its stderr."""

    def __init__(self, host: str, role: str, step: str, exit_code: int, stderr: str) -> None:
        last = " / ".join(line.strip() for line in stderr.splitlines() if line.strip())[-300:]
        super().__init__(
            f"{host}: step '{step}' of role {role} failed with exit code {exit_code}: {last or 'no output'}"
        )
        self.host, self.role, self.step, self.exit_code, self.stderr = host, role, step, exit_code, stderr


class AgentError(HybridError):
    """The agent cannot be reached or started."""


class SandboxError(HybridError):
    """The sandbox cannot do what was asked: a missing tool, no root, no such machine, a command that failed."""
