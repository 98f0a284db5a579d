"""The processes that make a node of a machine: kubelet runs pods, kube-proxy has Services reached,
and the third has NetworkPolicies obeyed.
"""

import json
from pathlib import Path

from tests.cluster.binaries import component_path
from tests.cluster.children import Child
from tests.cluster.components import Components
from tests.cluster.local_node import ROOT
from tests.cluster.node.places import (
    DNS_ADDRESS,
    FOLDER,
    KUBELET_PORT,
    LOGS,
    NAMESPACE_FILE,
    NODE_ADDRESS,
    NODE_NAME,
    PODS,
    SOCKET,
    in_namespace,
)
from tests.cluster.node.policies import policies_command

OPEN_FILES_MAX = 20_000
"""Within the hard limit of a small machine; kubelet asks for a million otherwise and ends."""
PODS_MAX = 110


def start_kubelet(components: Components) -> Child:
    """Start it; its node object becomes Ready by itself."""
    certificate, key = components.kubelet_certificate(NODE_NAME, NODE_ADDRESS)
    resolver = FOLDER / "resolv.conf"
    resolver.write_text("")  # no name outside of the cluster is anybody's to ask for
    config = _write(
        "kubelet",
        {
            "apiVersion": "kubelet.config.k8s.io/v1beta1",
            "kind": "KubeletConfiguration",
            "address": NODE_ADDRESS,
            "port": KUBELET_PORT,
            "healthzPort": 0,
            "tlsCertFile": str(certificate),
            "tlsPrivateKeyFile": str(key),
            "authentication": {
                "anonymous": {"enabled": False},
                "webhook": {"enabled": False},
                "x509": {"clientCAFile": str(components.authority)},
            },
            "authorization": {"mode": "AlwaysAllow"},  # whoever has a certificate of ours
            "containerRuntimeEndpoint": f"unix://{SOCKET}",
            "cgroupDriver": "cgroupfs",
            "cgroupRoot": f"/{NODE_NAME}",
            "failCgroupV1": False,
            "enforceNodeAllocatable": [],
            "clusterDNS": [DNS_ADDRESS],
            "clusterDomain": "cluster.local",
            "resolvConf": str(resolver),
            "failSwapOn": False,
            "makeIPTablesUtilChains": False,
            "maxOpenFiles": OPEN_FILES_MAX,
            "maxPods": PODS_MAX,
            "oomScoreAdj": 0,
            "podLogsDir": str(FOLDER / "pod-logs"),
            "volumePluginDir": str(FOLDER / "volume-plugins"),
            # What was loaded cannot be fetched again.
            "imageGCHighThresholdPercent": 100,
            "imageGCLowThresholdPercent": 99,
            "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%"},
            "shutdownGracePeriod": "0s",
        },
    )
    command = in_namespace(
        component_path("kubelet"),
        f"--config={config}",
        f"--kubeconfig={components.kubeconfig_for_node(NODE_NAME)}",
        f"--hostname-override={NODE_NAME}",
        f"--node-ip={NODE_ADDRESS}",
        f"--root-dir={FOLDER / 'kubelet'}",
        f"--cert-dir={FOLDER / 'kubelet-certificates'}",
    )
    return Child("kubelet", command, LOGS / "kubelet.log")


def start_proxy(components: Components) -> Child:
    """Start it in nftables mode, the newest; the tables are the namespace's own."""
    config = _write(
        "kube-proxy",
        {
            "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
            "kind": "KubeProxyConfiguration",
            "mode": "nftables",
            "clientConnection": {"kubeconfig": str(components.kubeconfig_for_proxy())},
            "clusterCIDR": PODS,
            "hostnameOverride": NODE_NAME,
            "bindAddress": NODE_ADDRESS,
            "healthzBindAddress": "",
            "metricsBindAddress": "",
            "oomScoreAdj": 0,
            # These are the machine's; none of them is needed for so few connections.
            "conntrack": {
                "maxPerCore": 0,
                "min": 0,
                "tcpEstablishedTimeout": "0s",
                "tcpCloseWaitTimeout": "0s",
            },
        },
    )
    command = in_namespace(component_path("kube-proxy"), f"--config={config}")
    return Child("kube-proxy", command, LOGS / "kube-proxy.log")


def start_policies(components: Components) -> Child:
    """Start it before there are pods: one that it does not know yet is mute."""
    command = policies_command(components.admin, PODS, NAMESPACE_FILE)
    return Child("policies", command, LOGS / "policies.log", folder=ROOT)


def _write(name: str, config: dict[str, object]) -> Path:
    file = FOLDER / f"{name}.json"
    file.write_text(json.dumps(config, indent=1))
    return file
