//! The control plane: streams and work requests.

use super::data::parameter;
use super::respond::Reply;
use super::route::Control;
use super::wire_control::{
    ChangeCompartmentDetails, CreateStreamDetails, StreamBody, UpdateStreamDetails,
    WorkRequestBody, WorkRequestCollection, WorkRequestLog,
};
use super::{App, Call, wire};
use crate::api_error::ApiError;
use crate::service::{Filter, ListRequest, Paging, WorkFilter};

/// Items of a page if the client doesn't say, and at most (OCI contract).
const PAGE_COUNT_DEFAULT: usize = 10;
const PAGE_COUNT_MAX: usize = 50;
/// What a lifecycle state may be (OCI contract).
const LIFECYCLE_STATES: [&str; 6] = [
    "CREATING", "ACTIVE", "DELETING", "DELETED", "FAILED", "UPDATING",
];

impl App {
    pub(super) async fn perform_control(
        &self,
        control: &Control,
        call: &Call,
    ) -> Result<Reply, ApiError> {
        self.service
            .admit_control(self.clock.steady(), control.operation())?;
        match control {
            Control::CreateStream => self.create_stream(call).await,
            Control::ListStreams => self.list_streams(&call.query).await,
            Control::GetStream(id) => self.get_stream(id).await,
            Control::UpdateStream(id) => self.update_stream(id, call).await,
            Control::DeleteStream(id) => self.delete_stream(id, call).await,
            Control::ChangeStreamCompartment(id) => self.change_stream_compartment(id, call).await,
            Control::CreatePool => self.create_pool(call).await,
            Control::ListPools => self.list_pools(&call.query).await,
            Control::GetPool(id) => self.get_pool(id).await,
            Control::UpdatePool(id) => self.update_pool(id, call).await,
            Control::DeletePool(id) => self.delete_pool(id, call).await,
            Control::ChangePoolCompartment(id) => self.change_pool_compartment(id, call).await,
            Control::GetWorkRequest(id) => {
                let work = self.service.work_request(id).await?;
                Ok(Reply::json(200, &WorkRequestBody::from(&work)))
            }
            Control::WorkRequestErrors(id) => {
                self.service.work_request(id).await?;
                // Every work request has succeeded.
                Ok(Reply::json(200, &WorkRequestCollection::<()>::of([])))
            }
            Control::WorkRequestLogs(id) => {
                let work = self.service.work_request(id).await?;
                let logs = WorkRequestCollection::of([WorkRequestLog::from(&work)]);
                Ok(Reply::json(200, &logs))
            }
            Control::ListWorkRequests => self.list_work_requests(&call.query).await,
        }
    }

    async fn create_stream(&self, call: &Call) -> Result<Reply, ApiError> {
        let details: CreateStreamDetails = wire::parse(call.body.bytes())?;
        one_of(
            details.compartment_id.as_ref(),
            details.stream_pool_id.as_ref(),
        )?;
        let request = details.request(call.headers.retry_token.clone());
        let (view, work) = self
            .service
            .create_stream(self.clock.wall(), request)
            .await?;
        let reply = Reply::json(200, &StreamBody::whole(&view, &self.external_url));
        Ok(reply.with_etag(&view.settings.etag).with_work_request(work))
    }

    async fn get_stream(&self, id: &str) -> Result<Reply, ApiError> {
        let view = self.service.get_stream(id).await?;
        let reply = Reply::json(200, &StreamBody::whole(&view, &self.external_url));
        Ok(reply.with_etag(&view.settings.etag))
    }

    async fn update_stream(&self, id: &str, call: &Call) -> Result<Reply, ApiError> {
        let details: UpdateStreamDetails = wire::parse(call.body.bytes())?;
        let if_match = call.headers.if_match.as_deref();
        let now = self.clock.wall();
        let updated = self
            .service
            .update_stream(now, id, if_match, details.into());
        let (view, work) = updated.await?;
        let reply = Reply::json(200, &StreamBody::whole(&view, &self.external_url));
        Ok(reply.with_etag(&view.settings.etag).with_work_request(work))
    }

    async fn delete_stream(&self, id: &str, call: &Call) -> Result<Reply, ApiError> {
        let if_match = call.headers.if_match.as_deref();
        let now = self.clock.wall();
        let work = self.service.delete_stream(now, id, if_match).await?;
        Ok(Reply::empty(204).with_work_request(work))
    }

    async fn change_stream_compartment(&self, id: &str, call: &Call) -> Result<Reply, ApiError> {
        let details: ChangeCompartmentDetails = wire::parse(call.body.bytes())?;
        let if_match = call.headers.if_match.as_deref();
        let (now, compartment) = (self.clock.wall(), details.compartment_id);
        let changed = self
            .service
            .change_stream_compartment(now, id, if_match, compartment);
        Ok(Reply::empty(204).with_work_request(changed.await?))
    }

    async fn list_streams(&self, query: &str) -> Result<Reply, ApiError> {
        let compartment_id = parameter(query, "compartmentId");
        let stream_pool_id = parameter(query, "streamPoolId");
        one_of(compartment_id.as_ref(), stream_pool_id.as_ref())?;
        let request = ListRequest {
            compartment_id,
            stream_pool_id,
            filter: filter(query)?,
            paging: paging(query)?,
        };
        let page = self.service.list_streams(&request).await?;
        let summary = |view| StreamBody::summary(view, &self.external_url);
        let bodies: Vec<_> = page.items.iter().map(summary).collect();
        Ok(Reply::json(200, &bodies).with_next_page(page.next))
    }

    async fn list_work_requests(&self, query: &str) -> Result<Reply, ApiError> {
        let filter = WorkFilter {
            compartment_id: parameter(query, "compartmentId"),
            id: parameter(query, "workRequestId"),
            resource: parameter(query, "resourceId"),
        };
        match parameter(query, "sortBy").as_deref() {
            None | Some("TIMEACCEPTED") => {}
            Some(_) => return Err(ApiError::invalid_parameter("sortBy must be TIMEACCEPTED")),
        }
        let paging = paging_by(query, false)?;
        let page = self.service.work_requests(&filter, &paging).await?;
        let summaries = page.items.iter().map(WorkRequestBody::from);
        Ok(Reply::json(200, &WorkRequestCollection::of(summaries)).with_next_page(page.next))
    }
}

/// Returns the filter of a list.
pub(super) fn filter(query: &str) -> Result<Filter, ApiError> {
    let lifecycle_state = parameter(query, "lifecycleState");
    let known = |state: &String| LIFECYCLE_STATES.contains(&state.as_str());
    if !lifecycle_state.as_ref().is_none_or(known) {
        return Err(ApiError::invalid_parameter(format!(
            "lifecycleState must be one of {}",
            LIFECYCLE_STATES.join(", ")
        )));
    }
    Ok(Filter {
        id: parameter(query, "id"),
        name: parameter(query, "name"),
        lifecycle_state,
    })
}

/// Returns how a list is sorted and cut.
pub(super) fn paging(query: &str) -> Result<Paging, ApiError> {
    let by_name = match parameter(query, "sortBy").as_deref() {
        None | Some("TIMECREATED") => false,
        Some("NAME") => true,
        Some(_) => {
            return Err(ApiError::invalid_parameter(
                "sortBy must be NAME or TIMECREATED",
            ));
        }
    };
    paging_by(query, by_name)
}

fn paging_by(query: &str, by_name: bool) -> Result<Paging, ApiError> {
    // OCI's own defaults: names ascending, times descending.
    let descending = match parameter(query, "sortOrder").as_deref() {
        None => !by_name,
        Some("ASC") => false,
        Some("DESC") => true,
        Some(_) => return Err(ApiError::invalid_parameter("sortOrder must be ASC or DESC")),
    };
    let limit = match parameter(query, "limit").map(|text| text.parse()) {
        None => PAGE_COUNT_DEFAULT,
        Some(Ok(count)) if (1..=PAGE_COUNT_MAX).contains(&count) => count,
        Some(Ok(_) | Err(_)) => {
            return Err(ApiError::invalid_parameter(
                "limit must be between 1 and 50",
            ));
        }
    };
    Ok(Paging {
        by_name,
        descending,
        limit,
        page: parameter(query, "page"),
    })
}

/// Checks that there is a compartment or a stream pool. OCI wants exactly one of them.
fn one_of(compartment: Option<&String>, pool: Option<&String>) -> Result<(), ApiError> {
    match (compartment, pool) {
        (Some(_), None) | (None, Some(_)) => Ok(()),
        (None, None) => Err(ApiError::missing_parameter(
            "compartmentId or streamPoolId is required",
        )),
        (Some(_), Some(_)) => Err(ApiError::invalid_parameter(
            "compartmentId and streamPoolId exclude one another, give one of them",
        )),
    }
}
