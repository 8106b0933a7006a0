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
        # Without it credentials would stand in the clear.
        optional: {{ or (ne . "SLUICE_SEAL_KEYS") $secrets.unsealed }}
{{- end }}
{{- end }}
{{- end -}}
