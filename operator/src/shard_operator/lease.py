"""The Lease in the API server, as `leadership.LeaseStore`.

Writes are merge patches that carry the resourceVersion they were planned from, so that an outdated
one is refused (409) and labels somebody put on the Lease stay.
"""

from shard_operator.api import JsonObject, KubernetesApi, resource_path
from shard_operator.errors import ApiRefused
from shard_operator.leadership import LeaseRecord

API_VERSION = "coordination.k8s.io/v1"


class KubernetesLease:
    """One Lease, by namespace and name."""

    def __init__(self, api: KubernetesApi, namespace: str, name: str) -> None:
        self._api = api
        self._namespace = namespace
        self._name = name

    async def read(self) -> LeaseRecord | None:
        """The Lease; None when there is none."""
        try:
            return _read(await self._api.get(self._path(self._name)))
        except ApiRefused as refusal:
            if refusal.status == 404:
                return None
            raise

    async def create(self, record: LeaseRecord) -> LeaseRecord:
        """Make the Lease."""
        metadata = {"namespace": self._namespace, "name": self._name}
        body = {"apiVersion": API_VERSION, "kind": "Lease", "metadata": metadata}
        return _read(await self._api.create(self._path(None), body | {"spec": _write(record)}))

    async def replace(self, record: LeaseRecord) -> LeaseRecord:
        """Write the Lease, if its version is still the newest."""
        body = {"metadata": {"resourceVersion": record.version}, "spec": _write(record)}
        return _read(await self._api.merge(self._path(self._name), body))

    def _path(self, name: str | None) -> str:
        return resource_path(API_VERSION, "leases", self._namespace, name)


def _read(lease: JsonObject) -> LeaseRecord:
    spec = lease.get("spec") or {}
    return LeaseRecord(
        holder=spec.get("holderIdentity") or "",
        duration_seconds=int(spec.get("leaseDurationSeconds") or 0),
        acquired=spec.get("acquireTime") or "",
        renewed=spec.get("renewTime") or "",
        transitions=int(spec.get("leaseTransitions") or 0),
        version=lease["metadata"]["resourceVersion"],
    )


def _write(record: LeaseRecord) -> JsonObject:
    return {
        # An empty name is written as none at all, as client-go does.
        "holderIdentity": record.holder or None,
        "leaseDurationSeconds": record.duration_seconds,
        "acquireTime": record.acquired,
        "renewTime": record.renewed,
        "leaseTransitions": record.transitions,
    }
