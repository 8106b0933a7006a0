//! The control plane: stream pools.

use super::control::{filter, paging};
use super::data::required;
use super::respond::Reply;
use super::wire_control::{ChangeCompartmentDetails, PoolBody, PoolDetails};
use super::{App, Call, wire};
use crate::api_error::ApiError;

impl App {
    pub(super) async fn create_pool(&self, call: &Call) -> Result<Reply, ApiError> {
        let mut details: PoolDetails = wire::parse(call.body.bytes())?;
        let compartment = details.compartment_id.take();
        let (Some(_), Some(compartment)) = (&details.name, compartment) else {
            return Err(ApiError::missing_parameter(
                "name and compartmentId are required",
            ));
        };
        let token = call.headers.retry_token.clone();
        let now = self.clock.wall();
        let created = self
            .service
            .create_pool(now, &compartment, details.into(), token);
        let (pool, work) = created.await?;
        let reply = Reply::json(200, &PoolBody::whole(&pool));
        Ok(reply.with_etag(&pool.etag).with_work_request(work))
    }

    pub(super) async fn get_pool(&self, id: &str) -> Result<Reply, ApiError> {
        let pool = self.service.get_pool(id).await?;
        Ok(Reply::json(200, &PoolBody::whole(&pool)).with_etag(&pool.etag))
    }

    pub(super) async fn update_pool(&self, id: &str, call: &Call) -> Result<Reply, ApiError> {
        let details: PoolDetails = wire::parse(call.body.bytes())?;
        let if_match = call.headers.if_match.as_deref();
        let now = self.clock.wall();
        let updated = self.service.update_pool(now, id, if_match, details.into());
        let (pool, work) = updated.await?;
        let reply = Reply::json(200, &PoolBody::whole(&pool));
        Ok(reply.with_etag(&pool.etag).with_work_request(work))
    }

    pub(super) async fn delete_pool(&self, id: &str, call: &Call) -> Result<Reply, ApiError> {
        let if_match = call.headers.if_match.as_deref();
        let now = self.clock.wall();
        let work = self.service.delete_pool(now, id, if_match).await?;
        Ok(Reply::empty(204).with_work_request(work))
    }

    pub(super) async fn change_pool_compartment(
        &self,
        id: &str,
        call: &Call,
    ) -> Result<Reply, ApiError> {
        let details: ChangeCompartmentDetails = wire::parse(call.body.bytes())?;
        let if_match = call.headers.if_match.as_deref();
        let (now, compartment) = (self.clock.wall(), details.compartment_id);
        let changed = self
            .service
            .change_pool_compartment(now, id, if_match, compartment);
        Ok(Reply::empty(204).with_work_request(changed.await?))
    }

    pub(super) async fn list_pools(&self, query: &str) -> Result<Reply, ApiError> {
        let compartment = required(query, "compartmentId")?;
        let (filter, paging) = (filter(query)?, paging(query)?);
        let page = self
            .service
            .list_pools(&compartment, &filter, &paging)
            .await?;
        let bodies: Vec<_> = page.items.iter().map(PoolBody::summary).collect();
        Ok(Reply::json(200, &bodies).with_next_page(page.next))
    }
}
