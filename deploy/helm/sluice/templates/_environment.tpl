{{/* Whether values say that a user's key signs what goes to Oracle. */}}
{{- define "sluice.signsByKey" -}}
{{- if and .Values.stream.oci.enabled (not .Values.config) (not .Values.stream.oci.signing.principal) -}}yes{{- end -}}
{{- end -}}

{{/* Variables of Envoy from the Secret, which are no part of any ConfigMap. */}}
{{- define "sluice.environment" -}}
{{- $secrets := .Values.secrets -}}
{{- $needed := list -}}
{{- if not $secrets.unsealed -}}
{{- $needed = append $needed "SLUICE_SEAL_KEYS" -}}
{{- end -}}
{{- if include "sluice.signsByKey" . -}}
{{- $needed = append $needed "OCI_PRIVATE_KEY" -}}
{{- end -}}
{{- if or $secrets.existingSecret $secrets.generate }}
env:
{{- range concat (list "SLUICE_SEAL_KEYS" "SLUICE_CALLER_KEY" "SLUICE_WEBHOOK_SECRETS" "OCI_PRIVATE_KEY") $secrets.variables | uniq }}
  - name: {{ . }}
    valueFrom:
      secretKeyRef:
        name: {{ include "sluice.secret" $ }}
        key: {{ . }}
{{- if has . $needed }}
        # Without it {{ ternary "credentials would stand in the clear" "nothing could be signed" (eq . "SLUICE_SEAL_KEYS") }}.
{{- end }}
        optional: {{ not (has . $needed) }}
{{- end }}
{{- end }}
{{- end -}}
