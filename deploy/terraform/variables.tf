variable "tenancy_id" {
  description = "OCID of the tenancy. Dynamic groups live in it."
  type        = string

  validation {
    condition     = startswith(var.tenancy_id, "ocid1.tenancy.")
    error_message = "Give the OCID of the tenancy: ocid1.tenancy.…"
  }
}

variable "compartment_id" {
  description = "OCID of the compartment in which streams and policies are made."
  type        = string
}

variable "name" {
  description = "What the names of streams, groups and policies begin with."
  type        = string
  default     = "sluice"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,30}$", var.name))
    error_message = "Use up to 31 lower-case letters, digits and hyphens; begin with a letter."
  }
}

variable "partitions" {
  description = "Partitions of the stream of calls: each takes 1 MB/s. They can't be changed later."
  type        = number
  default     = 1

  validation {
    condition     = var.partitions >= 1 && floor(var.partitions) == var.partitions
    error_message = "Give a whole number from 1 on."
  }
}

variable "lanes" {
  description = "Lanes: the delay in milliseconds by a name. Each lane is a stream, which costs money."
  type        = map(number)
  default = {
    "5s" = 5000
    "5m" = 300000
    "1h" = 3600000
  }
}

variable "retention_hours" {
  description = "How long records are kept, from 24 to 168 hours. It can't be changed later."
  type        = number
  default     = 168

  validation {
    condition     = var.retention_hours >= 24 && var.retention_hours <= 168
    error_message = "Give 24 to 168 hours."
  }
}

variable "principal" {
  description = "As what the gateway signs: instance, resource, workload, or none for a user's key."
  type        = string
  default     = "instance"

  validation {
    condition     = contains(["instance", "resource", "workload", "none"], var.principal)
    error_message = "Give instance, resource, workload or none."
  }
}

variable "matching_rule" {
  description = "Which instances or resources are the gateway, where principal is instance or resource. None: all instances of the compartment, or all container instances of it. Name your own where others run there too: every match may publish and read calls."
  type        = string
  default     = null
}

variable "workload" {
  description = "Which pods are the gateway, where principal is workload."
  type = object({
    cluster_id      = string
    namespace       = string
    service_account = string
  })
  default = null
}
