"""kopf, imported light, and the credentials it and our own client share.

Importing kopf imports the Kubernetes client with it (58 MB of a process of 65 MB) only to recognise
model objects that nobody passes to it here; so it is imported while that client looks absent. The
client stays importable: `log_in` asks it where a kubeconfig names an external program (`exec`,
OIDC), which happens on a developer's machine, never in a pod.
"""

import logging
import sys
from typing import TYPE_CHECKING, Any

from shard_operator.errors import ApiRefused

if TYPE_CHECKING:
    import kopf
else:

    def _import_kopf() -> Any:
        if "kopf" in sys.modules or "kubernetes" in sys.modules:
            import kopf

            return kopf
        sys.modules["kubernetes"] = None
        try:
            import kopf

            return kopf
        finally:
            del sys.modules["kubernetes"]

    kopf = _import_kopf()

__all__ = ["kopf", "log_in"]


def log_in() -> kopf.ConnectionInfo:
    """Credentials of the pod's service account, else of the kubeconfig. Raises `ApiRefused`."""
    settings = kopf.OperatorSettings()
    if (info := kopf.login_with_service_account(settings=settings)) is not None:
        return info
    try:
        info = kopf.login_with_kubeconfig(settings=settings)
        if info is None or not (info.token or info.username or _has_certificate(info)):
            logger = logging.getLogger(__name__)
            info = kopf.login_via_client(settings=settings, logger=logger)
    except (kopf.LoginError, OSError, KeyError) as error:
        raise ApiRefused(401, "Unauthorized", f"cannot log in: {error}") from error
    if info is None:
        raise ApiRefused(401, "Unauthorized", "there is neither a service account nor a kubeconfig")
    return info


def _has_certificate(info: kopf.ConnectionInfo) -> bool:
    return bool(info.certificate_path or info.certificate_data)
