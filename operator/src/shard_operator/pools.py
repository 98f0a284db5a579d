"""The UserShards there are, fed by events and by listing, read by the reconcile loop.

Events come from kopf's thread, one object at a time; a listing replaces everything, since a
deletion in the gap between two watches brings no event. An object that cannot be read (the CRD
stops nearly all of them) is kept apart with its problem, so that its author can be told; its pool
is left as it is.
"""

import asyncio
from collections.abc import Iterable, Sequence

from shard_operator.cluster_view import Key, key_of
from shard_operator.errors import InvalidUserShard
from shard_operator.stateful_sets import JsonObject, version_of
from shard_operator.usershard import UserShard, parse_user_shard


class Pools:
    """What the operator serves. Use it from one event loop only."""

    def __init__(self, wake: asyncio.Event) -> None:
        self._wake = wake
        self._valid: dict[Key, UserShard] = {}
        self._invalid: dict[Key, InvalidUserShard] = {}
        self.refused = ""
        """Why they could not be listed the last time; empty when they were."""

    def list_valid(self) -> Sequence[UserShard]:
        """The UserShards to reconcile."""
        return list(self._valid.values())

    def list_invalid(self) -> Sequence[InvalidUserShard]:
        """Those that cannot be."""
        return list(self._invalid.values())

    def note_event(self, body: JsonObject, *, deleted: bool) -> None:
        """An object was seen, changed or deleted; one that is being deleted counts as gone."""
        key = key_of(body)
        before = self._valid.get(key)
        if before is not None and version_of(body) < before.version:
            return
        deleted = deleted or "deletionTimestamp" in body["metadata"]
        if deleted:
            self._valid.pop(key, None)
            self._invalid.pop(key, None)
        else:
            self._keep(key, body)
        after = self._valid.get(key)
        # Our own writes of the status come back as events: they are no reason to look again.
        if deleted or before is None or after is None or before.spec != after.spec:
            self._wake.set()

    def replace_all(self, bodies: Iterable[JsonObject], version: int) -> None:
        """A listing of this version: what is not in it is gone, unless it is younger."""
        listed = {key_of(body): body for body in bodies}
        for key in self._valid.keys() - listed.keys():
            if self._valid[key].version <= version:
                del self._valid[key]
                self._wake.set()
        for key in self._invalid.keys() - listed.keys():
            del self._invalid[key]
        for body in listed.values():
            self.note_event(body, deleted=False)

    def _keep(self, key: Key, body: JsonObject) -> None:
        try:
            self._valid[key] = parse_user_shard(body)
            self._invalid.pop(key, None)
        except InvalidUserShard as problem:
            self._valid.pop(key, None)
            self._invalid[key] = problem
