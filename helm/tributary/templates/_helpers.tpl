{{/* What objects are named after: at most 40 characters, so that the longest suffix still fits a label. */}}
{{- define "tributary.fullname" -}}
{{- $name := default .Chart.Name .Values.nameOverride -}}
{{- if .Values.fullnameOverride -}}
{{- .Values.fullnameOverride | trunc 40 | trimSuffix "-" -}}
{{- else if contains $name .Release.Name -}}
{{- .Release.Name | trunc 40 | trimSuffix "-" -}}
{{- else -}}
{{- printf "%s-%s" .Release.Name $name | trunc 40 | trimSuffix "-" -}}
{{- end -}}
{{- end -}}

{{/* The labels that find the pods of one component, and nothing else: a selector can never change.
`include "tributary.selectorLabels" (list $ "ingestion")` */}}
{{- define "tributary.selectorLabels" -}}
{{- $root := index . 0 -}}
app.kubernetes.io/name: {{ default $root.Chart.Name $root.Values.nameOverride | trunc 63 | trimSuffix "-" | quote }}
app.kubernetes.io/instance: {{ $root.Release.Name | quote }}
app.kubernetes.io/component: {{ index . 1 }}
{{- end -}}

{{/* All labels of one component's objects. `include "tributary.labels" (list $ "ingestion")` */}}
{{- define "tributary.labels" -}}
{{- $root := index . 0 -}}
{{ include "tributary.selectorLabels" . }}
app.kubernetes.io/part-of: tributary
app.kubernetes.io/version: {{ $root.Values.image.tag | default $root.Chart.AppVersion | quote }}
app.kubernetes.io/managed-by: {{ $root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" $root.Chart.Name $root.Chart.Version | replace "+" "_" | trunc 63 | trimSuffix "-" }}
{{- end -}}

{{/* The settings of one service: `defaults` overlaid with its own. `include "tributary.service" (list $ "ingestion") | fromYaml` */}}
{{- define "tributary.service" -}}
{{- $root := index . 0 -}}
{{- mergeOverwrite (deepCopy $root.Values.defaults) (index $root.Values.services (index . 1)) | toYaml -}}
{{- end -}}

{{/* What a service is by design, not by choice: the stores it opens, the services it calls, whether it reads
workspaces.yaml, who may call it, and the log whose backlog it works off. `include "tributary.design" "ingestion" | fromYaml` */}}
{{- define "tributary.design" -}}
{{- $all := dict
  "ingestion" (dict "stores" (list "state" "clickhouse") "calls" (list "dedup") "workspaces" true "callers" (list))
  "dedup" (dict "stores" (list "log" "clickhouse") "calls" (list) "workspaces" false "callers" (list "ingestion" "query"))
  "attribution" (dict "stores" (list "log" "state" "clickhouse") "calls" (list) "workspaces" true "callers" (list "query")
    "backlog" (dict "redis" "log" "group" "attribute" "streams" (list "trb:{l%d}:log:live" "trb:{l%d}:log:bulk")))
  "delivery" (dict "stores" (list "state" "jobs" "clickhouse") "calls" (list) "workspaces" true "callers" (list "query")
    "backlog" (dict "redis" "state" "group" "deliver" "streams" (list "trb:{c%d}:conversions")))
  "query" (dict "stores" (list "log" "state" "clickhouse") "calls" (list "attribution" "dedup" "delivery") "workspaces" true "callers" (list))
-}}
{{- index $all . | toYaml -}}
{{- end -}}

{{/* How many pods are decided by: none, cpu or backlog; backlog falls back to cpu without KEDA.
`include "tributary.autoscaling" (list $ "attribution" $service)` */}}
{{- define "tributary.autoscaling" -}}
{{- $root := index . 0 -}}
{{- $type := (index . 2).autoscaling.type -}}
{{- if and (eq $type "backlog") (not $root.Values.keda.enabled) }}cpu{{ else }}{{ $type }}{{ end -}}
{{- end -}}

{{/* The port that probes ask: with TLS on, the one of health alone. */}}
{{- define "tributary.probePort" -}}
{{- if .Values.tls.existingSecret }}{{ .Values.tls.healthPort }}{{ else }}{{ .Values.port }}{{ end -}}
{{- end -}}

{{- define "tributary.image" -}}
{{- if .Values.image.digest -}}
{{ .Values.image.repository }}@{{ .Values.image.digest }}
{{- else -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion }}
{{- end -}}
{{- end -}}

{{- define "tributary.redisSecret" -}}
{{ .Values.redis.existingSecret | default (printf "%s-stores" (include "tributary.fullname" .)) }}
{{- end -}}

{{- define "tributary.clickhouseSecret" -}}
{{ .Values.clickhouse.existingSecret | default (printf "%s-stores" (include "tributary.fullname" .)) }}
{{- end -}}

{{- define "tributary.internalTokenSecret" -}}
{{ .Values.internalToken.existingSecret | default (printf "%s-internal-token" (include "tributary.fullname" .)) }}
{{- end -}}

{{- define "tributary.workspacesSecret" -}}
{{ .Values.workspaces.existingSecret | default (printf "%s-workspaces" (include "tributary.fullname" .)) }}
{{- end -}}

{{/* The store URLs that were given as values, as a Secret's data; empty if all come from Secrets of the user. */}}
{{- define "tributary.storeUrls" -}}
{{- $data := dict -}}
{{- if not .Values.redis.existingSecret -}}
{{- $_ := set $data "log-url" (.Values.redis.logUrl | b64enc) -}}
{{- $_ := set $data "state-url" (.Values.redis.stateUrl | b64enc) -}}
{{- $_ := set $data "jobs-url" (.Values.redis.jobsUrl | b64enc) -}}
{{- end -}}
{{- if not .Values.clickhouse.existingSecret -}}
{{- $_ := set $data "url" (.Values.clickhouse.url | b64enc) -}}
{{- end -}}
{{- if $data }}{{ $data | toYaml }}{{ end -}}
{{- end -}}

{{/* Environment that leads to the given stores, as a map from name to the rest of a Kubernetes EnvVar.
`include "tributary.storeEnv" (list $ (list "log" "clickhouse") redisSecret clickhouseSecret) | fromYaml` */}}
{{- define "tributary.storeEnv" -}}
{{- $root := index . 0 -}}
{{- $env := dict -}}
{{- range $store := index . 1 -}}
{{- if eq $store "clickhouse" -}}
{{- $_ := set $env "TRIBUTARY_CLICKHOUSE_URL" (dict "valueFrom" (dict "secretKeyRef" (dict "name" (index $ 3) "key" "url"))) -}}
{{- with $root.Values.clickhouse.cluster -}}
{{- $_ := set $env "TRIBUTARY_CLICKHOUSE_CLUSTER" (dict "value" .) -}}
{{- end -}}
{{- else -}}
{{- $name := printf "TRIBUTARY_%s_URL" (upper $store) -}}
{{- $_ := set $env $name (dict "valueFrom" (dict "secretKeyRef" (dict "name" (index $ 2) "key" (printf "%s-url" $store)))) -}}
{{- end -}}
{{- end -}}
{{- $env | toYaml -}}
{{- end -}}

{{/* Environment of telemetry. `include "tributary.telemetryEnv" (list $ "ingestion") | fromYaml` */}}
{{- define "tributary.telemetryEnv" -}}
{{- $root := index . 0 -}}
{{- $env := dict -}}
{{- with $root.Values.telemetry.endpoint -}}
{{- $attributes := dict
  "service.namespace" "tributary"
  "service.version" ($root.Values.image.tag | default $root.Chart.AppVersion)
  "k8s.namespace.name" "$(POD_NAMESPACE)"
  "k8s.pod.name" "$(POD_NAME)" -}}
{{- range $key, $value := $root.Values.telemetry.resourceAttributes -}}
{{- $_ := set $attributes $key $value -}}
{{- end -}}
{{- $pairs := list -}}
{{- range $key, $value := $attributes -}}
{{- $pairs = append $pairs (printf "%s=%s" $key $value) -}}
{{- end -}}
{{- $_ := set $env "POD_NAME" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.name"))) -}}
{{- $_ := set $env "POD_NAMESPACE" (dict "valueFrom" (dict "fieldRef" (dict "fieldPath" "metadata.namespace"))) -}}
{{- $_ := set $env "OTEL_EXPORTER_OTLP_ENDPOINT" (dict "value" .) -}}
{{- $_ := set $env "OTEL_SERVICE_NAME" (dict "value" (printf "tributary-%s" (index $ 1))) -}}
{{- $_ := set $env "OTEL_TRACES_SAMPLER" (dict "value" "parentbased_traceidratio") -}}
{{- $_ := set $env "OTEL_TRACES_SAMPLER_ARG" (dict "value" ($root.Values.telemetry.sampleRatio | toString)) -}}
{{- $_ := set $env "OTEL_RESOURCE_ATTRIBUTES" (dict "value" (join "," $pairs)) -}}
{{- end -}}
{{- $env | toYaml -}}
{{- end -}}

{{/* A map of environment as Kubernetes' list, by name; variables that others refer to come first. */}}
{{- define "tributary.envList" -}}
{{- $list := list -}}
{{- range $name, $rest := pick . "POD_NAME" "POD_NAMESPACE" -}}
{{- $list = append $list (set (deepCopy $rest) "name" $name) -}}
{{- end -}}
{{- range $name, $rest := omit . "POD_NAME" "POD_NAMESPACE" -}}
{{- $list = append $list (set (deepCopy $rest) "name" $name) -}}
{{- end -}}
{{- $list | toYaml -}}
{{- end -}}

{{/* The environment of one service. `include "tributary.env" (list $ "ingestion" $service $design)` */}}
{{- define "tributary.env" -}}
{{- $root := index . 0 -}}
{{- $name := index . 1 -}}
{{- $service := index . 2 -}}
{{- $design := index . 3 -}}
{{- $env := include "tributary.storeEnv" (list $root $design.stores (include "tributary.redisSecret" $root) (include "tributary.clickhouseSecret" $root)) | fromYaml -}}
{{- $env = merge $env (include "tributary.telemetryEnv" (list $root $name) | fromYaml) -}}
{{- $_ := set $env "TRIBUTARY_LISTEN" (dict "value" (printf "0.0.0.0:%d" (int $root.Values.port))) -}}
{{- $_ := set $env "TRIBUTARY_LOG_LEVEL" (dict "value" $root.Values.logLevel) -}}
{{- $_ := set $env "TRIBUTARY_REFLECTION" (dict "value" ($root.Values.reflection | toString)) -}}
{{- $_ := set $env "TRIBUTARY_DRAIN_DELAY_SECONDS" (dict "value" ($root.Values.drainDelaySeconds | toString)) -}}
{{- $_ := set $env "TRIBUTARY_INTERNAL_TOKEN" (dict "valueFrom" (dict "secretKeyRef" (dict "name" (include "tributary.internalTokenSecret" $root) "key" "token"))) -}}
{{- if or (has "log" $design.stores) (has "state" $design.stores) (has "jobs" $design.stores) -}}
{{- $_ := set $env "TRIBUTARY_DURABILITY" (dict "value" $root.Values.redis.durability) -}}
{{- end -}}
{{- if $design.workspaces -}}
{{- $_ := set $env "TRIBUTARY_WORKSPACES_FILE" (dict "value" "/etc/tributary/workspaces/workspaces.yaml") -}}
{{- end -}}
{{- if eq $name "ingestion" -}}
{{- $pods := ternary $service.replicas $service.autoscaling.minReplicas (eq (include "tributary.autoscaling" (list $root $name $service)) "none") -}}
{{- $_ := set $env "TRIBUTARY_INGESTION_PROCESSES" (dict "value" (max 1 (int $pods) | toString)) -}}
{{- end -}}
{{- range $design.calls -}}
{{- $_ := set $env (printf "TRIBUTARY_%s_TARGET" (upper .)) (dict "value" (printf "dns:///%s-%s:%d" (include "tributary.fullname" $root) . (int $root.Values.port))) -}}
{{- end -}}
{{- if $root.Values.tls.existingSecret -}}
{{- $_ := set $env "TRIBUTARY_TLS_CERTIFICATE_FILE" (dict "value" "/etc/tributary/tls/tls.crt") -}}
{{- $_ := set $env "TRIBUTARY_TLS_KEY_FILE" (dict "value" "/etc/tributary/tls/tls.key") -}}
{{- $_ := set $env "TRIBUTARY_TLS_CA_FILE" (dict "value" "/etc/tributary/tls/ca.crt") -}}
{{- $_ := set $env "TRIBUTARY_HEALTH_LISTEN" (dict "value" (printf "0.0.0.0:%d" (int $root.Values.tls.healthPort))) -}}
{{- if and $root.Values.tls.mutual $design.callers -}}
{{- $_ := set $env "TRIBUTARY_TLS_CLIENT_CA_FILE" (dict "value" "/etc/tributary/tls/ca.crt") -}}
{{- end -}}
{{- end -}}
{{- range $key, $value := $service.env -}}
{{- if eq $key "TRIBUTARY_LISTEN" -}}
{{- fail (printf "services.%s.env.TRIBUTARY_LISTEN would part the service from its probes; set port instead." $name) -}}
{{- end -}}
{{- if kindIs "map" $value -}}
{{- $_ := set $env $key (dict "valueFrom" (dict "secretKeyRef" (dict "name" $value.secret "key" $value.key))) -}}
{{- else -}}
{{- $_ := set $env $key (dict "value" $value) -}}
{{- end -}}
{{- end -}}
{{- include "tributary.envList" $env -}}
{{- end -}}

{{/* What every pod of the release has in common: no token, no rights, no surprises in its environment. */}}
{{- define "tributary.podDefaults" -}}
automountServiceAccountToken: false
# Kubernetes would otherwise announce our own Services as TRIBUTARY_* variables, which the settings refuse.
enableServiceLinks: false
{{- with .Values.image.pullSecrets }}
imagePullSecrets:
  {{- range . }}
  - name: {{ . | quote }}
  {{- end }}
{{- end }}
securityContext:
  runAsNonRoot: true
  runAsUser: 10001
  runAsGroup: 10001
  fsGroup: 10001
  seccompProfile:
    type: RuntimeDefault
{{- end -}}

{{- define "tributary.containerSecurityContext" -}}
allowPrivilegeEscalation: false
privileged: false
readOnlyRootFilesystem: {{ . }}
capabilities:
  drop: [ALL]
{{- end -}}

{{/* What a pod that runs as a service is given as files. `include "tributary.volumeMounts" (list $ $design)` */}}
{{- define "tributary.volumeMounts" -}}
{{- $root := index . 0 -}}
{{- $design := index . 1 -}}
- name: tmp
  mountPath: /tmp
{{- if $root.Values.tls.existingSecret }}
- name: tls
  mountPath: /etc/tributary/tls
  readOnly: true
{{- end }}
{{- if $design.workspaces }}
# A whole directory, never a subPath: only then does a changed Secret arrive in a running pod.
- name: workspaces
  mountPath: /etc/tributary/workspaces
  readOnly: true
{{- range $root.Values.workspaces.secretFiles }}
- name: secret-{{ . }}
  mountPath: /etc/tributary/secrets/{{ . }}
  readOnly: true
{{- end }}
{{- end }}
{{- end -}}

{{/* Where these files come from. `include "tributary.volumes" (list $ $design)` */}}
{{- define "tributary.volumes" -}}
{{- $root := index . 0 -}}
{{- $design := index . 1 -}}
- name: tmp
  emptyDir:
    sizeLimit: 64Mi
{{- with $root.Values.tls.existingSecret }}
- name: tls
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- if $design.workspaces }}
- name: workspaces
  secret:
    secretName: {{ include "tributary.workspacesSecret" $root | quote }}
    defaultMode: 0440
    items:
      - key: workspaces.yaml
        path: workspaces.yaml
{{- range $root.Values.workspaces.secretFiles }}
- name: secret-{{ . }}
  secret:
    secretName: {{ . | quote }}
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end -}}

{{/* Refuses what cannot work, with the sentence that says what to set. */}}
{{- define "tributary.check" -}}
{{- $values := .Values -}}
{{- range $key, $role := dict "logUrl" "log" "stateUrl" "state" "jobsUrl" "jobs" -}}
{{- if and $values.redis.existingSecret (index $values.redis $key) -}}
{{- fail (printf "redis.existingSecret and redis.%s are both set; remove redis.%s and put the URL under the Secret's key `%s-url`." $key $key $role) -}}
{{- end -}}
{{- if not (or $values.redis.existingSecret (index $values.redis $key)) -}}
{{- fail (printf "The Redis of the role `%s` is unknown; set redis.existingSecret to a Secret with the keys log-url, state-url and jobs-url, or, for a trial, redis.%s." $role $key) -}}
{{- end -}}
{{- end -}}
{{- if and $values.clickhouse.existingSecret $values.clickhouse.url -}}
{{- fail "clickhouse.existingSecret and clickhouse.url are both set; remove clickhouse.url and put the URL under the Secret's key `url`." -}}
{{- end -}}
{{- if not (or $values.clickhouse.existingSecret $values.clickhouse.url) -}}
{{- fail "ClickHouse is unknown; set clickhouse.existingSecret to a Secret with the key `url`, or, for a trial, clickhouse.url." -}}
{{- end -}}
{{- if and $values.workspaces.existingSecret $values.workspaces.content -}}
{{- fail "workspaces.existingSecret and workspaces.content are both set; remove workspaces.content." -}}
{{- end -}}
{{- if not (or $values.workspaces.existingSecret $values.workspaces.content) -}}
{{- fail "No workspace is configured; set workspaces.existingSecret to a Secret with the key `workspaces.yaml`, or add --set-file workspaces.content=workspaces.yaml." -}}
{{- end -}}
{{- if and $values.internalToken.existingSecret $values.internalToken.value -}}
{{- fail "internalToken.existingSecret and internalToken.value are both set; remove internalToken.value." -}}
{{- end -}}
{{- if and $values.tls.existingSecret (eq (int $values.tls.healthPort) (int $values.port)) -}}
{{- fail "tls.healthPort is the port of gRPC too; set it to another." -}}
{{- end -}}
{{- range $name, $_ := $values.services -}}
{{- $service := include "tributary.service" (list $ $name) | fromYaml -}}
{{- $design := include "tributary.design" $name | fromYaml -}}
{{- with $service.autoscaling -}}
{{- if gt (int .minReplicas) (int .maxReplicas) -}}
{{- fail (printf "services.%s.autoscaling.minReplicas (%d) is above maxReplicas (%d); raise maxReplicas." $name (int .minReplicas) (int .maxReplicas)) -}}
{{- end -}}
{{- if and (eq .type "cpu") (not ((($service.resources).requests).cpu)) -}}
{{- fail (printf "services.%s is scaled by CPU but requests none; set services.%s.resources.requests.cpu, or autoscaling.type: none." $name $name) -}}
{{- end -}}
{{- if eq .type "backlog" -}}
{{- if not $design.backlog -}}
{{- fail (printf "services.%s works off no log; set services.%s.autoscaling.type to cpu or none." $name $name) -}}
{{- end -}}
{{- if and $values.keda.enabled (not (index $values.keda (printf "%sAddress" $design.backlog.redis))) -}}
{{- fail (printf "KEDA cannot see the backlog of %s; set keda.%sAddress to the host:port of the %s's Redis, or keda.enabled: false." $name $design.backlog.redis $design.backlog.redis) -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
{{- end -}}
