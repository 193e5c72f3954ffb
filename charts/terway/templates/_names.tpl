{{/* Image reference: repository and tag. The default of the tag is the chart's appVersion. */}}
{{- define "terway.image" -}}
{{- printf "%s:%s" .image.repository (.image.tag | default .version) -}}
{{- end -}}

{{/* Labels that every object of the chart carries. */}}
{{- define "terway.labels" -}}
app.kubernetes.io/part-of: terway
app.kubernetes.io/managed-by: {{ .Release.Service }}
helm.sh/chart: {{ .Chart.Name }}-{{ .Chart.Version }}
{{- end -}}
