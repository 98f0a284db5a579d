"""Each room's table of callers: complete, true to the contract, and what its README says."""

# ruff: noqa: D103 (a test's name is its claim)

import re
from importlib import import_module
from pathlib import Path

import pytest
from google.protobuf.descriptor import ServiceDescriptor

TREE = Path(__file__).parents[2]
SERVES = {
    "gateway": ("purser.gateway.v1.gateway_pb2",),
    "user_worker": ("purser.worker.v1.worker_pb2",),
    "pricing": ("purser.pricing.v1.pricing_pb2", "purser.venue.v1.venue_pb2"),
    "wallet": ("purser.wallet.v1.wallet_pb2",),
    "ledger": ("purser.ledger.v1.ledger_pb2",),
}
PARTS = {"gateway", "user-worker", "pricing", "wallet", "ledger", "operator"}


def _services(room: str) -> dict[str, ServiceDescriptor]:
    files = [import_module(module).DESCRIPTOR for module in SERVES[room]]
    return {
        service.full_name: service for file in files for service in file.services_by_name.values()
    }


@pytest.mark.parametrize("room", SERVES)
def test_a_rooms_table_names_each_of_its_services_and_parts_that_exist(room: str) -> None:
    """A method's name that the contract does not have would be an entry that guards nothing."""
    table: dict[str, set[str]] = import_module(f"{room}.main").MAY_CALL
    services = _services(room)
    assert set(services) <= set(table)
    for entry, callers in table.items():
        service, _, method = entry.partition("/")
        assert service in services
        assert not method or method in services[service].methods_by_name
        assert callers <= PARTS
        assert room.replace("_", "-") not in callers


@pytest.mark.parametrize("room", SERVES)
def test_the_readme_says_who_may_call(room: str) -> None:
    readme = (TREE / "services" / room.replace("_", "-") / "README.md").read_text()
    section = readme.split("## Who may call\n")[1].split("\n## ")[0]
    rows = re.findall(r"^\| `(purser\.[^`]+)` \| (.+) \|$", section, re.MULTILINE)
    told = {entry: set(re.findall("`([^`]+)`", callers)) for entry, callers in rows}
    assert import_module(f"{room}.main").MAY_CALL == told


def test_every_service_of_the_contract_has_a_room_that_guards_it() -> None:
    protos = (TREE / "protos" / "purser").glob("*/v1/*.proto")
    in_the_contract = {
        f"purser.{proto.parent.parent.name}.v1.{name}"
        for proto in protos
        for name in re.findall(r"^service (\w+)", proto.read_text(), re.MULTILINE)
    }
    assert in_the_contract == {name for room in SERVES for name in _services(room)}
