//! Work requests: what was done to a resource, for clients that wait for it. All work is done
//! before it is answered, so all work requests have succeeded.

use super::Service;
use super::catalog::{Catalog, Kind};
use super::page::{Filter, Listed, Page, Paging, page};
use super::resources::WorkRequest;
use crate::api_error::ApiError;
use crate::limits::WORK_REQUESTS_MAX;
use crate::time::TimeMs;

/// Which work requests a list shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkFilter {
    /// Only those of resources that were in this compartment then.
    pub compartment_id: Option<String>,
    /// Only the one with this id.
    pub id: Option<String>,
    /// Only those that did something to this resource.
    pub resource: Option<String>,
}

impl Listed for WorkRequest {
    fn id(&self) -> &str {
        &self.id
    }

    fn name(&self) -> &str {
        &self.operation
    }

    fn created(&self) -> TimeMs {
        TimeMs(self.time_ms)
    }
}

/// Work that was done, and its resource.
pub(super) struct Work<'a> {
    pub(super) operation: &'static str,
    pub(super) action: &'static str,
    pub(super) entity: &'static str,
    pub(super) resource: &'a str,
    pub(super) compartment_id: Option<&'a str>,
}

impl Service {
    /// Keeps a work request and returns its id. The oldest one makes room.
    pub(super) async fn record_work(
        &self,
        catalog: &mut Catalog,
        now: TimeMs,
        work: Work<'_>,
    ) -> Result<String, ApiError> {
        let done = WorkRequest {
            id: format!("ocid1.workrequest.oc1.local.{}", self.unique()),
            operation: work.operation.to_owned(),
            action: work.action.to_owned(),
            entity: work.entity.to_owned(),
            resource: work.resource.to_owned(),
            compartment_id: work.compartment_id.map(str::to_owned),
            time_ms: now.0,
        };
        let id = done.id.clone();
        self.keep(Kind::WorkRequest, &id, &done).await?;
        catalog.work_requests.insert(id.clone(), done);
        while catalog.work_requests.len() > WORK_REQUESTS_MAX {
            let all = catalog.work_requests.values();
            let Some(oldest) = all.min_by_key(|work| work.time_ms).map(|w| w.id.clone()) else {
                break;
            };
            self.forget(Kind::WorkRequest, &oldest).await?;
            catalog.work_requests.remove(&oldest);
        }
        Ok(id)
    }

    /// Returns a work request (OCI GetWorkRequest).
    ///
    /// # Errors
    /// 404.
    pub async fn work_request(&self, id: &str) -> Result<WorkRequest, ApiError> {
        let catalog = self.catalog.lock().await;
        let found = catalog.work_requests.get(id).cloned();
        found.ok_or_else(|| ApiError::unknown_resource("work request", id))
    }

    /// Lists work requests by the time at which they were accepted (OCI ListWorkRequests).
    ///
    /// # Errors
    /// 400 for an unknown page.
    pub async fn work_requests(
        &self,
        filter: &WorkFilter,
        paging: &Paging,
    ) -> Result<Page<WorkRequest>, ApiError> {
        let catalog = self.catalog.lock().await;
        let all = catalog.work_requests.values();
        let of_compartment = |work: &&WorkRequest| {
            filter.compartment_id.is_none() || work.compartment_id == filter.compartment_id
        };
        let of_resource = |work: &&WorkRequest| {
            let asked = filter.resource.as_ref();
            asked.is_none_or(|asked| *asked == work.resource)
        };
        let shown = all.filter(of_compartment).filter(of_resource).cloned();
        let by_id = Filter {
            id: filter.id.clone(),
            ..Filter::default()
        };
        page(shown.collect(), &by_id, paging)
    }
}
