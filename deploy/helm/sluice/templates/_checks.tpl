{{/* All mistakes of the values that values.schema.json can't see, told at once. */}}
{{- define "sluice.check" -}}
{{- $all := concat
      (include "sluice.mistakes.images" . | fromYamlArray)
      (include "sluice.mistakes.config" . | fromYamlArray)
      (include "sluice.mistakes.grace" . | fromYamlArray)
      (include "sluice.mistakes.stream" . | fromYamlArray)
      (include "sluice.mistakes.oci" . | fromYamlArray)
      (include "sluice.mistakes.kafka" . | fromYamlArray)
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
{{- if ne $ports.admin.address "127.0.0.1" }}
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
{{- else }}
{{/* A document with `items` is a list for Kubernetes' clients, whatever its kind is. */}}
{{- range $key, $_ := $document }}
{{- if not (has $key (list "apiVersion" "kind" "metadata" "spec")) }}
- "config: has a document with the key {{ $key | trunc 40 | js }} beside apiVersion, kind, metadata and spec: write it by `sluice render`"
{{- end }}
{{- end }}
{{- end }}
{{- end -}}
{{- end -}}

{{/* Of how pods end. */}}
{{- define "sluice.mistakes.grace" -}}
{{- $grace := .Values.gateway.gracePeriod -}}
{{- if lt (int64 $grace.leaveSeconds) (int64 $grace.leastSeconds) }}
- "gateway.gracePeriod.leaveSeconds: has to be leastSeconds ({{ $grace.leastSeconds }}) or more"
{{- end }}
{{- end -}}

{{- define "sluice.hasServer" -}}
{{- if and .Values.streamServer.enabled (not .Values.stream.oci.enabled) -}}yes{{- end -}}
{{- end -}}

{{- define "sluice.mistakes.stream" -}}
{{- $server := .Values.streamServer -}}
{{- if not (or (include "sluice.hasServer" .) .Values.config .Values.stream.oci.enabled) }}
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

{{/* Of Oracle's Streaming. */}}
{{- define "sluice.mistakes.oci" -}}
{{- $oci := .Values.stream.oci -}}
{{- $signing := $oci.signing -}}
{{- $said := or $oci.endpoint $oci.calls $oci.deadLetters $oci.lanes $signing.principal $signing.tenancy $signing.user $signing.fingerprint -}}
{{- if and $said (not $oci.enabled) }}
- "stream.oci.enabled: must be true for the rest of stream.oci to mean something"
{{- else if and $said .Values.config }}
- "stream.oci: means something without config only, which names the streams itself: keep `enabled` alone, or leave config out"
{{- else if and $oci.enabled (not .Values.config) }}
{{- if ne .Values.mode "standalone" }}
- "config: is required with stream.oci in the mode {{ .Values.mode }}: put your OCIDs into an input (docs/oci.md) and write it by `sluice render`"
{{- else }}
{{- include "sluice.mistakes.ocids" . }}
{{- end }}
{{- end }}
{{- end -}}

{{- define "sluice.mistakes.ocids" -}}
{{- $oci := .Values.stream.oci -}}
{{- $signing := $oci.signing -}}
{{- if not $oci.endpoint }}
- "stream.oci.endpoint: is required without config: the messages endpoint that the console shows, such as https://cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com"
{{- end }}
{{- range list "calls" "deadLetters" -}}
{{- if not (get $oci .) }}
- "stream.oci.{{ . }}: is required without config: the OCID of the stream"
{{- end }}
{{- end }}
{{- $ids := list $oci.calls $oci.deadLetters -}}
{{- $delays := list -}}
{{- range $oci.lanes -}}
{{- $ids = append $ids .streamId -}}
{{- $delays = append $delays (int64 .delayMs) -}}
{{- end -}}
{{- if or (ne (len $delays) (len (uniq $delays))) (ne (len (compact $ids)) (len (uniq (compact $ids)))) }}
- "stream.oci: must name no stream twice, and no delayMs twice in lanes"
{{- end }}
{{- if $signing.principal }}
{{- if or $signing.tenancy $signing.user $signing.fingerprint }}
- "stream.oci.signing: has a principal and a user: keep one"
{{- end }}
{{- if and (eq $signing.principal "workload") (not .Values.serviceAccount.mountToken) }}
- "serviceAccount.mountToken: must be true with the principal workload, whose token is that of the service account"
{{- end }}
{{- else if not (and $signing.tenancy $signing.user $signing.fingerprint) }}
- "stream.oci.signing: needs a principal, or tenancy, user and fingerprint"
{{- else if not .Values.secrets.existingSecret }}
- "secrets.existingSecret: is required to sign as a user: a Secret that has the key as OCI_PRIVATE_KEY"
{{- end }}
{{- end -}}

{{/* Of Kafka. */}}
{{- define "sluice.mistakes.kafka" -}}
{{- $kafka := .Values.stream.kafka -}}
{{- $tls := $kafka.tls -}}
{{- if and $kafka.brokers (not $kafka.enabled) }}
- "stream.kafka.enabled: must be true for the rest of stream.kafka to mean something"
{{- end }}
{{- if $kafka.enabled }}
{{- if .Values.stream.oci.enabled }}
- "stream: has kafka.enabled and oci.enabled: keep one"
{{- else if not .Values.streamServer.enabled }}
- "streamServer.enabled: must be true with stream.kafka: the stream server stands before Kafka"
{{- end }}
{{- if not $kafka.brokers }}
- "stream.kafka.brokers: is required: HOST:PORT of some brokers, with commas between"
{{- end }}
{{- if not $kafka.frontsSecret }}
- "stream.kafka.frontsSecret: is required: a Secret whose `secret` has 32 bytes or more, by which the stream servers know each other"
{{- end }}
{{- if gt (int $kafka.minInsyncReplicas) (int $kafka.replicationFactor) }}
- "stream.kafka.minInsyncReplicas: must be no more than replicationFactor"
{{- end }}
{{- if ne (empty $kafka.user) (empty $kafka.passwordSecret) }}
- "stream.kafka: needs user and passwordSecret, or neither"
{{- end }}
{{- if and (not $tls.enabled) (or $tls.caSecret $tls.certificateSecret) }}
- "stream.kafka.tls.enabled: must be true for its Secrets to be used"
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
