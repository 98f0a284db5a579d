"""Virtual time for the modules that ask for it with `pytestmark = pytest.mark.virtual_time`."""

import asyncio
from collections.abc import Callable, Mapping

import pytest
from tests.unit.chassis.virtual_time import VirtualLoop


def pytest_asyncio_loop_factories(
    item: pytest.Item,
) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """Choose the event loop of a test."""
    is_virtual = item.get_closest_marker("virtual_time") is not None
    return {"virtual": VirtualLoop} if is_virtual else {"real": asyncio.new_event_loop}
