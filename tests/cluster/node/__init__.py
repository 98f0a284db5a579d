"""A real Kubernetes node without Docker: containerd, kubelet, kube-proxy and the DNS of the cluster
beside a control plane, in a network namespace of its own, with nothing left behind.
"""
