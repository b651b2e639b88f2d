{{/* The settings of a component: its own go before those of all. The result is JSON with `config`,
     `secrets` and `files`. Secrets and files that a component has no use for are left out: the
     detector posts nothing, and the hook speaks to Kafka alone. */}}
{{- define "stream-app.settings" -}}
{{- $own := get .root.Values (ternary "operator" .component (eq .component "topics")) -}}
{{- $result := dict "config" (merge (dict) $own.config .root.Values.config) -}}
{{- range $kind := list "secrets" "files" -}}
  {{- $kept := merge (dict) (get $own $kind) -}}
  {{- range $name, $source := get $.root.Values $kind -}}
    {{- $isKafkas := hasPrefix "STREAM_APP_KAFKA__" $name -}}
    {{- $isDeliverys := hasPrefix "STREAM_APP_DELIVERY__" $name -}}
    {{- $isOfNoUse := or (and (eq $.component "topics") (not $isKafkas)) (and (eq $.component "detector") $isDeliverys) -}}
    {{- if not (or $isOfNoUse (hasKey $kept $name)) -}}
      {{- $_ := set $kept $name $source -}}
    {{- end -}}
  {{- end -}}
  {{- $_ := set $result $kind $kept -}}
{{- end -}}
{{ toJson $result }}
{{- end }}

{{/* YAML's numbers reach templates as floats, which would be written as 6.7108864e+07. */}}
{{- define "stream-app.value" -}}
{{- if and (kindIs "float64" .) (eq (float64 (int64 .)) .) -}}{{ int64 . | toString | quote }}{{- else -}}{{ toString . | quote }}{{- end -}}
{{- end }}

{{/* Variables stand in the pod's template, not in a ConfigMap: a pod of an older version that starts
     again while an upgrade runs must not meet settings that it does not know. */}}
{{- define "stream-app.env" -}}
{{- $settings := include "stream-app.settings" . | fromJson -}}
{{- $env := dict -}}
{{- range $name, $value := .root.Values.env -}}{{- $_ := set $env $name $value -}}{{- end -}}
{{- range $name, $value := $settings.config -}}{{- $_ := set $env $name $value -}}{{- end -}}
{{- range $name, $source := $settings.secrets -}}
  {{- $_ := set $env (printf "%s_FILE" $name) (printf "%s/%s" (include "stream-app.filesPath" $) $name) -}}
{{- end -}}
{{- range $name, $source := $settings.files -}}
  {{- $_ := set $env $name (printf "%s/%s" (include "stream-app.filesPath" $) $name) -}}
{{- end -}}
{{- if include "stream-app.hasApiKeys" . -}}
  {{- $_ := set $env "STREAM_APP_KEY_DIR" (include "stream-app.apiKeysPath" .) -}}
{{- end -}}
{{- range $name, $value := $env }}
- name: {{ $name }}
  value: {{ include "stream-app.value" $value }}
{{- end }}
{{- end }}

{{- define "stream-app.filesPath" -}}/var/run/secrets/stream-app/files{{- end }}
{{- define "stream-app.apiKeysPath" -}}/var/run/secrets/stream-app/api-keys{{- end }}

{{- define "stream-app.hasApiKeys" -}}
{{- if and .root.Values.apiKeys (has .component (list "notifier" "operator")) -}}true{{- end -}}
{{- end }}

{{/* All files of a component are one volume, so that a new certificate and its key come together. */}}
{{- define "stream-app.volumes" -}}
{{- $settings := include "stream-app.settings" . | fromJson -}}
{{- with merge (dict) $settings.secrets $settings.files }}
- name: files
  {{- include "stream-app.projected" . | trim | nindent 2 }}
{{- end }}
{{- if include "stream-app.hasApiKeys" . }}
- name: api-keys
  {{- include "stream-app.projected" .root.Values.apiKeys | trim | nindent 2 }}
{{- end }}
{{- end }}

{{- define "stream-app.projected" -}}
projected:
  # The user may be one that the platform chooses, and there is no other in the container.
  defaultMode: 0444
  sources:
    {{- range $path, $source := . }}
    - {{ ternary "secret" "configMap" (hasKey $source "secret") }}:
        name: {{ default $source.configMap $source.secret | quote }}
        items:
          - {key: {{ $source.key | quote }}, path: {{ $path | quote }}}
    {{- end }}
{{- end }}

{{- define "stream-app.volumeMounts" -}}
{{- $settings := include "stream-app.settings" . | fromJson -}}
{{- if or $settings.secrets $settings.files }}
- {name: files, mountPath: {{ include "stream-app.filesPath" . }}, readOnly: true}
{{- end }}
{{- if include "stream-app.hasApiKeys" . }}
- {name: api-keys, mountPath: {{ include "stream-app.apiKeysPath" . }}, readOnly: true}
{{- end }}
{{- end }}
