"""A UserShard of a test's namespace, `main` unless said: changing it, waiting for what it says."""

from typing import Any

import pytest
from tests.cluster.api import ApiError, JsonObject, KubernetesApi, resource_path
from tests.cluster.operators import TARGET
from tests.cluster.waiting import WITHIN_SECONDS, eventually

API_VERSION = "purser.dev/v1alpha1"


class Subject:
    """The UserShard under test, and questions about it."""

    def __init__(self, api: KubernetesApi, namespace: str, name: str = "main") -> None:
        self._api = api
        self._namespace = namespace
        self._name = name
        self._path = resource_path(API_VERSION, "usershards", namespace, name)

    def named(self, name: str) -> "Subject":
        """Another UserShard beside it."""
        return Subject(self._api, self._namespace, name)

    async def create(self, **spec: Any) -> JsonObject:
        """Make it."""
        path = resource_path(API_VERSION, "usershards", self._namespace)
        body = {
            "apiVersion": API_VERSION,
            "kind": "UserShard",
            "metadata": {"name": self._name},
            "spec": {"scaleTargetRef": {"name": TARGET}, **spec},
        }
        return await self._api.create(path, body)

    async def create_past_the_rules(self, **spec: Any) -> None:
        """Make what an older definition lets pass, once the server goes by it."""

        async def is_made() -> bool:
            try:
                await self.create(**spec)
            except ApiError as refusal:
                if refusal.reason != "Invalid":
                    raise
                return False
            return True

        await eventually(is_made)

    async def read(self) -> JsonObject:
        """The object."""
        return await self._api.get(self._path)

    async def patch(self, **spec: Any) -> JsonObject:
        """Change the spec; None removes."""
        return await self._api.merge(self._path, {"spec": spec})

    async def change(self, body: JsonObject) -> JsonObject:
        """Merge anything into it; None removes."""
        return await self._api.merge(self._path, body)

    async def write_status(self, status: JsonObject) -> JsonObject:
        """Merge into its status, as an operator does."""
        return await self.write_through_status({"status": status})

    async def write_through_status(self, body: JsonObject) -> JsonObject:
        """Merge anything into it by way of the status subresource."""
        return await self._api.merge(f"{self._path}/status", body)

    async def delete(self) -> None:
        """Delete it."""
        await self._api.delete(self._path)

    async def asked(self) -> int:
        """The StatefulSet's count."""
        path = resource_path("apps/v1", "statefulsets", self._namespace, TARGET)
        count: int = (await self._api.get(path))["spec"]["replicas"]
        return count

    async def until_asked(self, count: int, within_seconds: float = WITHIN_SECONDS) -> None:
        """Wait for the StatefulSet's count."""

        async def is_asked() -> bool:
            return await self.asked() == count

        await eventually(is_asked, within_seconds)

    async def until_condition(self, kind: str, status: str, reason: str) -> JsonObject:
        """Wait for a condition; gives it."""
        found: JsonObject = {}

        async def is_so() -> bool:
            nonlocal found
            conditions = (await self.read()).get("status", {}).get("conditions", [])
            found = next((c for c in conditions if c["type"] == kind), {})
            return (found.get("status"), found.get("reason")) == (status, reason)

        try:
            await eventually(is_so)
        except TimeoutError:
            pytest.fail(f"{kind} never became {status} {reason}; it is {found}")
        return found
