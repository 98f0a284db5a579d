{{/* What the operator may do, and nothing beside it; a test compares this with k8s/dev/operator-rbac.yaml. */}}
{{- define "purser.operator.rules" -}}
- apiGroups: [purser.dev]
  resources: [usershards]
  verbs: [list, watch]
- apiGroups: [purser.dev]
  resources: [usershards/status]
  verbs: [patch]
- apiGroups: [apps]
  resources: [statefulsets]
  verbs: [list, watch]
- apiGroups: [""]
  resources: [pods]
  verbs: [list, watch]
- apiGroups: [apps]
  resources: [statefulsets/scale]
  verbs: [patch]
- apiGroups: [""]
  resources: [events]
  verbs: [create]
{{- end -}}

{{/* The election's, in the operator's own namespace whatever it watches. */}}
{{- define "purser.operator.leaseRules" -}}
# A name cannot be asked of a create: the object has none yet when the right is checked.
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  verbs: [create]
- apiGroups: [coordination.k8s.io]
  resources: [leases]
  resourceNames: [{{ include "purser.object" . }}]
  verbs: [get, patch]
{{- end -}}
