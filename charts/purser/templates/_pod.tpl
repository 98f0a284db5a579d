{{/*
The one template of every pod: what Pod Security "restricted" wants, the files of the part's Secret under
/etc/purser/secrets, its certificate under /etc/purser/tls, the probes, and what the values add.

`purser.pod` takes (dict "root" $ "part" "wallet" "own" .Values.wallet) and optionally "pool" (workers), "environment"
(a dict of settings of this part alone), "ports" (a list, beside gRPC, health and metrics) and "graceSeconds".
*/}}
{{- define "purser.pod" -}}
{{- $facts := get (fromYaml (include "purser.facts" .)) .part -}}
metadata:
  labels:
    {{- include "purser.podLabels" . | nindent 4 }}
    {{- with .own.podLabels }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  {{- with .own.podAnnotations }}
  annotations:
    {{- toYaml . | nindent 4 }}
  {{- end }}
spec:
  serviceAccountName: {{ include "purser.name" .root }}-{{ .part }}
  automountServiceAccountToken: {{ eq .part "operator" }}
  enableServiceLinks: false
  # The preStop sleep, then what calls under way get to finish, then a margin.
  terminationGracePeriodSeconds: {{ .graceSeconds | default 30 }}
  {{- include "purser.podSecurity" . | nindent 2 }}
  {{- include "purser.placement" . | nindent 2 }}
  {{- if .root.Values.development.writableSource }}
  # The image's file system stays read-only: what is edited is a copy, which outlives the container and goes with the pod.
  initContainers:
    - name: source
      image: {{ include "purser.image" (dict "root" .root "part" .part "own" .own.image) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      command: [cp, --recursive, /opt/purser/source/., /source]
      resources:
        {{- toYaml .own.resources | nindent 8 }}
      {{- include "purser.containerSecurity" . | nindent 6 }}
      volumeMounts:
        - {name: source, mountPath: /source}
  {{- end }}
  containers:
    - name: {{ .part }}
      image: {{ include "purser.image" (dict "root" .root "part" .part "own" .own.image) }}
      imagePullPolicy: {{ .root.Values.image.pullPolicy }}
      env:
        {{- include "purser.environment" (merge (dict "facts" $facts) .) | nindent 8 }}
      ports:
        {{- if $facts.grpc }}
        - {name: grpc, containerPort: 50051}
        {{- end }}
        - {name: health, containerPort: 50052}
        - {name: metrics, containerPort: 9090}
        {{- range .ports }}
        - {{ toJson . }}
        {{- end }}
      {{- include (ternary "purser.grpcProbes" "purser.httpProbes" $facts.grpc) . | nindent 6 }}
      {{- if and $facts.grpc (ne .part "user-worker") }}
      lifecycle:
        preStop:
          # Until every caller's resolver and the Service's endpoints have forgotten this pod.
          sleep: {seconds: {{ .root.Values.preStopSleepSeconds }}}
      {{- end }}
      resources:
        {{- toYaml .own.resources | nindent 8 }}
      {{- include "purser.containerSecurity" . | nindent 6 }}
      volumeMounts:
        - {name: secrets, mountPath: /etc/purser/secrets, readOnly: true}
        {{- if and $facts.grpc .root.Values.tls.enabled }}
        - {name: tls, mountPath: /etc/purser/tls, readOnly: true}
        {{- end }}
        - {name: tmp, mountPath: /tmp}
        {{- if .root.Values.development.writableSource }}
        - {name: source, mountPath: /opt/purser/source}
        {{- end }}
  volumes:
    - name: secrets
      secret:
        secretName: {{ include "purser.secret" . }}
        # Readable through fsGroup; a pod that is not root could read no stricter one.
        defaultMode: 0440
    {{- if and $facts.grpc .root.Values.tls.enabled }}
    - name: tls
      secret:
        secretName: {{ include "purser.tlsSecret" . }}
        defaultMode: 0440
    {{- end }}
    - name: tmp
      emptyDir: {sizeLimit: 64Mi}
    {{- if .root.Values.development.writableSource }}
    - name: source
      emptyDir: {sizeLimit: 64Mi}
    {{- end }}
{{- end -}}

{{/* What every pod runs as. The uid is the images' user `purser`. */}}
{{- define "purser.podSecurity" -}}
securityContext:
  runAsNonRoot: true
  runAsUser: 65532
  runAsGroup: 65532
  fsGroup: 65532
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . }}
  {{- end }}
{{- end }}
{{- end -}}

{{- define "purser.containerSecurity" -}}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- end -}}

{{/* Where pods go: spread over nodes and zones as far as there are any, and what the values say. */}}
{{- define "purser.placement" -}}
topologySpreadConstraints:
  {{- range list "kubernetes.io/hostname" "topology.kubernetes.io/zone" }}
  - maxSkew: 1
    topologyKey: {{ . }}
    # A pod somewhere is better than a pod nowhere.
    whenUnsatisfiable: ScheduleAnyway
    labelSelector:
      matchLabels:
        {{- include "purser.selector" $ | nindent 8 }}
    {{- if ne $.part "user-worker" }}
    # Of one version each: during a roll the old pods do not count.
    matchLabelKeys: [pod-template-hash]
    {{- end }}
  {{- end }}
{{- with .own.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- with .own.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .own.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end -}}

{{/* kubelet asks gRPC's own health service, on a port that speaks nothing else and no TLS: kubelet has no certificate. */}}
{{- define "purser.grpcProbes" -}}
startupProbe:
  grpc: {port: 50052}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ include "purser.startupFailures" . }}
readinessProbe:
  grpc: {port: 50052}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  grpc: {port: 50052}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{- define "purser.httpProbes" -}}
startupProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 2
  timeoutSeconds: 2
  failureThreshold: {{ include "purser.startupFailures" . }}
readinessProbe:
  httpGet: {path: /readyz, port: health}
  periodSeconds: 5
  timeoutSeconds: 2
  failureThreshold: 2
livenessProbe:
  httpGet: {path: /livez, port: health}
  periodSeconds: 10
  timeoutSeconds: 5
  failureThreshold: 3
{{- end -}}

{{/* Looks of 2 s until the program itself has given up waiting for its schema, and half a minute more. */}}
{{- define "purser.startupFailures" -}}
{{ div (add .root.Values.startTimeoutSeconds 30 1) 2 }}
{{- end -}}
