"""The Secrets the chart expects, made where they are absent, for trying Purser out on a cluster."""

from devbox.cluster_secrets.ensuring import ensure_cluster_secrets

__all__ = ["ensure_cluster_secrets"]
