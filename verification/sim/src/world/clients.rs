//! Clients: they send requests, wait, leave, and are answered.

use sluice::accept::Input;
use sluice::http::{OutgoingResponse, first};
use sluice::id::RequestId;
use sluice::time::Wall;

use super::{Event, World};
use crate::call::Request;
use crate::fault_counts::FaultKind;
use crate::invariants::keys::Asked;
use crate::invariants::{Violation, g1_stored};
use crate::ledger::Engine;

/// A client with its one request.
pub(super) struct Client {
    request: Request,
    /// When it came, by its gateway's clock.
    at: Wall,
    /// The accept worker that has its request.
    pub(super) worker: Option<Engine>,
    has_left: bool,
    answer: Option<u16>,
}

impl Client {
    pub(super) fn is_waiting(&self) -> bool {
        self.worker.is_some() && !self.has_left && self.answer.is_none()
    }
}

/// Returns the number by which a gateway knows the request of a client.
fn request_id(client: usize) -> RequestId {
    RequestId(u32::try_from(client).unwrap_or(u32::MAX))
}

impl World {
    pub(super) fn set_up_clients(&mut self) {
        for (at, request) in std::mem::take(&mut self.plan.requests) {
            let client = self.clients.len();
            self.clients.push(Client {
                request,
                at: Wall(0),
                worker: None,
                has_left: false,
                answer: None,
            });
            self.at(at, Event::Request(client));
        }
    }

    pub(super) fn request(&mut self, client: usize) -> Result<(), Violation> {
        let Some(Client { request, .. }) = self.clients.get(client) else {
            return Ok(());
        };
        let request = request.clone();
        if let Some(record) = request.record {
            return self.publish_past_the_gateway(&record, request.record_key.as_deref());
        }
        let running = self.workers.iter().enumerate().filter(|(_, worker)| {
            let gateway = self.gateways.get(worker.gateway);
            let is_up = gateway.is_some_and(|g| g.is_up && g.stopped_until <= self.now);
            !worker.is_drain && is_up
        });
        let running: Vec<Engine> = running
            .map(|(number, worker)| Engine {
                worker: number,
                life: worker.life,
            })
            .collect();
        let Some(by) = self.rng.one_of(&running) else {
            return Ok(());
        };
        let gateway = self.process(by.worker).0;
        let at = self.clock(gateway).wall;
        if let Some(client) = self.clients.get_mut(client) {
            client.worker = Some(by);
            client.at = at;
        }
        if first(&request.fields, "async-attempt").is_some() {
            self.count_fault(FaultKind::HeadersForged);
        }
        let text = |name: &str| {
            let field = request.fields.iter().find(|(field, _)| field == name);
            field.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
        };
        let what = format!(
            "client {client} asks for {}",
            text(":path").unwrap_or_default()
        );
        self.note(self.name(by.worker), what);
        if let Some(patience) = request.patience {
            self.after(patience, Event::Leave(client));
        }
        let end_of_stream = request.body.is_empty();
        let input = Input::RequestHead {
            request: request_id(client),
            head: request.head(),
            end_of_stream,
        };
        if !end_of_stream {
            let after = self.rng.below(300);
            self.after(after, Event::Body(client));
        }
        self.accept_input(by, input)
    }

    pub(super) fn body(&mut self, client: usize) -> Result<(), Violation> {
        let Some(waiting) = self.clients.get(client).filter(|c| c.is_waiting()) else {
            return Ok(());
        };
        let (Some(by), buffered_bytes) = (waiting.worker, waiting.request.body.len()) else {
            return Ok(());
        };
        let input = Input::RequestBody {
            request: request_id(client),
            buffered_bytes,
            end_of_stream: true,
        };
        self.accept_input(by, input)
    }

    pub(super) fn leave(&mut self, client: usize) -> Result<(), Violation> {
        let Some(waiting) = self.clients.get_mut(client).filter(|c| c.is_waiting()) else {
            return Ok(());
        };
        waiting.has_left = true;
        self.fault_counts.add(FaultKind::ClientLeft);
        let Some(by) = waiting.worker else {
            return Ok(());
        };
        self.note(self.name(by.worker), format!("client {client} leaves"));
        self.accept_input(by, Input::RequestGone(request_id(client)))
    }

    /// Returns the body of a request, if the host still has it.
    pub(super) fn body_of(&self, request: RequestId) -> Option<Vec<u8>> {
        let client = self.clients.get(usize::try_from(request.0).ok()?)?;
        client.is_waiting().then(|| client.request.body.clone())
    }

    /// Handles an engine's answer to a request.
    pub(super) fn respond(
        &mut self,
        by: Engine,
        request: RequestId,
        response: &OutgoingResponse,
    ) -> Result<(), Violation> {
        let number = usize::try_from(request.0).unwrap_or_default();
        let said = String::from_utf8_lossy(&response.body).into_owned();
        self.note(
            self.name(by.worker),
            format!("client {number} gets {} {said}", response.status),
        );
        let Some(client) = self.clients.get_mut(number) else {
            return Err(Violation::new("G10", "", "an answer to no request"));
        };
        if client.worker != Some(by) || client.has_left {
            return Err(Violation::new(
                "G10",
                "",
                format!("client {number} is not there"),
            ));
        }
        if client.answer.replace(response.status).is_some() {
            return Err(Violation::new(
                "G10",
                "",
                format!("client {number} is answered twice"),
            ));
        }
        let (request, at) = (client.request.clone(), client.at);
        let is_keyed = request.key.is_some();
        let id = g1_stored::answered(&mut self.ledger, number, response, is_keyed)?;
        let asked = self.asked(by, at);
        match id.filter(|_| is_keyed) {
            Some(id) => {
                let ledger = &self.ledger;
                if self.keys.accepted(ledger, &request, &id, &asked)? {
                    self.count_fault(FaultKind::KeyAgain);
                }
            }
            None if response.status == 422 => {
                self.keys.refused(&self.ledger, &request, asked.process)?;
            }
            None => {}
        }
        Ok(())
    }

    fn asked(&self, by: Engine, at: Wall) -> Asked {
        let process = self.process(by.worker);
        let latest = self.gateways.get(process.0).map(|found| found.latest_wall);
        let publish = self.accept.publish.timeout.as_millis();
        Asked {
            by,
            process,
            at,
            now: Wall(latest.unwrap_or_default()),
            publish_ms: u64::try_from(publish).unwrap_or(u64::MAX),
        }
    }

    /// Notes that the clients of an engine that is gone get no answer.
    pub(super) fn cut_off(&mut self, by: Engine) {
        let cut = self
            .clients
            .iter_mut()
            .filter(|client| client.worker == Some(by));
        cut.for_each(|client| client.has_left |= client.answer.is_none());
    }
}
