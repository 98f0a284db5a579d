{{/*
Names and labels, each built in one place.

`purser.name` is what every object's name begins with: the release's name where it contains "purser", so that
`helm install purser` gives purser-gateway.
*/}}
{{- define "purser.name" -}}
{{- if contains "purser" .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-purser" (.Release.Name | trunc 33 | trimSuffix "-") -}}
{{- end -}}
{{- end -}}

{{/* The parts' facts: how they are called in values and in the environment, and which files of their Secret they read. */}}
{{- define "purser.facts" -}}
gateway:
  values: gateway
  prefix: GATEWAY
  grpc: true
  files: {DATABASE_URL: database-url, REDIS_URL: redis-url, BOT_TOKEN: bot-token}
user-worker:
  values: userWorker
  prefix: USER_WORKER
  grpc: true
  files: {DATABASE_URL: database-url, REDIS_URL: redis-url}
pricing:
  values: pricing
  prefix: PRICING
  grpc: true
  files: {DATABASE_URL: database-url, VENUE_DATABASE_URL: venue-database-url, REDIS_URL: redis-url}
wallet:
  values: wallet
  prefix: WALLET
  grpc: true
  files: {DATABASE_URL: database-url, KEY_ENCRYPTION_KEY: key-encryption-key}
ledger:
  values: ledger
  prefix: LEDGER
  grpc: true
  files: {DATABASE_URL: database-url}
operator:
  values: operator
  prefix: OPERATOR
  grpc: false
  files: {DATABASE_URL: database-url, REDIS_URL: redis-url}
{{- end -}}

{{/* What selects the pods of a part. Takes (dict "root" $ "part" "gateway"), and "pool" for the workers of one pool. */}}
{{- define "purser.selector" -}}
app.kubernetes.io/name: {{ .part }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
{{- with .pool }}
purser.dev/pool: {{ . }}
{{- end }}
{{- end -}}

{{/* The labels of every object. */}}
{{- define "purser.labels" -}}
{{ include "purser.selector" . }}
app.kubernetes.io/part-of: purser
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end -}}

{{/* The labels of pods: what changes with each version of the chart is left out, lest every upgrade restart every pod. */}}
{{- define "purser.podLabels" -}}
{{ include "purser.selector" . }}
app.kubernetes.io/part-of: purser
{{- end -}}

{{/* The name, namespace and labels of an object of a part; "suffix" and "pool" are optional. */}}
{{- define "purser.metadata" -}}
name: {{ include "purser.object" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "purser.labels" . | nindent 2 }}
{{- end -}}

{{/* purser-<part>, for the workers of a pool other than `main` purser-user-worker-<pool>. */}}
{{- define "purser.object" -}}
{{ include "purser.name" .root }}-{{ .part }}
{{- if and .pool (ne .pool "main") }}-{{ .pool }}{{ end }}
{{- with .suffix }}-{{ . }}{{ end }}
{{- end -}}

{{/* The image of a part, by digest where one is given. */}}
{{- define "purser.image" -}}
{{- $own := .own | default dict -}}
{{- $shared := .root.Values.image -}}
{{- $repository := $own.repository | default (printf "purser/%s" .part) -}}
{{- with $shared.registry }}{{ . }}/{{ end -}}
{{- if $own.digest -}}
{{ $repository }}{{ with $own.tag }}:{{ . }}{{ end }}@{{ $own.digest }}
{{- else -}}
{{ $repository }}:{{ $own.tag | default $shared.tag | default .root.Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{/* The Secret a part's files come from, and the one its certificate comes from. */}}
{{- define "purser.secret" -}}
{{- if .own.existingSecret }}{{ .own.existingSecret }}{{ else }}{{ include "purser.name" .root }}-{{ .part }}{{ end }}
{{- end -}}
{{- define "purser.tlsSecret" -}}
{{- if .own.tlsSecret }}{{ .own.tlsSecret }}{{ else }}{{ include "purser.name" .root }}-{{ .part }}-tls{{ end }}
{{- end -}}
