"""The EC2 calls that we use, through boto3; the only module that knows it.

boto3 is loaded at the first call, not before: it costs half a second. Its own retries are off for every call, because
InsufficientInstanceCapacity comes as HTTP 500, which botocore would repeat, and so that waits go by our clock.
"""

from __future__ import annotations

import base64
import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from typing import TYPE_CHECKING, Any, TypeVar

from hybrid_drivers.clock import Clock
from hybrid_drivers.errors import (
    ConfigError,
    CredentialsRejected,
    OutcomeUnknown,
    PermanentError,
    ProviderError,
    RateLimited,
    TransientError,
    Unsupported,
)
from hybrid_drivers.model import Machine
from hybrid_drivers.providers.base import ProviderEntry
from hybrid_drivers.providers.bucket import TokenBucket
from hybrid_drivers.providers.ec2 import states
from hybrid_drivers.providers.redaction import Redactor
from hybrid_drivers.providers.retry import Retrier
from hybrid_drivers.providers.statuses import retry_after
from hybrid_drivers.secret import Secret

if TYPE_CHECKING:
    from botocore.loaders import Loader
    from mypy_boto3_ec2.client import EC2Client

T = TypeVar("T")
PAGE = 1000  # the most DescribeInstances gives at once
DESCRIBE_RATE, DESCRIBE_BURST = 20.0, 100.0  # Amazon's request throttling for Describe*
RUN_RATE, RUN_BURST = 2.0, 5.0  # and for RunInstances
_SECRETS = ("access_key", "secret_key", "session_token")


@cache
def _loader() -> Loader:
    """Return the reader of Amazon's description of its API, one for all accounts: parsing it takes 0.1 s and memory."""
    from botocore.loaders import create_loader

    return create_loader()


class Ec2Client:
    """One account in one region; usable from many threads."""

    def __init__(self, entry: ProviderEntry, clock: Clock, retrier: Retrier | None = None) -> None:
        self._entry = entry
        self._name = f"ec2 {entry.name}"
        self._clock = clock
        self._retrier = retrier or Retrier(clock)
        self._reads = TokenBucket(
            float(entry.text("rate") or DESCRIBE_RATE), float(entry.text("burst") or DESCRIBE_BURST), clock
        )
        self._runs = TokenBucket(
            float(entry.text("create_rate") or RUN_RATE), float(entry.text("create_burst") or RUN_BURST), clock
        )
        self._redactor = Redactor(Secret(entry.text(key)) for key in _SECRETS if entry.settings.get(key))
        self._lock = threading.Lock()
        self._made: EC2Client | None = None

    def run_instance(
        self, parameters: Mapping[str, Any], what: str, user_data: str, last_look: Callable[[], None]
    ) -> Machine:
        """RunInstances for one instance, sent once; ``user_data`` is named to keep it out of errors.

        ``last_look`` is that of the request.

        Raises:
            OutcomeUnknown: no usable answer, so the instance may exist.
        """
        hide = (user_data, base64.b64encode(user_data.encode()).decode())

        def call() -> Machine:
            self._runs.take()
            last_look()
            reply = self._client().run_instances(**parameters)
            return states.machine(reply["Instances"][0])

        try:
            return self._translated(call, what, lost=OutcomeUnknown, hide=hide)
        except (ValueError, LookupError) as exc:
            raise OutcomeUnknown(f"{self._name}: {what}: the answer names no instance; it must be looked up") from exc

    def instance(self, instance_id: str) -> Machine:
        """DescribeInstances of one."""
        found = self._describe(f"looking at {instance_id}", {"InstanceIds": [instance_id]})
        if not found:  # an id that was never there is answered with an error; an empty answer is the API's lag
            raise TransientError(f"{self._name}: looking at {instance_id}: an empty answer; it will be asked again")
        return found[0]

    def instances(self, tag: str, value: str) -> list[Machine]:
        """DescribeInstances of all with this tag, over all pages, each once."""
        filters = [{"Name": f"tag:{tag}", "Values": [value]}]
        return self._describe("listing instances", {"Filters": filters, "MaxResults": PAGE})

    def act(self, operation: str, instance_id: str, **more: object) -> None:
        """Call terminate_instances, start_instances, stop_instances or reboot_instances for one instance."""
        what = f"{operation.replace('_instances', '')} of {instance_id}"

        def call() -> None:
            self._reads.take()
            getattr(self._client(), operation)(InstanceIds=[instance_id], **more)

        self._translated(call, what)

    def read(self, operation: str, what: str, **parameters: object) -> Mapping[str, Any]:
        """Call a Describe or Get operation, named as boto3 has it; repeated for passing failures."""
        return self._retrier.run(lambda: self._translated(lambda: self._operation(operation, parameters), what))

    def change(
        self, operation: str, what: str, *, lost: type[ProviderError] = TransientError, **parameters: object
    ) -> Mapping[str, Any]:
        """Call an operation that changes something, sent once; ``lost`` is what silence after sending means."""
        return self._translated(lambda: self._operation(operation, parameters), what, lost=lost)

    def _operation(self, operation: str, parameters: Mapping[str, object]) -> Mapping[str, Any]:
        self._reads.take()
        answer: Mapping[str, Any] = getattr(self._client(), operation)(**parameters)
        return answer

    def console(self, instance_id: str) -> str:
        """GetConsoleOutput: the newest where the instance type has that, otherwise the last that was kept."""
        what = f"reading the console of {instance_id}"

        def call(latest: bool) -> str:
            self._reads.take()
            more: dict[str, Any] = {"Latest": True} if latest else {}
            return str(self._client().get_console_output(InstanceId=instance_id, **more).get("Output") or "")

        try:
            return self._retrier.run(lambda: self._translated(lambda: call(True), what))
        except (Unsupported, PermanentError) as exc:
            if isinstance(exc, CredentialsRejected):
                raise
            return self._retrier.run(lambda: self._translated(lambda: call(False), what))

    def check_access(self) -> None:
        """DescribeInstances of a page as small as the API allows: an error says what is wrong with the credentials."""
        what = "listing instances"
        self._retrier.run(lambda: self._translated(lambda: self._page({"MaxResults": 5}), what))

    def _describe(self, what: str, query: Mapping[str, Any]) -> list[Machine]:
        found: dict[str, Machine] = {}
        token = ""
        while True:
            page = {**query, **({"NextToken": token} if token else {})}
            reply = self._retrier.run(lambda page=page: self._translated(lambda: self._page(page), what))  # type: ignore[misc] # mypy cannot infer a lambda with a default
            for reservation in reply.get("Reservations", ()):
                found.update((one.id, one) for one in map(self._read, reservation.get("Instances", ())))
            token = reply.get("NextToken") or ""
            if not token:
                return list(found.values())

    def _read(self, instance: Mapping[str, object]) -> Machine:
        try:
            return states.machine(instance)
        except ValueError as exc:
            raise TransientError(f"{self._name}: the API answered with {exc}; it will be asked again") from exc

    def _page(self, query: Mapping[str, Any]) -> Any:
        self._reads.take()
        return self._client().describe_instances(**query)

    def _translated(
        self,
        call: Callable[[], T],
        what: str,
        *,
        lost: type[ProviderError] = TransientError,
        hide: Sequence[str] = (),
    ) -> T:
        """Run one call; botocore's errors become ours, in this one place."""
        self._client()  # loads botocore, or says that it is not there
        from botocore import exceptions as boto
        from botocore.parsers import ResponseParserError

        sentence = f"{self._name}: {what}"
        try:
            return call()
        except boto.ClientError as exc:
            raise self._refusal(exc.response, sentence, lost, hide) from exc
        except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError) as exc:
            raise CredentialsRejected(f"{sentence}: there are no credentials where the entry says") from exc
        except (boto.EndpointConnectionError, boto.ConnectTimeoutError, boto.ProxyConnectionError) as exc:
            raise TransientError(f"{sentence}: the API cannot be reached; it will be tried again") from exc
        except (boto.ParamValidationError, boto.UnknownEndpointError) as exc:
            words = self._redactor.clean(str(exc), hide)
            raise PermanentError(f"{sentence}: {words}; correct the PROVISION attributes") from exc
        except (boto.BotoCoreError, ResponseParserError) as exc:
            # Among them ReadTimeoutError, ConnectionClosedError: sent, and no usable answer.
            raise lost(f"{sentence}: no usable answer ({type(exc).__name__})") from exc

    def _refusal(
        self, response: Mapping[str, Any], sentence: str, lost: type[ProviderError], hide: Sequence[str]
    ) -> ProviderError:
        told = response.get("Error", {})
        meta = response.get("ResponseMetadata", {})
        code, status = str(told.get("Code", "")), int(meta.get("HTTPStatusCode", 0))
        error, advice = states.error_class(code, status)
        if error is TransientError and lost is not TransientError:
            error, advice = lost, "whether it was done must be looked up"  # 5xx: it may have been
        words = self._redactor.clean(str(told.get("Message", "")), hide)
        sentence = f"{sentence}: {code or f'HTTP {status}'} ({words}); {advice}"
        if not issubclass(error, TransientError):
            return error(sentence)
        wait = retry_after(meta.get("HTTPHeaders", {}), self._clock.now())
        if error is RateLimited:
            (self._runs if lost is OutcomeUnknown else self._reads).pause(wait or 1.0)
        return error(sentence, wait)

    def _client(self) -> EC2Client:
        with self._lock:  # sessions are not thread-safe, clients are
            if self._made is None:
                self._made = self._make()
            return self._made

    def _make(self) -> EC2Client:
        entry = self._entry
        try:
            import boto3
            import botocore.session
            from botocore.config import Config
            from botocore.exceptions import BotoCoreError
        except ImportError as exc:
            raise ConfigError("driver ec2 needs boto3: pip install 'opennebula-hybrid-drivers[ec2]'") from exc
        for library in ("botocore", "boto3"):  # at DEBUG they log whole requests, user-data included
            logger = logging.getLogger(library)
            logger.setLevel(max(logger.level, logging.INFO))
        config = Config(
            connect_timeout=10,
            read_timeout=60,
            max_pool_connections=32,
            retries={"total_max_attempts": 1, "mode": "standard"},
            user_agent_extra="opennebula-hybrid-drivers",
        )
        try:
            core = botocore.session.Session()
            core.register_component("data_loader", _loader())
            session = boto3.session.Session(
                botocore_session=core,
                aws_access_key_id=entry.text("access_key") or None,
                aws_secret_access_key=entry.text("secret_key") or None,
                aws_session_token=entry.text("session_token") or None,
                profile_name=entry.text("profile") or None,
                region_name=entry.text("region"),
            )
            return session.client("ec2", endpoint_url=entry.text("endpoint") or None, config=config)
        except (BotoCoreError, ValueError) as exc:
            words = self._redactor.clean(str(exc))
            raise ConfigError(f"{entry.source}: boto3 does not accept the entry: {words}") from exc
