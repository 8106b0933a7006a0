output "stream" {
  description = "The section stream of both roles, but for the names of clusters."
  value = {
    authority = trimprefix(oci_streaming_stream.all["calls"].messages_endpoint, "https://")
    streamId  = oci_streaming_stream.all["calls"].id
    signing   = var.principal == "none" ? null : { principal = var.principal }
  }
}

output "lanes" {
  description = "The list lanes of both roles, the shortest first."
  value = [
    for delay in sort([for delay in values(var.lanes) : format("%012d", delay)]) : {
      delayMs = tonumber(delay)
      streamId = one([
        for name, of in var.lanes : oci_streaming_stream.all["calls-${name}"].id
        if of == tonumber(delay)
      ])
    }
  ]
}

output "dead_letters" {
  description = "The section deadLetters of the drain."
  value       = { streamId = oci_streaming_stream.all["dead"].id }
}
