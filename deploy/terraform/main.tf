# Streams for calls, lanes and dead letters, and the rights of a gateway on them. Nothing else of
# the compartment is touched.

locals {
  # A lane or a call may hold a record as long as it waits; Oracle deletes what is older.
  streams = merge(
    {
      "calls" = var.partitions
      "dead"  = 1
    },
    { for name, delay in var.lanes : "calls-${name}" => var.partitions }
  )

  has_group = contains(["instance", "resource"], var.principal)

  default_rules = {
    instance = "ALL {instance.compartment.id = '${var.compartment_id}'}"
    resource = "ALL {resource.type = 'computecontainerinstance', resource.compartment.id = '${var.compartment_id}'}"
  }

  # Who has the rights, as policies say it.
  subject = local.has_group ? "dynamic-group ${one(oci_identity_dynamic_group.gateway[*].name)}" : "any-user"

  workload_condition = var.workload == null ? "" : join(", ", [
    "request.principal.type = 'workload'",
    "request.principal.cluster_id = '${var.workload.cluster_id}'",
    "request.principal.namespace = '${var.workload.namespace}'",
    "request.principal.service_account = '${var.workload.service_account}'",
  ])
}

resource "oci_streaming_stream_pool" "calls" {
  compartment_id = var.compartment_id
  name           = var.name
}

resource "oci_streaming_stream" "all" {
  for_each = local.streams

  name               = "${var.name}-${each.key}"
  partitions         = each.value
  retention_in_hours = var.retention_hours
  stream_pool_id     = oci_streaming_stream_pool.calls.id

  lifecycle {
    # Records would be gone with it.
    prevent_destroy = true
  }
}

resource "oci_identity_dynamic_group" "gateway" {
  count = local.has_group ? 1 : 0

  compartment_id = var.tenancy_id
  name           = "${var.name}-gateway"
  description    = "Gateways that make asynchronous calls"
  matching_rule  = coalesce(var.matching_rule, local.default_rules[var.principal])
}

resource "oci_identity_policy" "gateway" {
  count = var.principal == "none" ? 0 : 1

  compartment_id = var.compartment_id
  name           = "${var.name}-gateway"
  description    = "What a gateway needs of the streams of its calls"

  # stream-push publishes; stream-pull reads, commits, and moves a group out of what is deleted.
  # The streams' ids keep the other streams of the compartment out of reach.
  statements = [
    for right in ["stream-push", "stream-pull"] : join(" ", [
      "Allow ${local.subject} to use ${right} in compartment id ${var.compartment_id}",
      "where all {${join(", ", compact([
        "any {${join(", ", [for stream in oci_streaming_stream.all : "target.stream.id = '${stream.id}'"])}}",
        local.workload_condition,
      ]))}}",
    ])
  ]

  lifecycle {
    precondition {
      condition     = var.principal != "workload" || var.workload != null
      error_message = "With principal = \"workload\" say in the variable workload which pods are the gateway: without, any user would have the rights."
    }
  }
}
