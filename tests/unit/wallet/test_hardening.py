"""What the operating system is told about a process that sees private keys."""

import asyncio
import sys

import pytest

SCRIPT = """
import ctypes, resource
from wallet.hardening import forbid_dumps
PR_GET_DUMPABLE = 3
forbid_dumps()
print(resource.getrlimit(resource.RLIMIT_CORE), ctypes.CDLL(None).prctl(PR_GET_DUMPABLE))
"""


@pytest.mark.skipif(sys.platform != "linux", reason="prctl is Linux's")
async def test_no_core_file_and_no_reader_of_its_memory() -> None:
    """In a process of its own, since there is no way back."""
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SCRIPT, stdout=asyncio.subprocess.PIPE
    )
    output, _ = await program.communicate()

    assert output.decode().split("\n")[0] == "(0, 0) 0"
