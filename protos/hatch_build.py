"""Generates the Python modules from purser/**/*.proto whenever this package is built or installed.

Proto root is Python root: ``purser/ledger/v1/ledger.proto`` becomes
``purser.ledger.v1.ledger_pb2``. The modules land beside their sources and are ignored by git, so an
editable install, a wheel and a container image all hold code made by the locked compiler and never
a stale copy.
"""

import sys
from importlib.resources import files
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CustomBuildHook(BuildHookInterface[Any]):
    """Runs protoc with the gRPC and the typing plugin before hatchling collects files."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Generate every module, or stop the build with protoc's own message."""
        from grpc_tools import protoc

        root = Path(self.root)
        sources = sorted(str(path) for path in root.glob("purser/**/*.proto"))
        scripts = Path(sys.executable).parent
        arguments = [
            "protoc",
            f"-I{root}",
            f"-I{files('grpc_tools') / '_proto'}",
            f"--plugin=protoc-gen-mypy={scripts / 'protoc-gen-mypy'}",
            f"--plugin=protoc-gen-mypy_grpc={scripts / 'protoc-gen-mypy_grpc'}",
            f"--python_out={root}",
            f"--grpc_python_out={root}",
            f"--mypy_out={root}",
            f"--mypy_grpc_out={root}",
            *sources,
        ]
        status = protoc.main(arguments)
        if status != 0:
            message = f"protoc ended with status {status}; its message is above"
            raise RuntimeError(message)
