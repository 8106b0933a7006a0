{{/* All mistakes of the values that values.schema.json can't see, told at once. */}}
{{- define "sluice.check" -}}
{{- $all := concat
      (include "sluice.mistakes.images" . | fromYamlArray)
      (include "sluice.mistakes.config" . | fromYamlArray)
      (include "sluice.mistakes.stream" . | fromYamlArray)
      (include "sluice.mistakes.secrets" . | fromYamlArray) -}}
{{- if $all -}}
{{- fail (printf "\n%d mistake(s) in the values:\n  %s" (len $all) (join "\n  " $all)) -}}
{{- end -}}
{{- end -}}

{{- define "sluice.mistakes.images" -}}
{{- $needed := list -}}
{{- if eq .Values.mode "standalone" -}}
{{- $needed = list .Values.gateway.image .Values.cli.image -}}
{{- if ne .Values.gateway.module.from "image" -}}
{{- $needed = append $needed .Values.gateway.module.image -}}
{{- end -}}
{{- end -}}
{{- if include "sluice.hasServer" . -}}
{{- $needed = append $needed .Values.streamServer.image -}}
{{- end -}}
{{- $without := list -}}
{{- range $needed -}}
{{- if not (or .registry $.Values.imageRegistry) -}}
{{- $without = append $without .repository -}}
{{- end -}}
{{- end -}}
{{- with $without }}
- "imageRegistry: is required for {{ uniq . | join ", " }}: where these images are, such as ghcr.io/OWNER/REPOSITORY"
{{- end }}
{{- end -}}

{{- define "sluice.mistakes.config" -}}
{{- if and (eq .Values.mode "standalone") (not .Values.config) (not .Values.function.url) }}
- "function.url: is required without config: your function, such as http://orders.shop.svc.cluster.local:8080"
{{- end }}
{{- if eq .Values.mode "standalone" }}
{{- include "sluice.mistakes.envoy" . }}
{{- else }}
{{- include "sluice.mistakes.manifests" . }}
{{- end }}
{{- end -}}

{{/* Of Envoy's own configuration. */}}
{{- define "sluice.mistakes.envoy" -}}
{{- $ports := include "sluice.ports" . | fromYaml -}}
{{- $render := "write it by `sluice render --for compose`, with ports.probe in its input" -}}
{{- range list "gateway" "probe" -}}
{{- $at := get $ports . -}}
{{- if not $at.port_value }}
- "config: has no listener {{ . }}: {{ $render }}"
{{- else if hasPrefix "127." $at.address }}
- "config: its listener {{ . }} is on {{ $at.address }}, where no other pod reaches it: {{ $render }}"
{{- end }}
{{- end -}}
{{- if not (hasPrefix "127." $ports.admin.address) }}
- "config: Envoy's admin interface has to be on 127.0.0.1, because it has no authentication"
{{- end }}
{{- if not (contains "/etc/envoy/sluice.wasm" (include "sluice.config" .)) }}
- "config: has to find the filter as /etc/envoy/sluice.wasm: leave `module` out of the input"
{{- end }}
{{- end -}}

{{/* Of manifests: whoever sets values gets no other kinds of objects made by them. */}}
{{- define "sluice.mistakes.manifests" -}}
{{- $kinds := list "EnvoyFilter" -}}
{{- if eq .Values.mode "envoyGateway" -}}
{{- $kinds = list "EnvoyProxy" "ClientTrafficPolicy" "EnvoyPatchPolicy" "EnvoyExtensionPolicy" "GRPCRoute" "HTTPRouteFilter" -}}
{{- end -}}
{{/* Split as Helm does. */}}
{{- range regexSplit "(?:^|\\s*\\n)---\\s*" (include "sluice.config" .) -1 -}}
{{- $document := fromYaml . -}}
{{- if not (regexMatch "^(\\s|#.*\n)*(apiVersion:|$)" .) }}
- "config: has a document that doesn't begin with apiVersion: write it by `sluice render`"
{{- else if and $document (not (has (get $document "kind") $kinds)) }}
- "config: has a document of the kind {{ get $document "kind" | default "none" | toString | trunc 40 | js }}, and {{ $.Values.mode }} takes {{ join ", " $kinds }}: write it by `sluice render`"
{{- end }}
{{- end -}}
{{- end -}}

{{- define "sluice.hasServer" -}}
{{- if and .Values.streamServer.enabled (not .Values.stream.oci.enabled) -}}yes{{- end -}}
{{- end -}}

{{- define "sluice.mistakes.stream" -}}
{{- $server := .Values.streamServer -}}
{{- if .Values.stream.kafka }}
- "stream.kafka: isn't there yet: use streamServer or stream.oci"
{{- end }}
{{- if and .Values.stream.oci.enabled (not .Values.config) }}
- "config: is required with stream.oci: put your OCIDs into an input (docs/oci.md) and write it by `sluice render`"
{{- end }}
{{- if not (or (include "sluice.hasServer" .) .Values.config) }}
- "config: is required without the stream server, whose streams the chart's own configuration names"
{{- end }}
{{- if include "sluice.hasServer" . }}
{{- if not $server.access }}
- "streamServer.access: is required. `signed`: only who signs with a key of streamServer.keysSecret uses the stream server. `networkPolicy`: everybody who reaches it may make calls, and your cluster's network has to enforce NetworkPolicies (not every one does)"
{{- else if eq $server.access "networkPolicy" }}
{{- if not .Values.networkPolicy.enabled }}
- "networkPolicy.enabled: must be true with streamServer.access networkPolicy: nothing else would protect it"
{{- end }}
{{- else }}
{{- if not $server.keysSecret }}
- "streamServer.keysSecret: is required with streamServer.access signed: a Secret with NAME.pub.pem, NAME.keyid and NAME.rights (docs/kubernetes.md)"
{{- end }}
{{- if not (contains "\"signing\"" .Values.config) }}
- "config: is required with streamServer.access signed, with stream.signing in its input (docs/kubernetes.md)"
{{- end }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sluice.mistakes.secrets" -}}
{{- $secrets := .Values.secrets -}}
{{- if eq .Values.mode "standalone" -}}
{{- if and $secrets.existingSecret $secrets.generate }}
- "secrets: has existingSecret and generate: keep one"
{{- else if not (or $secrets.existingSecret $secrets.generate $secrets.unsealed) }}
- "secrets: set existingSecret (a Secret with SLUICE_SEAL_KEYS), or generate, or unsealed: true if credentials of callers may stand in the clear where calls are stored"
{{- end }}
{{- end }}
{{- end -}}
