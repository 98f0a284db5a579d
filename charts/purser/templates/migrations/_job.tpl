{{/* The Job's spec. Its hash is the Job's name: another image, another list of rooms, another Job. */}}
{{- define "purser.migrations.spec" -}}
{{- $scope := dict "root" . "part" "migrations" "own" .Values.migrations -}}
# A database that is not there yet is waited for by the program; this many failures beside that.
backoffLimit: 20
template:
  metadata:
    labels:
      {{- include "purser.podLabels" $scope | nindent 6 }}
    {{- with compact (list .Values.migrations.run .Values.migrations.afterRestore) }}
    annotations:
      purser.dev/run: {{ join " " . | quote }}
    {{- end }}
  spec:
    serviceAccountName: {{ include "purser.object" $scope }}
    automountServiceAccountToken: false
    enableServiceLinks: false
    restartPolicy: OnFailure
    {{- include "purser.podSecurity" $scope | nindent 4 }}
    {{- with .Values.migrations.nodeSelector }}
    nodeSelector:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- with .Values.migrations.tolerations }}
    tolerations:
      {{- toYaml . | nindent 6 }}
    {{- end }}
    {{- $steps := fromYamlArray (include "purser.migrations.steps" .) }}
    initContainers:
      {{- toYaml (initial $steps) | nindent 6 }}
    containers:
      {{- toYaml (list (last $steps)) | nindent 6 }}
    volumes:
      - name: secrets
        secret:
          secretName: {{ include "purser.secret" $scope }}
          defaultMode: 0440
      {{- if .Values.trial.enabled }}
      - name: trial
        secret:
          secretName: {{ include "purser.name" . }}-trial
          defaultMode: 0440
      {{- end }}
      - name: tmp
        emptyDir: {sizeLimit: 64Mi}
{{- end -}}

{{/*
What the Job does, one after the other: a list of containers. The operator's image has placement, which makes the roles
the others join.
*/}}
{{- define "purser.migrations.steps" -}}
{{- range list "operator" "gateway" "user-worker" "pricing" "wallet" "ledger" }}
{{ include "purser.migrations.step" (dict "root" $ "part" . "name" . "verb" "migrate") }}
{{- end }}
{{- if .Values.trial.enabled }}
# The trial's roles get the passwords of Secret purser-trial; with a database of yours they have them already.
- name: passwords
  image: {{ include "purser.image" (dict "root" . "part" "devbox" "own" .Values.trial.image) }}
  imagePullPolicy: {{ .Values.image.pullPolicy }}
  args: [passwords, --folder, /etc/purser/trial]
  {{- include "purser.migrations.rest" . | nindent 2 }}
    - {name: trial, mountPath: /etc/purser/trial, readOnly: true}
{{- end }}
{{- if .Values.migrations.afterRestore }}
{{ include "purser.migrations.step" (dict "root" . "part" "operator" "name" "after-restore" "verb" "after-restore") }}
{{- end }}
{{- end -}}

{{- define "purser.migrations.step" -}}
{{- $facts := fromYaml (include "purser.facts" .) -}}
- name: {{ .name }}
  image: {{ include "purser.image" (dict "root" .root "part" .part "own" (get .root.Values (get $facts .part).values).image) }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [{{ .verb }}]
  {{- include "purser.migrations.rest" .root | nindent 2 }}
{{- end -}}

{{- define "purser.migrations.rest" -}}
env:
  - {name: PURSER_MIGRATION_DATABASE_URL_FILE, value: /etc/purser/secrets/database-url}
  - {name: PURSER_START_TIMEOUT_SECONDS, value: {{ include "purser.text" .Values.startTimeoutSeconds | quote }}}
  - {name: PURSER_LOG_FORMAT, value: json}
resources:
  {{- toYaml .Values.migrations.resources | nindent 2 }}
{{ include "purser.containerSecurity" . }}
volumeMounts:
  - {name: secrets, mountPath: /etc/purser/secrets, readOnly: true}
  - {name: tmp, mountPath: /tmp}
{{- end -}}
