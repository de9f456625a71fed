"""One service of a control plane: what its predictors know of it, and what they can do to it."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import urlsplit

from recserve.sdk.asking import Asking, Transport
from recserve.sdk.exception import UnexpectedStatusException
from recserve.sdk.serializers import serializer_for
from recserve.sdk.session import Session, get_default_session

if TYPE_CHECKING:
    from collections.abc import Mapping

    from recserve.sdk.serializers import SerializerBase

_POLL_S = 0.2


class ServiceStatus:
    """The words of a service's life that programs compare with."""

    Running = "Running"
    Waiting = "Waiting"
    Scaling = "Scaling"
    Stopped = "Stopped"
    Failed = "Failed"
    DeleteFailed = "DeleteFailed"

    @staticmethod
    def completed_status() -> list[str]:
        """Those that stay as they are until somebody does something."""
        return [
            ServiceStatus.Running,
            ServiceStatus.Stopped,
            ServiceStatus.Failed,
            ServiceStatus.DeleteFailed,
        ]


class EndpointType:
    """How a service is reached. Ours: DIRECT goes to its instances, the gateway left out."""

    INTERNET = "INTERNET"
    INTRANET = "INTRANET"
    DIRECT = "DIRECT"


class ServiceType:
    """What `metadata.type` says. Async: the queue is in the predictor, the service is a Standard one."""

    Standard = "Standard"
    Async = "Async"


class ServicePredictor(Asking):
    """What Predictor and AsyncPredictor share: one service of a control plane, as it was last described."""

    def __init__(
        self,
        service_name: str,
        endpoint_type: str = EndpointType.INTERNET,
        serializer: SerializerBase | None = None,
        session: Session | None = None,
    ) -> None:
        known = (EndpointType.INTERNET, EndpointType.INTRANET, EndpointType.DIRECT)
        if endpoint_type not in known:
            raise ValueError(f"endpoint_type is {endpoint_type!r}; {', '.join(known)} are possible")
        self.service_name = service_name
        self.session = session or get_default_session()
        self._endpoint_type = endpoint_type
        self._given = serializer
        self._chosen: SerializerBase | None = None
        self._sender: Transport | None = None
        self._described: dict[str, Any] = {}
        self.refresh()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(service_name={self.service_name!r})"

    @classmethod
    def deploy(
        cls,
        config: Mapping[str, Any],
        session: Session | None = None,
        endpoint_type: str = EndpointType.INTERNET,
        serializer: SerializerBase | None = None,
        wait: bool = True,
    ) -> Self:
        """Create a service of a document."""
        session = session or get_default_session()
        made = session.client.create(config)
        found = cls(made["ServiceName"], endpoint_type=endpoint_type, serializer=serializer, session=session)
        if wait:
            found.wait_for_ready()
        return found

    def describe_service(self) -> dict[str, Any]:
        """Everything that the control plane says of it, as of now."""
        return self.session.client.service(self.service_name)

    def refresh(self) -> None:
        """Read anew what the properties say."""
        before, self._described = self._described, self.describe_service()
        if before.get("InternetEndpoint") != self._described["InternetEndpoint"]:
            self._sender = None

    @property
    def endpoint(self) -> str:
        """Where requests go: the gateway's address of the service."""
        return self.intranet_endpoint if self._endpoint_type == "INTRANET" else self.internet_endpoint

    @property
    def internet_endpoint(self) -> str:
        """The gateway's address of the service."""
        return str(self._described["InternetEndpoint"])

    @property
    def intranet_endpoint(self) -> str:
        """The same: there is one gateway."""
        return str(self._described["IntranetEndpoint"])

    @property
    def access_token(self) -> str:
        """What a request has to bring as Authorization; empty for an open service."""
        return str(self._described["AccessToken"])

    @property
    def service_status(self) -> str:
        """Its status when it was last described."""
        return str(self._described["Status"])

    @property
    def labels(self) -> dict[str, str]:
        """Its labels."""
        return {one["LabelKey"]: one["LabelValue"] for one in self._described.get("Labels", ())}

    @property
    def console_uri(self) -> str:
        """Where the control plane tells of it."""
        return f"{self.session.client.url}/api/v2/services/local/{self.service_name}"

    def wait_for_ready(self, timeout: float | None = None) -> None:
        """Wait until it runs; UnexpectedStatusException if it will not, or has not in `timeout` s."""
        ends = (ServiceStatus.Stopped, ServiceStatus.Failed, ServiceStatus.DeleteFailed)
        self._wait_for(ServiceStatus.Running, ends, timeout)

    wait = wait_for_ready

    def start_service(self, wait: bool = True) -> None:
        """Start it again."""
        self.session.client.put(self.service_name, "start")
        if wait:
            self._wait_for(ServiceStatus.Running, (ServiceStatus.Failed,), None)

    def stop_service(self, wait: bool = True) -> None:
        """End its instances; it keeps its name and its versions."""
        self.session.client.put(self.service_name, "stop")
        if wait:
            self._wait_for(ServiceStatus.Stopped, (ServiceStatus.DeleteFailed,), None)

    def delete_service(self) -> None:
        """End it for good."""
        self.session.client.delete(self.service_name)
        self._close()

    def switch_version(self, version: int, wait: bool = False) -> None:
        """Roll to another version of those that there are. Ours: `wait` until it serves."""
        self.refresh()
        current, latest = self._described["CurrentVersion"], self._described["LatestVersion"]
        if version == current:
            raise ValueError(f"service {self.service_name} has version {version} already")
        if not 1 <= version <= latest:
            raise ValueError(f"service {self.service_name} has no version {version}; the latest is {latest}")
        self.session.client.put(self.service_name, "version", {"Version": version})
        self._rolled(wait)

    def scale(self, instance_count: int, wait: bool = True) -> None:
        """Change how many instances it has; ours."""
        self.update({"metadata": {"instance": instance_count}}, wait=wait)

    def update(self, change: Mapping[str, Any], wait: bool = True) -> None:
        """Lay a change over its document; if more than numbers change, a new version is rolled out; ours.

        UnexpectedStatusException if the new version does not get ready: the one before it serves on.
        """
        self.session.client.modify(self.service_name, change)
        self._rolled(wait)

    def _rolled(self, wait: bool) -> None:
        if wait:
            self.wait_for_ready()
        self.refresh()
        if wait and self._described.get("Reason") == "FAILED":
            raise UnexpectedStatusException(
                f"service {self.service_name}: {self._described['Message']}", self.service_status
            )

    def _wait_for(self, wanted: str, ends: tuple[str, ...], timeout: float | None) -> None:
        give_up_at = None if timeout is None else time.monotonic() + timeout
        while True:
            self.refresh()
            found, status = self._described, self.service_status
            late = give_up_at is not None and time.monotonic() > give_up_at
            if status == wanted:
                return
            if status in ends or late:
                reason = f" {found['Reason']}" if found.get("Reason") else ""
                since = f" after {timeout:g} s" if late and timeout is not None else ""
                raise UnexpectedStatusException(
                    f"service {self.service_name} is {status}{since}, not {wanted}:{reason}"
                    f" {found['Message']}",
                    status,
                )
            time.sleep(_POLL_S)

    def _transport(self) -> Transport:
        if self._sender is None:
            self._sender = self._new_transport()
        return self._sender

    def _new_transport(self) -> Transport:
        """Without a gateway, the endpoint is at the control plane itself, which says who serves."""
        control = self.session.client.url
        gateway = urlsplit(self.endpoint).netloc != urlsplit(control).netloc
        if gateway and self._endpoint_type != EndpointType.DIRECT:
            return Transport(self.endpoint, ca=self.session.ca)
        document = self._document()
        prefix = f"/api/predict/{self.service_name}"
        if "containers" in document:
            rpc = document.get("metadata", {}).get("rpc", {})
            prefix = str(rpc.get("proxy_path") or "/")
        return Transport(discovery=control, name=self.service_name, prefix=prefix)

    def _serializer(self) -> SerializerBase:
        if self._chosen is None:
            chosen = self._given or serializer_for(self._document())
            chosen.inspect_from_service(self.service_name, session=self.session)
            self._chosen = chosen
        return self._chosen

    def _headers(self) -> dict[str, str]:
        token = self.access_token
        return super()._headers() | ({"Authorization": token} if token else {})

    def _document(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self._described.get("ServiceConfig") or "{}")
        return document

    def _close(self) -> None:
        if self._sender is not None:
            self._sender.close()
