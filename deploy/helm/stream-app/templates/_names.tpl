{{- define "stream-app.name" -}}
{{ default .Chart.Name .Values.nameOverride | trunc 63 | trimSuffix "-" }}
{{- end }}

{{/* 45 characters leave room for the endings: no name is longer than 63. */}}
{{- define "stream-app.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- $full := ternary .Release.Name (printf "%s-%s" .Release.Name $name) (contains $name .Release.Name) -}}
{{ default $full .Values.fullnameOverride | trunc 45 | trimSuffix "-" }}
{{- end }}

{{- define "stream-app.selectorLabels" -}}
app.kubernetes.io/name: {{ include "stream-app.name" .root | quote }}
app.kubernetes.io/instance: {{ .root.Release.Name | quote }}
{{- with .component }}
app.kubernetes.io/component: {{ . }}
{{- end }}
{{- end }}

{{- define "stream-app.labels" -}}
{{ include "stream-app.selectorLabels" . }}
app.kubernetes.io/version: {{ .root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | replace "+" "_" }}
{{- end }}

{{- define "stream-app.image" -}}
{{- with .Values.image -}}
{{ .repository }}{{ if .digest }}@{{ .digest }}{{ else }}:{{ default $.Chart.AppVersion .tag }}{{ end }}
{{- end -}}
{{- end }}

{{/* The account of a component: its own, or one that there is. The hook runs before the chart's own
     accounts are made, so it has one more, made by a hook. */}}
{{- define "stream-app.serviceAccountName" -}}
{{- $account := (get .root.Values (ternary "operator" .component (eq .component "topics"))).serviceAccount -}}
{{- if $account.create -}}
{{ default (printf "%s-%s" (include "stream-app.fullname" .root) .component) (ternary "" $account.name (eq .component "topics")) }}
{{- else -}}
{{ default "default" $account.name }}
{{- end -}}
{{- end }}

{{- define "stream-app.job" -}}
{{ default (include "stream-app.fullname" .) .Values.monitoring.job }}
{{- end }}
