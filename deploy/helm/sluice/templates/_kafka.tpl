{{/* The section `kafka` of the stream server's configuration, of stream.kafka. */}}
{{- define "sluice.kafkaConfig" -}}
brokers: {{ .brokers | quote }}
topicPrefix: {{ .topicPrefix | quote }}
replicationFactor: {{ .replicationFactor }}
minInsyncReplicas: {{ .minInsyncReplicas }}
flushMessages: {{ .flushMessages }}
internalListen: "0.0.0.0:8091"
secretFile: /etc/stream-server-kafka/fronts
tls: {{ .tls.enabled }}
{{- if .tls.caSecret }}
caFile: /etc/stream-server-kafka/ca.crt
{{- end }}
{{- if .tls.certificateSecret }}
certificateFile: /etc/stream-server-kafka/tls.crt
keyFile: /etc/stream-server-kafka/tls.key
{{- end }}
{{- if .user }}
user: {{ .user | quote }}
passwordFile: /etc/stream-server-kafka/password
{{- end }}
{{- end -}}

{{/* The Secrets that it names files of. */}}
{{- define "sluice.kafkaSecrets" -}}
- secret: { name: {{ .frontsSecret }}, items: [{ key: secret, path: fronts }] }
{{- with .tls.caSecret }}
- secret: { name: {{ . }}, items: [{ key: ca.crt, path: ca.crt }] }
{{- end }}
{{- with .tls.certificateSecret }}
- secret: { name: {{ . }}, items: [{ key: tls.crt, path: tls.crt }, { key: tls.key, path: tls.key }] }
{{- end }}
{{- with .passwordSecret }}
- secret: { name: {{ . }}, items: [{ key: password, path: password }] }
{{- end }}
{{- end -}}
