//! Who may use an operation, and what the rules of `/faults` do to it.

use std::sync::Arc;
use std::time::Duration;

use hyper::body::Incoming;
use hyper::{Method, Request};

use super::respond::Reply;
use super::route::Route;
use super::{App, Call, body};
use crate::api_error::ApiError;
use crate::auth::{BodyHash, Coverage, Head};
use crate::faults::{Effect, Moment, Rule};

impl App {
    /// Reads the body of a request that is signed well enough for this operation.
    pub(super) async fn authenticated_body(
        &self,
        route: &Route,
        request: Request<Incoming>,
    ) -> Result<body::Body, ApiError> {
        let hash = match self.verify_head(route, &request) {
            Ok(hash) => hash,
            Err(api_error) => {
                body::discard_expected(request).await;
                return Err(api_error);
            }
        };
        let body = body::read(request, &self.bodies_room).await?;
        hash.verify(body.bytes())?;
        Ok(body)
    }

    fn verify_head(
        &self,
        route: &Route,
        request: &Request<Incoming>,
    ) -> Result<BodyHash, ApiError> {
        let Some(verifier) = self.verifier.as_ref().filter(|_| *route != Route::Health) else {
            return Ok(BodyHash::any());
        };
        let method = request.method();
        let signs_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
        let coverage = if matches!(route, Route::PutMessages { .. }) {
            Coverage::HeadReused
        } else if signs_body {
            Coverage::Body
        } else {
            Coverage::Head
        };
        let target = request.uri().path_and_query();
        let head = Head {
            method: method.as_str(),
            target: target.map_or("/", |target| target.as_str()),
            headers: request.headers(),
        };
        let signed = verifier.verify_head(head, coverage, self.clock.wall())?;
        match route.right().filter(|right| !signed.rights.has(*right)) {
            Some(right) => Err(ApiError::not_authorized(right)),
            None => Ok(signed.body),
        }
    }

    /// Performs the operation, with the faults that the rules demand.
    pub(super) async fn perform_with_faults(
        self: Arc<Self>,
        call: Call,
    ) -> Result<Reply, ApiError> {
        let route = &call.route;
        let rule = self
            .faults
            .as_ref()
            .and_then(|faults| faults.strike(route.operation(), route.stream()));
        match rule {
            None => self.perform(&call).await,
            // Boxed, because it is large, and only tests need it.
            Some(rule) => Box::pin(self.perform_faultily(&call, rule)).await,
        }
    }

    /// Does what this rule says, with or without the operation.
    async fn perform_faultily(&self, call: &Call, rule: Rule) -> Result<Reply, ApiError> {
        let route = &call.route;
        tokio::time::sleep(Duration::from_millis(rule.delay_ms)).await;
        let Some(effect) = rule.effect else {
            return self.perform(call).await;
        };
        match &effect {
            Effect::Answer {
                when: Moment::Before,
                ..
            }
            | Effect::Throttle { .. } => {
                return Err(effect.error());
            }
            Effect::OutsideRetention => return Err(ApiError::cursor_outside_retention()),
            Effect::Drop {
                when: Moment::Before,
            } => return Ok(Reply::dropped()),
            Effect::FailEntries {
                every,
                error,
                error_message,
            } => {
                if let Route::PutMessages { stream, partition } = route {
                    let failing = (*every, error.as_str(), error_message.as_str());
                    return self
                        .put_some_messages((stream, *partition), call.body.bytes(), failing)
                        .await;
                }
            }
            Effect::ExpireCursors => self.expire_cursors(route).await?,
            Effect::ForgetMembers => self.forget_members(route).await?,
            Effect::Answer { .. } | Effect::Drop { .. } => {}
            Effect::Truncate { .. } | Effect::Garbage { .. } => {}
        }
        let done = self.perform(call).await;
        match effect {
            Effect::Answer {
                when: Moment::After,
                ..
            } => Err(effect.error()),
            Effect::Drop {
                when: Moment::After,
            } => Ok(Reply::dropped()),
            Effect::Truncate { bytes } => Ok(Reply::from(done).truncated(bytes)),
            Effect::Garbage { status, body } => Ok(Reply::garbage(status, body)),
            Effect::Answer { .. }
            | Effect::Drop { .. }
            | Effect::Throttle { .. }
            | Effect::FailEntries { .. }
            | Effect::ExpireCursors
            | Effect::OutsideRetention
            | Effect::ForgetMembers => done,
        }
    }

    async fn expire_cursors(&self, route: &Route) -> Result<(), ApiError> {
        let Some(stream) = route.stream() else {
            return Ok(());
        };
        let now = self.clock.steady();
        self.service.expire_cursors(stream, now).await?;
        // Cursors count milliseconds. A cursor that is issued after this is later than those.
        while self.clock.steady() <= now {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        Ok(())
    }

    async fn forget_members(&self, route: &Route) -> Result<(), ApiError> {
        let Some(stream) = route.stream() else {
            return Ok(());
        };
        self.service
            .forget_members(stream, self.clock.steady())
            .await
    }
}
