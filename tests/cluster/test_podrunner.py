"""What the pod runner promises: that pods here live and die as they do under a kubelet."""

import asyncio
import time
from pathlib import Path

import pytest
from tests.awake import awake_clock
from tests.cluster.api import JsonObject, KubernetesApi, resource_path
from tests.cluster.control_plane import ControlPlane
from tests.cluster.pods import (
    QUICK_PROBE,
    container_status,
    create_pod,
    is_ready,
    is_running,
    pod_is_gone,
    pod_when,
    pods_path,
    restarts,
    shell_container,
    waiting_reason,
)
from tests.cluster.waiting import WITHIN_SECONDS, eventually

HEALTH_SERVER = """
import concurrent.futures, grpc, os
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
servicer = health.HealthServicer()
servicer.set("", health_pb2.HealthCheckResponse.ANSWER)
server = grpc.server(concurrent.futures.ThreadPoolExecutor(1))
health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
server.add_insecure_port(os.environ["ADDRESS"] + ":50051")
server.start()
server.wait_for_termination()
"""

pytestmark = pytest.mark.usefixtures("node")


async def test_a_pod_is_ready_when_its_probe_says_so(api: KubernetesApi, namespace: str) -> None:
    """The command runs, and the pod is not ready before its readiness probe passes."""
    probe = QUICK_PROBE | {"exec": {"command": ["test", "-e", "ready"]}}
    await create_pod(api, namespace, "sleep 2; touch ready; sleep 60", readinessProbe=probe)

    started = await pod_when(api, namespace, "a", is_running)
    ready = await pod_when(api, namespace, "a", is_ready)

    assert "Running" == started["status"]["phase"]
    assert not is_ready(started)
    assert container_status(ready)["started"]


async def test_a_container_that_dies_is_restarted_and_says_why(
    api: KubernetesApi, namespace: str
) -> None:
    """Each death counts, the next start waits, and lastState keeps the exit code."""
    count = "echo >> starts; [ $(wc -l < starts) -gt 2 ] && sleep 60; exit 7"
    await create_pod(api, namespace, count)

    waiting = await pod_when(api, namespace, "a", lambda p: waiting_reason(p) == "CrashLoopBackOff")
    running = await pod_when(api, namespace, "a", lambda p: is_running(p) and restarts(p) == 2)

    assert 7 == container_status(waiting)["lastState"]["terminated"]["exitCode"]
    assert 7 == container_status(running)["lastState"]["terminated"]["exitCode"]
    assert "Running" == running["status"]["phase"]


async def test_a_pod_that_never_restarts_keeps_how_it_ended(
    api: KubernetesApi, namespace: str
) -> None:
    """With restartPolicy Never a failing command makes the pod Failed, and there it stays."""
    await create_pod(api, namespace, "exit 3", spec={"restartPolicy": "Never"})

    pod = await pod_when(api, namespace, "a", lambda pod: pod["status"]["phase"] == "Failed")

    assert 3 == container_status(pod)["state"]["terminated"]["exitCode"]
    assert 0 == restarts(pod)


async def test_init_containers_come_first(
    api: KubernetesApi, namespace: str, control_plane: ControlPlane
) -> None:
    """The containers start when the init containers have succeeded, which are tried until then."""
    prepare = shell_container("if [ -e tried ]; then echo > prepared; else touch tried; exit 1; fi")
    initial = [prepare | {"name": "prepare"}]
    await create_pod(api, namespace, "ls; sleep 60", spec={"initContainers": initial})

    await pod_when(api, namespace, "a", is_ready)

    await eventually(lambda: _has_said(control_plane, namespace, "prepared\ntried\n"))


async def test_a_failed_init_container_keeps_the_others_from_starting(
    api: KubernetesApi, namespace: str, control_plane: ControlPlane
) -> None:
    """With restartPolicy Never there is no second try, and the pod has failed."""
    initial = [shell_container("exit 1") | {"name": "prepare"}]
    spec = {"initContainers": initial, "restartPolicy": "Never"}
    await create_pod(api, namespace, "echo started", spec=spec)

    await pod_when(api, namespace, "a", lambda pod: pod["status"]["phase"] == "Failed")
    await api.delete(pods_path(namespace, "a"))
    await eventually(lambda: pod_is_gone(api, namespace, "a"))

    assert "" == _said(control_plane, namespace)


async def test_a_deleted_pod_may_finish_what_it_does(
    api: KubernetesApi, namespace: str, control_plane: ControlPlane
) -> None:
    """The process gets SIGTERM; the object outlives the process, never the other way round."""
    script = "trap 'sleep 1; echo finished; exit 0' TERM; echo waiting; sleep 60 & wait"
    await create_pod(api, namespace, script)
    await eventually(lambda: _has_said(control_plane, namespace, "waiting\n"))

    await api.delete(pods_path(namespace, "a"))
    await eventually(lambda: pod_is_gone(api, namespace, "a"))

    assert "waiting\nfinished\n" == _said(control_plane, namespace)


async def test_a_process_that_ignores_sigterm_is_killed_after_its_grace_period(
    api: KubernetesApi, namespace: str, control_plane: ControlPlane
) -> None:
    """Not before the grace period, and not long after; whatever it started goes with it."""
    script = "trap '' TERM; echo deaf; while true; do sleep 1; done"
    await create_pod(api, namespace, script, spec={"terminationGracePeriodSeconds": 3})
    pod = await pod_when(api, namespace, "a", is_running)
    await eventually(lambda: _has_said(control_plane, namespace, "deaf\n"))

    began = time.monotonic()
    with awake_clock() as clock:
        await api.delete(pods_path(namespace, "a"))
        await eventually(lambda: pod_is_gone(api, namespace, "a"))
        assert clock() < 6

    assert time.monotonic() - began >= 3
    assert [] == _processes_of(pod)


async def test_the_pre_stop_hook_runs_before_sigterm(
    api: KubernetesApi, namespace: str, control_plane: ControlPlane
) -> None:
    """A hook delays SIGTERM by what it takes: time for others to notice that the pod is leaving."""
    script = "trap 'cat hook; exit 0' TERM; echo waiting; while true; do sleep 0.1; done"
    hook = {"preStop": {"exec": {"command": ["sh", "-c", "sleep 1; echo hooked > hook"]}}}
    await create_pod(api, namespace, script, lifecycle=hook)
    await eventually(lambda: _has_said(control_plane, namespace, "waiting\n"))

    await api.delete(pods_path(namespace, "a"))
    await eventually(lambda: pod_is_gone(api, namespace, "a"))

    assert "waiting\nhooked\n" == _said(control_plane, namespace)


async def test_a_statefulset_grows_in_order_and_shrinks_from_its_highest_ordinal(
    api: KubernetesApi, namespace: str
) -> None:
    """Each pod is created when the one before is ready, and removed when the one after has gone."""
    history = asyncio.create_task(_history_until(api, namespace, "s-1 gone"))
    sets = resource_path("apps/v1", "statefulsets", namespace)
    await api.create(sets, _stateful_set(replicas=3))
    await pod_when(api, namespace, "s-2", is_ready)

    await api.merge(f"{sets}/s/scale", {"spec": {"replicas": 1}})

    growing = ["s-0 created", "s-0 ready", "s-1 created", "s-1 ready", "s-2 created", "s-2 ready"]
    assert [*growing, "s-2 gone", "s-1 gone"] == await history


async def test_pods_may_serve_the_same_port_on_their_own_addresses(
    api: KubernetesApi, namespace: str
) -> None:
    """podIP differs from pod to pod; httpGet and tcpSocket probes ask there, by number or name."""
    serve = "exec python -m http.server 8080 --bind $ADDRESS"
    ports = [{"name": "web", "containerPort": 8080}]
    http = QUICK_PROBE | {"httpGet": {"path": "/", "port": "web"}}
    tcp = QUICK_PROBE | {"tcpSocket": {"port": 8080}}
    await create_pod(api, namespace, serve, name="a", ports=ports, readinessProbe=http)
    await create_pod(api, namespace, serve, name="b", ports=ports, readinessProbe=tcp)

    first = await pod_when(api, namespace, "a", is_ready)
    second = await pod_when(api, namespace, "b", is_ready)

    assert first["status"]["podIP"] != second["status"]["podIP"]


async def test_a_grpc_server_is_asked_by_its_health_service(
    api: KubernetesApi, namespace: str
) -> None:
    """SERVING is ready; a server that says NOT_SERVING is not, though its port is open."""
    probe = QUICK_PROBE | {"grpc": {"port": 50051}}
    for name, answer in (("b", "NOT_SERVING"), ("a", "SERVING")):
        serve = HEALTH_SERVER.replace("ANSWER", answer)
        command = ["python", "-c", serve]
        await create_pod(api, namespace, "", name=name, command=command, readinessProbe=probe)

    await pod_when(api, namespace, "a", is_ready)
    with pytest.raises(TimeoutError):
        await pod_when(api, namespace, "b", is_ready, within_seconds=3)


async def test_a_failing_liveness_probe_restarts_the_container(
    api: KubernetesApi, namespace: str
) -> None:
    """A process that runs but does not live is ended and started anew."""
    probe = QUICK_PROBE | {"exec": {"command": ["test", "!", "-e", "stuck"]}}
    script = "if [ -e stuck ]; then rm stuck; else sleep 1; touch stuck; fi; sleep 60"
    await create_pod(api, namespace, script, livenessProbe=probe)

    pod = await pod_when(api, namespace, "a", lambda p: restarts(p) == 1 and is_running(p))

    assert 143 == container_status(pod)["lastState"]["terminated"]["exitCode"]


async def test_variables_come_from_where_the_manifest_says(
    api: KubernetesApi, namespace: str, control_plane: ControlPlane
) -> None:
    """Literals, fields, ConfigMaps and Secrets reach the process; a missing one is waited for."""
    colour: JsonObject = {"metadata": {"name": "c"}, "data": {"COLOUR": "blue"}}
    await api.create(resource_path("v1", "configmaps", namespace), colour)
    env = [
        {"name": "SECRET", "valueFrom": {"secretKeyRef": {"name": "s", "key": "word"}}},
        {"name": "LABEL", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['app']"}}},
        {"name": "ALL", "value": "$(COLOUR)/$(SECRET)/$(LABEL)/$$(LABEL)/$(NOTHING)"},
    ]
    sources = [{"configMapRef": {"name": "c"}}]
    await create_pod(api, namespace, 'echo "$ALL"; sleep 60', env=env, envFrom=sources)
    missing = "CreateContainerConfigError"
    await pod_when(api, namespace, "a", lambda pod: waiting_reason(pod) == missing)

    secret: JsonObject = {"metadata": {"name": "s"}, "stringData": {"word": "hush"}}
    await api.create(resource_path("v1", "secrets", namespace), secret)

    expected = "blue/hush/app-of-a/$(LABEL)/$(NOTHING)\n"
    await eventually(lambda: _has_said(control_plane, namespace, expected))


async def test_what_cannot_be_given_is_refused_and_not_left_out(
    api: KubernetesApi, namespace: str
) -> None:
    """A pod that mounts what is not there does not start without it."""
    volumes = [{"name": "v", "configMap": {"name": "c", "optional": True}}]
    mounts = [{"name": "v", "mountPath": "/etc/purser"}]
    await create_pod(api, namespace, "sleep 60", spec={"volumes": volumes}, volumeMounts=mounts)

    refused = "CreateContainerConfigError"
    pod = await pod_when(api, namespace, "a", lambda pod: waiting_reason(pod) == refused)

    message = container_status(pod)["state"]["waiting"]["message"]
    assert "the pod runner mounts no volumes: /etc/purser" == message


def _said(plane: ControlPlane, namespace: str) -> str:
    """What the container of pod `a` has printed."""
    log = plane.logs / f"{namespace}_a_c.log"
    return log.read_text() if log.exists() else ""


async def _has_said(plane: ControlPlane, namespace: str, text: str) -> bool:
    return _said(plane, namespace) == text


def _processes_of(pod: JsonObject) -> list[str]:
    """The command lines of what runs with a pod's address in its environment."""
    mark = f"ADDRESS={pod['status']['podIP']}".encode()
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append((folder / "cmdline").read_text())
        except OSError:  # it ended meanwhile
            continue
    return found


def _stateful_set(replicas: int) -> JsonObject:
    probe = QUICK_PROBE | {"exec": {"command": ["test", "-e", "ready"]}}
    container = shell_container("sleep 0.5; touch ready; sleep 600", readinessProbe=probe)
    labels = {"app": "s"}
    spec = {
        "serviceName": "s",
        "replicas": replicas,
        "selector": {"matchLabels": labels},
        "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
    }
    return {"metadata": {"name": "s"}, "spec": spec}


async def _history_until(api: KubernetesApi, namespace: str, last: str) -> list[str]:
    """What happened to the pods of a namespace, each thing once, in order, up to `last`."""
    history: list[str] = []
    async with asyncio.timeout(WITHIN_SECONDS):
        async for event in api.follow(pods_path(namespace)):
            for pod in event.objects:
                what = (
                    "gone" if event.kind == "DELETED" else "ready" if is_ready(pod) else "created"
                )
                entry = f"{pod['metadata']['name']} {what}"
                # A pod that ends is unready again on its way; that is not a second creation.
                if entry not in history:
                    history.append(entry)
            if last in history:
                return history
    raise AssertionError("a follower never ends")
