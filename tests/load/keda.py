"""KEDA and the HorizontalPodAutoscaler it makes, by their documented formulas. Pure.

KEDA scales between 0 and 1 by itself; from one replica on it gives the metric to an HPA, which
computes, every 15 s (`--horizontal-pod-autoscaler-sync-period`): the desired count of an
AverageValue metric, the highest of the recommendations of the stabilization window when it
shrinks, the limit of the scaling policies, the bounds. A metric that cannot be had skips scaling.

Sources, read in November 2026:
- kubernetes.io/docs/tasks/run-application/horizontal-pod-autoscale: "Algorithm details",
  "Configurable scaling behavior", "Default Behavior";
- github.com/kubernetes/kubernetes, pkg/controller/podautoscaler: `replica_calculator.go`
  (GetExternalPerPodMetricReplicas), `horizontal.go` (normalizeDesiredReplicasWithBehaviors);
- keda.sh/docs/2.16/reference/scaledobject-spec: pollingInterval, cooldownPeriod, advanced;
  keda.sh/docs/2.16/concepts/scaling-deployments: "Caching Metrics".
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

from shard_operator.simulating.scaler import Decided, Seen

TOLERANCE = 0.1
"""`--horizontal-pod-autoscaler-tolerance`, "0.1 by default"."""


PERIOD_SECONDS_MAX = 1800.0
"""The API admits no longer period of a policy."""


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """One entry of `behavior.<direction>.policies`: at most so many pods, or percent, in so
    long."""

    kind: str
    value: int
    period_seconds: float


@dataclass(frozen=True, slots=True)
class ScaledObject:
    """A ScaledObject with one trigger and the behavior it hands to the HPA. The defaults are KEDA's
    and the HPA's, but for the counts, which are the default UserShard's."""

    target: float = 100.0
    """The trigger's AverageValue."""
    min_replicas: int = 2
    max_replicas: int = 20
    sync_seconds: float = 15.0
    polling_seconds: float = 30.0
    """`pollingInterval`. With one replica or more it matters with cached metrics only; it and
    `cooldownPeriod` are about scaling from and to 0, which 2 replicas never are."""
    caches_metrics: bool = False
    """`useCachedMetrics`: the HPA is given what KEDA polled last."""
    up_policies: tuple[ScalingPolicy, ...] = (
        ScalingPolicy("Percent", 100, 15),
        ScalingPolicy("Pods", 4, 15),
    )
    down_policies: tuple[ScalingPolicy, ...] = (ScalingPolicy("Percent", 100, 15),)
    down_window_seconds: float = 300.0


def desired_replicas(metric: float, target: float, current: int) -> int:
    """What an external metric of type AverageValue asks for.

    `ceil(metric / target)`, unless `metric / (target x current)` is within the tolerance of 1 (then
    the current count): replica_calculator.go, GetExternalPerPodMetricReplicas. With the average in
    place of the sum it is the documented `ceil(current x averageValue / targetAverageValue)`.
    """
    if current and abs(1 - metric / (target * current)) <= TOLERANCE:
        return current
    return math.ceil(metric / target)


def scale_up_limit(begins: Sequence[int], policies: Sequence[ScalingPolicy]) -> int:
    """The highest count the policies allow; the most permissive wins ("Max" is the default).

    `begins`: the count at the begin of each policy's period (horizontal.go,
    calculateScaleUpLimitWithScalingRules).
    """
    return max(
        begin + policy.value
        if policy.kind == "Pods"
        else math.ceil(begin * (100 + policy.value) / 100)
        for begin, policy in zip(begins, policies, strict=True)
    )


def scale_down_limit(begins: Sequence[int], policies: Sequence[ScalingPolicy]) -> int:
    """The lowest count the policies allow (calculateScaleDownLimitWithBehaviors).

    What is left of a percentage is cut off, so that what may go is rounded up, as in the
    documentation's example (10 % of 72 are 8).
    """
    return min(
        begin - policy.value
        if policy.kind == "Pods"
        else math.floor(begin * (100 - policy.value) / 100)
        for begin, policy in zip(begins, policies, strict=True)
    )


def stabilized(
    current: int,
    desired: int,
    recommendations: Sequence[tuple[float, int]],
    now: float,
    window: float,
) -> int:
    """Shrink only to the highest recommendation of the window; growing has no window by default
    (horizontal.go, stabilizeRecommendationWithBehaviors). `recommendations`: times and counts."""
    if desired >= current:
        return desired
    return min(current, max([desired, *(n for at, n in recommendations if now - at < window)]))


@dataclass(slots=True)
class KedaScaler:
    """A `Scaler` that does what KEDA and its HPA would."""

    spec: ScaledObject
    _recommendations: list[tuple[float, int]] = field(default_factory=list)
    _changes: list[tuple[float, int]] = field(default_factory=list)
    _polled: tuple[float, float | None] | None = None

    @property
    def period_seconds(self) -> float:
        """The HPA's sync period."""
        return self.spec.sync_seconds

    @property
    def moves_max(self) -> int | None:
        """Pods are taken away whatever they are at."""
        return None

    def decide(self, now: float, seen: Seen) -> Decided:
        """One sync of the HPA."""
        spec, current = self.spec, seen.asked
        metric = self._metric(now, seen)
        if metric is None:
            return Decided(current, current, "the metric cannot be fetched")
        desired = desired_replicas(metric, spec.target, current)
        window = spec.down_window_seconds
        self._recommendations = [
            (at, count) for at, count in self._recommendations if now - at < window
        ]
        goal = stabilized(current, desired, self._recommendations, now, window)
        self._recommendations.append((now, desired))
        if goal > current:
            begins = self._begins(now, current, spec.up_policies)
            goal = min(goal, max(current, scale_up_limit(begins, spec.up_policies)))
        elif goal < current:
            begins = self._begins(now, current, spec.down_policies)
            goal = max(goal, min(current, scale_down_limit(begins, spec.down_policies)))
        goal = min(max(goal, spec.min_replicas), spec.max_replicas)
        if goal != current:
            self._changes.append((now, goal - current))
        return Decided(goal, desired, f"{metric:.0f} jobs, {spec.target:.0f} each")

    def _metric(self, now: float, seen: Seen) -> float | None:
        """The backlog now, or as KEDA last polled it. That it polls in the moment of a sync is the
        best case."""
        fresh = None if seen.backlog is None else float(seen.backlog.jobs)
        if not self.spec.caches_metrics:
            return fresh
        if self._polled is None or now - self._polled[0] >= self.spec.polling_seconds:
            self._polled = (now, fresh)
        return self._polled[1]

    def _begins(self, now: float, current: int, policies: Sequence[ScalingPolicy]) -> list[int]:
        """The count at the begin of each policy's period."""
        self._changes = [(at, by) for at, by in self._changes if now - at < PERIOD_SECONDS_MAX]
        return [
            current - sum(by for at, by in self._changes if now - at < policy.period_seconds)
            for policy in policies
        ]
