{{/*
A pod of the trial's, from the image `devbox`. Takes "part", "args" (and "command" where it is another program than the
image's), "port", "secret" (its name), "items" (its keys) and "data" (whether it keeps something under /data).
*/}}
{{- define "purser.trial.pod" -}}
metadata:
  labels:
    {{- include "purser.podLabels" . | nindent 4 }}
    purser.dev/not-for-production: "true"
spec:
  serviceAccountName: {{ include "purser.object" . }}
  automountServiceAccountToken: false
  enableServiceLinks: false
  terminationGracePeriodSeconds: 30
  {{- include "purser.podSecurity" . | nindent 2 }}
  containers:
    - name: {{ .part }}
      image: {{ include "purser.image" (dict "root" .root "part" "devbox" "own" .root.Values.trial.image) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      {{- with .command }}
      command: {{ toJson . }}
      {{- end }}
      args: {{ toJson .args }}
      {{- with .environment }}
      env:
        {{- range $name, $value := . }}
        - {name: {{ $name }}, value: {{ $value | quote }}}
        {{- end }}
      {{- end }}
      ports:
        - {name: {{ .part }}, containerPort: {{ .port }}}
      startupProbe:
        tcpSocket: {port: {{ .part }}}
        periodSeconds: 1
        failureThreshold: 120
      readinessProbe:
        tcpSocket: {port: {{ .part }}}
        periodSeconds: 5
      livenessProbe:
        tcpSocket: {port: {{ .part }}}
        periodSeconds: 10
        failureThreshold: 6
      resources:
        {{- toYaml (get .root.Values.trial .part).resources | nindent 8 }}
      {{- include "purser.containerSecurity" . | nindent 6 }}
      volumeMounts:
        - {name: secrets, mountPath: /etc/purser/secrets, readOnly: true}
        - {name: tmp, mountPath: /tmp}
        {{- if .data }}
        - {name: data, mountPath: /data}
        {{- end }}
  volumes:
    - name: secrets
      secret:
        secretName: {{ .secret }}
        defaultMode: 0440
        items:
          {{- range .items }}
          - {key: {{ . }}, path: {{ . }}}
          {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- if and .data (not .root.Values.trial.storage.size) }}
    - name: data
      emptyDir: {}
    {{- end }}
{{- end -}}

{{/* One server, its Service, its account and its policy. Takes besides "from": the parts that may call it. */}}
{{- define "purser.trial.server" -}}
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
spec:
  replicas: 1
  serviceName: {{ include "purser.object" . }}
  selector:
    matchLabels:
      {{- include "purser.selector" . | nindent 6 }}
  template:
    {{- include "purser.trial.pod" . | nindent 4 }}
  {{- with .root.Values.trial.storage }}
  {{- if .size }}
  volumeClaimTemplates:
    - metadata:
        name: data
      spec:
        accessModes: [ReadWriteOnce]
        {{- with .className }}
        storageClassName: {{ . }}
        {{- end }}
        resources:
          requests: {storage: {{ .size | quote }}}
  {{- end }}
  {{- end }}
---
{{ include "purser.trial.around" . }}
{{- end -}}

{{- define "purser.trial.around" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "purser.metadata" . | nindent 2 }}
spec:
  clusterIP: None
  selector:
    {{- include "purser.selector" . | nindent 4 }}
  ports:
    - {name: {{ .part }}, port: {{ .port }}, targetPort: {{ .part }}}
---
{{ include "purser.serviceAccount" . }}
{{- if .root.Values.networkPolicy.enabled }}
---
{{ include "purser.networkPolicy" . }}
  ingress:
    - from:
        {{- range .from }}
        {{- include "purser.peer" (dict "root" $.root "part" .) | nindent 8 }}
        {{- end }}
      ports:
        - {port: {{ .port }}, protocol: TCP}
  egress:
    {{- if .to }}
    {{- include "purser.egress.dns" . | nindent 4 }}
    - to:
        {{- include "purser.peer" (dict "root" .root "part" .to) | nindent 8 }}
      ports:
        - {port: 8080, protocol: TCP}
    {{- else }} []
    {{- end }}
{{- end }}
{{- end -}}
