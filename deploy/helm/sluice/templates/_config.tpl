{{/* What `sluice render` has written for this mode: the user's, or the chart's own file with its
     names filled in. Text of values is put in as it is and never read as a template. */}}
{{- define "sluice.config" -}}
{{- if .Values.config -}}
{{- .Values.config -}}
{{- else -}}
{{- $of := "standalone" -}}
{{- if .Values.stream.oci.enabled -}}
{{- $of = printf "standalone.oci-%s" (.Values.stream.oci.signing.principal | default "key") -}}
{{- end -}}
{{- if eq .Values.mode "istio" -}}
{{- $of = "istio" -}}
{{- else if eq .Values.mode "envoyGateway" -}}
{{- $of = printf "envoy-gateway.%s" .Values.envoyGateway.xdsNames -}}
{{- end -}}
{{- $text := .Files.Get (printf "files/%s.yaml" $of) -}}
{{- $text = $text | replace "stream-server.sluice-chart.invalid" (include "sluice.serverHost" .) -}}
{{- if eq .Values.mode "standalone" -}}
{{- $origin := urlParse .Values.function.url -}}
{{- $host := regexReplaceAll ":[0-9]+$" $origin.host "" -}}
{{- $port := regexFind "[0-9]+$" (regexFind ":[0-9]+$" $origin.host) | default "80" -}}
{{- $text = $text | replace "function.sluice-chart.invalid" $host | replace "64080" $port -}}
{{- with .Values.stream.oci -}}
{{- if .enabled -}}
{{- $text = include "sluice.withOci" (list . $text) -}}
{{- end -}}
{{- end -}}
{{- else -}}
{{- $names := ternary .Values.istio .Values.envoyGateway (eq .Values.mode "istio") -}}
{{- $text = $text | replace "sluice-chart-namespace" $names.namespace -}}
{{- $text = $text | replace "sluice-chart-name" $names.name -}}
{{- if eq .Values.mode "istio" -}}
{{- $labels := list -}}
{{- range $name, $value := .Values.istio.labels -}}
{{- $labels = append $labels (printf "%s: %s" $name $value) -}}
{{- end -}}
{{- $text = $text | replace "sluice-chart-label: sluice-chart-value" (join "\n      " $labels) -}}
{{- with .Values.istio.routes -}}
{{- $text = $text | replace "http.64081" . -}}
{{- end -}}
{{- else -}}
{{- $text = $text | replace "sluice-chart-gateway" .Values.envoyGateway.gateway -}}
{{- $text = $text | replace "sluice-chart-listener" .Values.envoyGateway.listener -}}
{{- end -}}
{{- $text = $text | replace "64081" (toString $names.port) -}}
{{- end -}}
{{- $text -}}
{{- end -}}
{{- end -}}

{{/* The names of Oracle's Streaming in place of the file's: (list OCI TEXT). The schema has judged
     what is put into JSON here. */}}
{{- define "sluice.withOci" -}}
{{- $oci := index . 0 -}}
{{- $text := index . 1 -}}
{{- $host := trimPrefix "https://" $oci.endpoint -}}
{{- $ours := "cell-1.streaming.sluice-chart-region.oci.sluice-chart-realm.invalid" -}}
{{- $place := regexReplaceAll "^[^.]+\\.streaming\\." $host "" -}}
{{- $text = $text | replace $ours $host -}}
{{- $text = $text | replace "sluice-chart-region" (regexReplaceAll "\\.oci\\..*$" $place "") -}}
{{- $text = $text | replace "sluice-chart-realm.invalid" (regexReplaceAll "^[^.]+\\.oci\\." $place "") -}}
{{- $text = $text | replace "ocid1.stream.sluice-chart-calls" $oci.calls -}}
{{- $text = $text | replace "ocid1.stream.sluice-chart-dead" $oci.deadLetters -}}
{{- $lanes := list -}}
{{- range $oci.lanes -}}
{{- $lanes = append $lanes (printf `{ "streamId": "%s", "delayMs": %d }` .streamId (int64 .delayMs)) -}}
{{- end -}}
{{- $lane := `{ "streamId": "ocid1.stream.sluice-chart-lane", "delayMs": 64082 }` -}}
{{- $text = $text | replace $lane (join ", " $lanes) -}}
{{- $text = $text | replace "ocid1.tenancy.sluice-chart-tenancy" $oci.signing.tenancy -}}
{{- $text = $text | replace "ocid1.user.sluice-chart-user" $oci.signing.user -}}
{{- $text | replace "64:08:35:64:08:35:64:08:35:64:08:35:64:08:35:64" $oci.signing.fingerprint -}}
{{- end -}}

{{/* Where Envoy's configuration listens, as YAML: gateway, probe and admin, each with address and
     port; port 0 where there is none. */}}
{{- define "sluice.ports" -}}
{{- $config := include "sluice.config" . | fromYaml -}}
{{- $none := dict "address" "" "port_value" 0 -}}
{{- $found := dict "gateway" $none "probe" $none -}}
{{- range dig "static_resources" "listeners" list $config -}}
{{- $_ := set $found .name (dig "address" "socket_address" $none .) -}}
{{- end -}}
{{- $_ := set $found "admin" (dig "admin" "address" "socket_address" $none $config) -}}
{{- toYaml $found -}}
{{- end -}}
