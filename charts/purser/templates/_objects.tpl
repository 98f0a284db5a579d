{{/*
Objects that several parts have alike. Each takes (dict "root" $ "part" "wallet" "own" .Values.wallet) and what
`purser.pod` takes besides.
*/}}
{{- define "purser.deployment" -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
spec:
  {{- if not (dig "autoscaling" "enabled" false .own) }}
  replicas: {{ .own.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  strategy:
    type: RollingUpdate
    rollingUpdate: {maxSurge: 1, maxUnavailable: 0}
  selector:
    matchLabels:
      {{- include "purser.selector" . | nindent 6 }}
  template:
    {{- include "purser.pod" . | nindent 4 }}
{{- end -}}

{{/* Headless: a client sees every pod's address and spreads its calls itself, so that a new pod takes load. */}}
{{- define "purser.service" -}}
{{- $facts := get (fromYaml (include "purser.facts" .)) .part -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  selector:
    {{- include "purser.selector" . | nindent 4 }}
  ports:
    {{- if $facts.grpc }}
    - {name: grpc, port: 50051, targetPort: grpc}
    {{- end }}
    - {name: health, port: 50052, targetPort: health}
    - {name: metrics, port: 9090, targetPort: metrics}
{{- end -}}

{{- define "purser.serviceAccount" -}}
apiVersion: v1
kind: ServiceAccount
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
automountServiceAccountToken: false
{{- end -}}

{{/* Only where there is a second replica: a budget over a single one could only keep its node from being drained. */}}
{{- define "purser.disruptionBudget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
spec:
  maxUnavailable: 1
  # A pod that is not ready serves nobody: it shall not hold up a node's drain.
  unhealthyPodEvictionPolicy: AlwaysAllow
  selector:
    matchLabels:
      {{- include "purser.selector" . | nindent 6 }}
{{- end -}}

{{/* The fewest replicas of a Deployment, whoever counts them. */}}
{{- define "purser.replicasMin" -}}
{{- if dig "autoscaling" "enabled" false .own }}{{ .own.autoscaling.minReplicas }}{{ else }}{{ .own.replicas }}{{ end }}
{{- end -}}

{{- define "purser.autoscaler" -}}
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: {{ include "purser.object" . }}
  minReplicas: {{ .own.autoscaling.minReplicas }}
  maxReplicas: {{ .own.autoscaling.maxReplicas }}
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: {{ .own.autoscaling.targetCPUUtilizationPercentage }}}
  behavior:
    # One pod at a time, and only after a quiet spell: connections are handed over, not cut.
    scaleDown:
      stabilizationWindowSeconds: 300
      policies:
        - {type: Pods, value: 1, periodSeconds: 60}
{{- end -}}

{{- define "purser.serviceMonitor" -}}
{{- $monitor := .root.Values.telemetry.serviceMonitor -}}
apiVersion: monitoring.coreos.com/v1
kind: ServiceMonitor
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
    {{- with $monitor.labels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
spec:
  selector:
    matchLabels:
      {{- include "purser.selector" . | nindent 6 }}
  endpoints:
    - port: metrics
      interval: {{ $monitor.interval }}
{{- end -}}
