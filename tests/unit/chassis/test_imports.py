"""What importing the shelf costs: none of the heavy tooling that happens to be installed."""

import json
import subprocess
import sys

SHELF = "errors settings telemetry process postgres migrations redis streams rate_limit grpc_server"
UNWANTED = {
    "rich",
    "pygments",
    "pydantic",
    "aiohttp",
    "aiogram",
    "kubernetes",
    "opentelemetry",
    "psutil",
}


def test_the_whole_shelf_comes_without_tooling_nobody_uses() -> None:
    """A worker's memory is the price of each of these, thousands of users over."""
    program = (
        "import sys, json\n"
        f"for name in {(SHELF + ' grpc_client micro_batch').split()!r}:\n"
        "    __import__('chassis.' + name)\n"
        "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))\n"
    )
    output = subprocess.run(
        [sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=60
    ).stdout
    assert UNWANTED.intersection(json.loads(output)) == set()
