{{/*
The settings of a part as environment variables: names of the pod first, since later ones refer to them, then all
others by name. What stands in `settings` goes over what the chart says.
*/}}
{{- define "purser.environment" -}}
{{- $values := .root.Values -}}
{{- $host := $values.bindAddress -}}
{{- $set := dict
      "PURSER_LOG_FORMAT" "json"
      "PURSER_START_TIMEOUT_SECONDS" (include "purser.text" $values.startTimeoutSeconds)
      "PURSER_HEALTH_ADDRESS" (printf "%s:50052" $host)
      "PURSER_METRICS_ADDRESS" (printf "%s:9090" $host) -}}
{{- with $values.telemetry.otlpEndpoint -}}
{{- $_ := set $set "PURSER_OTLP_ENDPOINT" . -}}
{{- end -}}
{{- if .facts.grpc -}}
{{- $_ := set $set "PURSER_LISTEN_ADDRESS" (printf "%s:50051" $host) -}}
{{- if $values.tls.enabled -}}
{{- $_ := set $set "PURSER_TLS_CERTIFICATE_FILE" "/etc/purser/tls/tls.crt" -}}
{{- $_ := set $set "PURSER_TLS_KEY_FILE" "/etc/purser/tls/tls.key" -}}
{{- $_ := set $set "PURSER_TLS_CA_FILE" "/etc/purser/tls/ca.crt" -}}
{{- else -}}
{{- $_ := set $set "PURSER_PLAINTEXT_ALLOWED" "yes" -}}
{{- end -}}
{{- end -}}
{{- range $name, $key := .facts.files -}}
{{- $_ := set $set (printf "%s_%s_FILE" $.facts.prefix $name) (printf "/etc/purser/secrets/%s" $key) -}}
{{- end -}}
{{- if hasKey (.facts.files | default dict) "REDIS_URL" -}}
{{- if $values.redis.cluster -}}
{{- $_ := set $set "PURSER_REDIS_CLUSTER" "yes" -}}
{{- end -}}
{{- if $values.secrets.redisCa -}}
{{- $_ := set $set "PURSER_REDIS_CA_FILE" "/etc/purser/secrets/redis-ca.crt" -}}
{{- end -}}
{{- end -}}
{{- $set = merge (dict) (.own.settings | default dict) $values.settings (.environment | default dict) $set -}}
- name: POD_NAMESPACE
  valueFrom: {fieldRef: {fieldPath: metadata.namespace}}
{{- if eq .part "user-worker" }}
# Shards are assigned to this name: the next pod of the ordinal has it again.
- name: USER_WORKER_NAME
  valueFrom: {fieldRef: {fieldPath: metadata.name}}
{{- end }}
{{- range $name, $value := $set }}
- {name: {{ $name }}, value: {{ include "purser.text" $value | quote }}}
{{- end }}
{{- end -}}

{{/* A value as a program reads it: YAML's large numbers would come out as 1e+06. */}}
{{- define "purser.text" -}}
{{- if and (kindIs "float64" .) (eq (floor .) .) -}}{{ printf "%.0f" . }}{{- else -}}{{ toString . }}{{- end -}}
{{- end -}}
