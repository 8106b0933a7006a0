{{/* Whether values say that a user's key signs what goes to Oracle. */}}
{{- define "sluice.signsByKey" -}}
{{- if and .Values.stream.oci.enabled (not .Values.config) (not .Values.stream.oci.signing.principal) -}}yes{{- end -}}
{{- end -}}

{{/* Variables of Envoy from the Secret, which are no part of any ConfigMap. */}}
{{- define "sluice.environment" -}}
{{- $secrets := .Values.secrets -}}
{{- if or $secrets.existingSecret $secrets.generate }}
env:
{{- range concat (list "SLUICE_SEAL_KEYS" "SLUICE_CALLER_KEY" "SLUICE_WEBHOOK_SECRETS" "OCI_PRIVATE_KEY") $secrets.variables | uniq }}
  - name: {{ . }}
    valueFrom:
      secretKeyRef:
        name: {{ include "sluice.secret" $ }}
        key: {{ . }}
        # Without the first credentials would stand in the clear, without the second nothing is signed.
        optional: {{ not (or (and (eq . "SLUICE_SEAL_KEYS") (not $secrets.unsealed)) (and (eq . "OCI_PRIVATE_KEY") (include "sluice.signsByKey" $))) }}
{{- end }}
{{- end }}
{{- end -}}
