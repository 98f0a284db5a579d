"""Plays the kubelet: runs the containers of pods as local processes and reports honestly how they
fare.

`node` is the Node object and its heartbeat, `runner` follows the pods bound to it, `pod` is the
life of one pod, `container` that of one container, `probes` asks how it is, `environment` and
`status` are pure. README.md in the folder above says where this differs from a kubelet.
"""
