{{/* What every pod has in common: who it runs as, and where. */}}
{{- define "stream-app.podMetadata" -}}
labels:
  {{- include "stream-app.selectorLabels" . | trim | nindent 2 }}
  {{- with .root.Values.podLabels }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
annotations:
  # Two pods with the same sum have the same settings. What the Secrets hold is not in it.
  checksum/settings: {{ include "stream-app.settings" . | sha256sum }}
  {{- with .root.Values.podAnnotations }}
  {{- toYaml . | nindent 2 }}
  {{- end }}
{{- end }}

{{- define "stream-app.podSpec" -}}
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
serviceAccountName: {{ include "stream-app.serviceAccountName" . }}
automountServiceAccountToken: false
# A Service named stream-app… would set variables that look like settings.
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  {{- with .root.Values.runAsUser }}
  runAsUser: {{ int64 . }}
  runAsGroup: {{ int64 . }}
  {{- end }}
  seccompProfile: {type: RuntimeDefault}
{{- with .root.Values.nodeSelector }}
nodeSelector:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.tolerations }}
tolerations:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.affinity }}
affinity:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- with .root.Values.priorityClassName }}
priorityClassName: {{ . }}
{{- end }}
{{- end }}

{{- define "stream-app.container" -}}
image: {{ include "stream-app.image" .root | quote }}
imagePullPolicy: {{ .root.Values.image.pullPolicy }}
securityContext:
  allowPrivilegeEscalation: false
  readOnlyRootFilesystem: true
  capabilities: {drop: [ALL]}
{{- with include "stream-app.env" . }}
env:
  {{- . | trim | nindent 2 }}
{{- end }}
{{- end }}

{{- define "stream-app.spread" -}}
{{- $keys := dict "nodes" "kubernetes.io/hostname" "zones" "topology.kubernetes.io/zone" -}}
{{- range $name, $key := $keys }}
{{- $when := get $.root.Values.topologySpread $name }}
{{- if ne $when "none" }}
- maxSkew: 1
  topologyKey: {{ $key }}
  whenUnsatisfiable: {{ $when }}
  labelSelector:
    matchLabels:
      {{- include "stream-app.selectorLabels" $ | trim | nindent 6 }}
  # Pods of the version that is leaving do not count.
  matchLabelKeys: [pod-template-hash]
{{- end }}
{{- end }}
{{- end }}
