"""What pods take of a node's memory, as the kubelet measures it."""

import json
from collections import defaultdict

from tests.cluster.node.places import NODE_NAME
from tests.node.release import Release


async def memory_of_parts(release: Release) -> dict[str, float]:
    """The resident memory (RSS) of the release's pods in MiB, by part. A pod the kubelet has not
    measured yet is left out.
    """
    parts = {
        pod["metadata"]["name"]: pod["metadata"]["labels"]["app.kubernetes.io/name"]
        for pod in await release.pods()
    }
    path = f"/api/v1/nodes/{NODE_NAME}/proxy/stats/summary"
    summary = json.loads(await release.kubectl("get", "--raw", path))
    found: dict[str, float] = defaultdict(float)
    for pod in summary["pods"]:
        reference = pod["podRef"]
        if reference["namespace"] == release.namespace and reference["name"] in parts:
            found[parts[reference["name"]]] += pod.get("memory", {}).get("rssBytes", 0) / 2**20
    return dict(found)
