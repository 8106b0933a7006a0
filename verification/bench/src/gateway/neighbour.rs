//! Measures how long calls to a quick target take beside many calls to a target that is gone or
//! hangs.

use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use local_gateway::{LocalSet, ports};
use provision::cancel;

use super::deferral::arrival;
use super::latency::answer;
use super::load::request;
use super::target::{NOTED, Target};
use super::{Arguments, sets};
use crate::socket::Socket;

/// The bad target's cluster.
const NEIGHBOUR: &str = "neighbour";
/// Timed calls are sent at this pace, whether or not earlier ones have arrived.
const PACE: Duration = Duration::from_millis(20);
const CONNECTIONS: usize = 16;

/// For each timed call to the quick target, how long it took from its request to its arrival.
pub(super) struct Neighbourhood {
    pub(super) alone: Vec<Duration>,
    pub(super) beside_dead: Vec<Duration>,
    pub(super) beside_hanging: Vec<Duration>,
}

pub(super) fn measure(programs: &sets::Programs, arguments: &Arguments) -> Result<Neighbourhood> {
    // Connections are accepted, but nobody ever reads them.
    let hanging = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let hanging_port = hanging.local_addr()?.port();
    let dead_port = ports::free()?;
    let backlog = arguments.backlog;
    Ok(Neighbourhood {
        alone: beside(programs, arguments, dead_port, 0)?,
        beside_dead: beside(programs, arguments, dead_port, backlog)?,
        beside_hanging: beside(programs, arguments, hanging_port, backlog)?,
    })
}

/// Has a backlog of calls to the neighbour accepted, and then times calls to the quick target.
fn beside(
    programs: &sets::Programs,
    arguments: &Arguments,
    neighbour_port: u16,
    backlog: usize,
) -> Result<Vec<Duration>> {
    let target = Target::start()?;
    let set = sets::with_second_target(programs, target.port, NEIGHBOUR, neighbour_port)?;
    // The first call finds connections closed and code that has never run.
    let mut socket = connect(&set)?;
    call(&mut socket, &format!("{NOTED}first"), arguments.body)?;
    arrival(&target, &format!("{NOTED}first"))?;
    fill(&set, arguments.body, backlog)?;
    let mut sent = Vec::new();
    for number in 0..arguments.calls {
        cancel::check()?;
        let path = format!("{NOTED}{number}");
        sent.push((call(&mut socket, &path, arguments.body)?, path));
        thread::sleep(PACE);
    }
    let latency = |(sent, path): (Instant, String)| Ok(arrival(&target, &path)? - sent);
    sent.into_iter().map(latency).collect()
}

fn connect(set: &LocalSet) -> Result<Socket> {
    let stream = TcpStream::connect((Ipv4Addr::LOCALHOST, set.ports().gateway))?;
    Socket::new(stream)
}

/// Has one call accepted, and returns when it was sent.
fn call(socket: &mut Socket, path: &str, body: usize) -> Result<Instant> {
    let sent = Instant::now();
    socket.send(&request(path, body, true));
    answer(socket)?;
    Ok(sent)
}

/// Has so many calls to the neighbour accepted, on several connections.
fn fill(set: &LocalSet, body: usize, backlog: usize) -> Result<()> {
    let path = format!("/{NEIGHBOUR}");
    let send = |count: usize| {
        let mut socket = connect(set)?;
        (0..count).try_for_each(|_| {
            cancel::check()?;
            call(&mut socket, &path, body).map(|_| ())
        })
    };
    let (each, rest) = (backlog / CONNECTIONS, backlog % CONNECTIONS);
    thread::scope(|scope| {
        let clients = (0..CONNECTIONS).map(|number| {
            let count = each + usize::from(number < rest);
            scope.spawn(move || send(count))
        });
        let clients: Vec<_> = clients.collect();
        clients.into_iter().try_for_each(|client| {
            let ended = client.join();
            ended.unwrap_or_else(|_| Err(anyhow!("a client of the neighbour has failed")))
        })
    })
}
