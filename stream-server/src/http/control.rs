//! The control plane: streams.

use super::data::parameter;
use super::respond::Reply;
use super::{App, wire};
use crate::refusal::Refusal;
use crate::service::{ListRequest, StreamRequest};

/// Streams of a page where the client says nothing, and at most (OCI contract).
const PAGE_COUNT_DEFAULT: usize = 10;
const PAGE_COUNT_MAX: usize = 50;

impl App {
    pub(super) async fn create_stream(&self, body: &[u8]) -> Result<Reply, Refusal> {
        let details: wire::CreateStreamDetails = wire::parse(body)?;
        one_of(
            details.compartment_id.as_ref(),
            details.stream_pool_id.as_ref(),
        )?;
        let request = StreamRequest {
            name: details.name,
            partitions: details.partitions,
            compartment_id: details.compartment_id,
            stream_pool_id: details.stream_pool_id,
            retention_hours: details.retention_in_hours,
        };
        let stream = self
            .service
            .create_stream(self.clock.wall(), request)
            .await?;
        Ok(Reply::json(
            200,
            &wire::StreamBody::whole(&stream, &self.external_url),
        ))
    }

    pub(super) async fn get_stream(&self, id: &str) -> Result<Reply, Refusal> {
        let stream = self.service.get_stream(id).await?;
        Ok(Reply::json(
            200,
            &wire::StreamBody::whole(&stream, &self.external_url),
        ))
    }

    pub(super) async fn list_streams(&self, query: &str) -> Result<Reply, Refusal> {
        let compartment_id = parameter(query, "compartmentId");
        let stream_pool_id = parameter(query, "streamPoolId");
        one_of(compartment_id.as_ref(), stream_pool_id.as_ref())?;
        let by_name = match parameter(query, "sortBy").as_deref() {
            None | Some("TIMECREATED") => false,
            Some("NAME") => true,
            Some(_) => {
                return Err(Refusal::invalid_parameter(
                    "sortBy must be NAME or TIMECREATED",
                ));
            }
        };
        let descending = match parameter(query, "sortOrder").as_deref() {
            None => !by_name,
            Some("ASC") => false,
            Some("DESC") => true,
            Some(_) => return Err(Refusal::invalid_parameter("sortOrder must be ASC or DESC")),
        };
        let limit = match parameter(query, "limit").map(|text| text.parse()) {
            None => PAGE_COUNT_DEFAULT,
            Some(Ok(count)) if (1..=PAGE_COUNT_MAX).contains(&count) => count,
            Some(Ok(_) | Err(_)) => {
                return Err(Refusal::invalid_parameter("limit must be between 1 and 50"));
            }
        };
        let request = ListRequest {
            compartment_id,
            stream_pool_id,
            id: parameter(query, "id"),
            name: parameter(query, "name"),
            by_name,
            descending,
            limit,
            page: parameter(query, "page"),
        };
        let mut page = self.service.list_streams(&request).await?;
        // All streams of this server are active, from the moment that they are created.
        if parameter(query, "lifecycleState").is_some_and(|state| state != "ACTIVE") {
            (page.streams, page.next_page) = (Vec::new(), None);
        }
        let summary = |stream| wire::StreamBody::summary(stream, &self.external_url);
        let bodies: Vec<_> = page.streams.iter().map(|stream| summary(stream)).collect();
        Ok(Reply::json(200, &bodies).with_next_page(page.next_page))
    }
}

/// OCI takes a compartment or a stream pool, never both, never none.
fn one_of(compartment: Option<&String>, pool: Option<&String>) -> Result<(), Refusal> {
    match (compartment, pool) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        (None, None) => Err(Refusal::missing_parameter(
            "compartmentId or streamPoolId is required",
        )),
        (Some(_), Some(_)) => Err(Refusal::invalid_parameter(
            "compartmentId and streamPoolId exclude one another, give one of them",
        )),
    }
}
