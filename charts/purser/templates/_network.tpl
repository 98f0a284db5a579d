{{/*
Who may speak to whom. Each policy names one part's pods and states both directions; what no policy states is denied
(`templates/network-policy.yaml`). The rules are pieces of a list, to be put under `ingress` or `egress`.
*/}}
{{- define "purser.networkPolicy" -}}
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
spec:
  podSelector:
    matchLabels:
      {{- include "purser.selector" . | nindent 6 }}
  policyTypes: [Ingress, Egress]
{{- end -}}

{{/* The pods of one part, as a peer. */}}
{{- define "purser.peer" -}}
- podSelector:
    matchLabels:
      {{- include "purser.selector" . | nindent 6 }}
{{- end -}}

{{/* What every part admits: whoever reads its figures, and the pod of `helm test`. kubelet's probes need no rule. */}}
{{- define "purser.ingress.everywhere" -}}
- from:
    {{- include "purser.peer" (dict "root" .root "part" "test") | nindent 4 }}
  ports:
    - {port: 50052, protocol: TCP}
{{- with .root.Values.networkPolicy.metricsFrom }}
- from:
    {{- toYaml . | nindent 4 }}
  ports:
    - {port: 9090, protocol: TCP}
{{- end }}
{{- end -}}

{{/* gRPC, from one part. */}}
{{- define "purser.ingress.grpc" -}}
- from:
    {{- include "purser.peer" (dict "root" .root "part" .from) | nindent 4 }}
  ports:
    - {port: 50051, protocol: TCP}
{{- end -}}

{{- define "purser.egress.grpc" -}}
- to:
    {{- include "purser.peer" (dict "root" .root "part" .to) | nindent 4 }}
  ports:
    - {port: 50051, protocol: TCP}
{{- end -}}

{{/* What every part needs: names, and the collector of traces where there is one. */}}
{{- define "purser.egress.everywhere" -}}
{{ include "purser.egress.dns" . }}
{{- if .root.Values.telemetry.otlpEndpoint }}
- to:
    {{- toYaml .root.Values.networkPolicy.telemetry.to | nindent 4 }}
  ports:
    {{- include "purser.tcpPorts" .root.Values.networkPolicy.telemetry.ports | nindent 4 }}
{{- end }}
{{- end -}}

{{- define "purser.egress.dns" -}}
- to:
    {{- toYaml .root.Values.networkPolicy.dns.to | nindent 4 }}
  ports:
    {{- range .root.Values.networkPolicy.dns.ports }}
    - {port: {{ . }}, protocol: UDP}
    - {port: {{ . }}, protocol: TCP}
    {{- end }}
{{- end -}}

{{- define "purser.tcpPorts" -}}
{{- $ports := list -}}
{{- range . -}}
{{- $ports = append $ports (dict "port" (int .) "protocol" "TCP") -}}
{{- end -}}
{{- toYaml $ports -}}
{{- end -}}

{{/* PostgreSQL: the trial's pod, or where the values say it is. */}}
{{- define "purser.egress.postgres" -}}
{{- if .root.Values.trial.enabled -}}
- to:
    {{- include "purser.peer" (dict "root" .root "part" "postgres") | nindent 4 }}
  ports:
    - {port: 5432, protocol: TCP}
{{- else -}}
- to:
    {{- toYaml .root.Values.networkPolicy.postgres.to | nindent 4 }}
  ports:
    {{- include "purser.tcpPorts" .root.Values.networkPolicy.postgres.ports | nindent 4 }}
{{- end -}}
{{- end -}}

{{- define "purser.egress.redis" -}}
{{- if .root.Values.trial.enabled -}}
- to:
    {{- include "purser.peer" (dict "root" .root "part" "valkey") | nindent 4 }}
  ports:
    - {port: 6379, protocol: TCP}
{{- else -}}
- to:
    {{- toYaml .root.Values.networkPolicy.redis.to | nindent 4 }}
  ports:
    {{- include "purser.tcpPorts" .root.Values.networkPolicy.redis.ports | nindent 4 }}
{{- end -}}
{{- end -}}
