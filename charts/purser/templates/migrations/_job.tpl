{{/* The Job's spec. Its hash is the Job's name: another image, another list of rooms, another Job. */}}
{{- define "purser.migrations.spec" -}}
{{- $scope := dict "root" . "part" "migrations" "own" .Values.migrations -}}
{{- $rooms := list "operator" "gateway" "user-worker" "pricing" "wallet" "ledger" -}}
{{- $facts := fromYaml (include "purser.facts" .) -}}
# A database that is not there yet is waited for by the program; this many failures beside that.
backoffLimit: 20
template:
  metadata:
    labels:
      {{- include "purser.podLabels" $scope | nindent 6 }}
    {{- with .Values.migrations.run }}
    annotations:
      purser.dev/run: {{ . | quote }}
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
    # One room after the other; the operator's image has placement, which makes the roles the others join.
    initContainers:
      {{- range ternary $rooms (initial $rooms) .Values.trial.enabled }}
      {{- include "purser.migrations.room" (dict "root" $ "part" . "facts" $facts) | nindent 6 }}
      {{- end }}
    containers:
      {{- if .Values.trial.enabled }}
      # The trial's roles get the passwords of Secret purser-trial; with a database of yours they have them already.
      - name: passwords
        image: {{ include "purser.image" (dict "root" . "part" "devbox" "own" .Values.trial.image) }}
        imagePullPolicy: {{ .Values.image.pullPolicy }}
        args: [passwords, --folder, /etc/purser/trial]
        {{- include "purser.migrations.rest" . | nindent 8 }}
          - {name: trial, mountPath: /etc/purser/trial, readOnly: true}
      {{- else }}
      {{- include "purser.migrations.room" (dict "root" . "part" (last $rooms) "facts" $facts) | nindent 6 }}
      {{- end }}
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

{{- define "purser.migrations.room" -}}
- name: {{ .part }}
  image: {{ include "purser.image" (dict "root" .root "part" .part "own" (get .root.Values (get .facts .part).values).image) }}
  imagePullPolicy: {{ .root.Values.image.pullPolicy }}
  args: [migrate]
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
