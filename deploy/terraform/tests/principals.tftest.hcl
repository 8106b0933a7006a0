# What is planned for each kind of principal: `terraform test`. No account is needed.

mock_provider "oci" {
  override_during = plan

  mock_resource "oci_streaming_stream" {
    defaults = {
      id                = "ocid1.stream.oc1..mock"
      messages_endpoint = "https://cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com"
    }
  }
}

variables {
  tenancy_id     = "ocid1.tenancy.oc1..ours"
  compartment_id = "ocid1.compartment.oc1..async"
}

run "instance" {
  command = plan

  assert {
    condition     = oci_identity_dynamic_group.gateway[0].matching_rule == "ALL {instance.compartment.id = 'ocid1.compartment.oc1..async'}"
    error_message = "The group has other instances than those of the compartment."
  }

  assert {
    condition = alltrue([
      for statement in oci_identity_policy.gateway[0].statements :
      startswith(statement, "Allow dynamic-group sluice-gateway to use stream-") &&
      endswith(statement, "in compartment id ocid1.compartment.oc1..async where all {any {target.stream.id = 'ocid1.stream.oc1..mock', target.stream.id = 'ocid1.stream.oc1..mock', target.stream.id = 'ocid1.stream.oc1..mock', target.stream.id = 'ocid1.stream.oc1..mock', target.stream.id = 'ocid1.stream.oc1..mock'}}")
    ])
    error_message = "The rights reach beyond these streams."
  }

  assert {
    condition = output.stream == {
      authority = "cell-1.streaming.eu-frankfurt-1.oci.oraclecloud.com"
      signing   = { principal = "instance" }
      streamId  = "ocid1.stream.oc1..mock"
    }
    error_message = "The output is no section of the filter's configuration."
  }

  assert {
    condition     = [for lane in output.lanes : lane.delayMs] == [5000, 300000, 3600000]
    error_message = "The lanes aren't in their order."
  }
}

run "resource" {
  command = plan
  variables { principal = "resource" }

  assert {
    condition     = startswith(oci_identity_dynamic_group.gateway[0].matching_rule, "ALL {resource.type = 'computecontainerinstance', ")
    error_message = "The group has something else than container instances."
  }
}

run "workload" {
  command = plan
  variables {
    principal = "workload"
    workload = {
      cluster_id      = "ocid1.cluster.oc1..ours"
      namespace       = "async"
      service_account = "gateway"
    }
  }

  assert {
    condition     = length(oci_identity_dynamic_group.gateway) == 0
    error_message = "A workload needs no group."
  }

  assert {
    condition = alltrue([
      for statement in oci_identity_policy.gateway[0].statements :
      startswith(statement, "Allow any-user to use stream-") &&
      endswith(statement, ", request.principal.type = 'workload', request.principal.cluster_id = 'ocid1.cluster.oc1..ours', request.principal.namespace = 'async', request.principal.service_account = 'gateway'}")
    ])
    error_message = "Others than the workload have the rights."
  }
}

run "workload_that_nobody_names" {
  command = plan
  variables { principal = "workload" }
  expect_failures = [oci_identity_policy.gateway]
}

run "key_of_a_user" {
  command = plan
  variables { principal = "none" }

  assert {
    condition     = length(oci_identity_policy.gateway) == 0 && output.stream.signing == null
    error_message = "A user's group has the rights already."
  }
}
