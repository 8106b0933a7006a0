//! Who is connected, and which connection makes room if there is none.
//!
//! A full server closes the connection that has waited longest for its client: between two
//! requests, or for the rest of one. It chooses from the peer with the most connections, so that no
//! peer gets more than an equal share while others want to connect. A connection with a request in
//! work stays.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use prometheus_client::metrics::counter::Counter;
use rustix::io::Errno;
use tokio::sync::{Notify, OwnedSemaphorePermit, Semaphore};

/// The time of a connection with a request in work: later than any other time.
const BUSY: u64 = u64::MAX;
/// After this pause a full server looks again for a connection that can be closed.
const FULL_PAUSE: Duration = Duration::from_millis(50);

/// All connections of a server.
#[derive(Debug)]
pub(crate) struct Connections {
    began: Instant,
    room: Arc<Semaphore>,
    open: Mutex<Open>,
    displaced: Counter,
}

#[derive(Debug, Default)]
struct Open {
    next: u64,
    seats: BTreeMap<u64, Arc<Seat>>,
}

/// The state of one connection.
#[derive(Debug)]
pub(crate) struct Seat {
    peer: IpAddr,
    began: Instant,
    /// Since when the server has been waiting for the client, in microseconds from the start; or
    /// [`BUSY`].
    waiting_since: AtomicU64,
    /// How many requests have begun plus how many were answered: odd between the two.
    turns: AtomicU64,
    leaving: AtomicBool,
    leave: Notify,
}

/// The right to be connected. Dropping it makes room.
#[derive(Debug)]
pub(crate) struct Place {
    connections: Arc<Connections>,
    number: u64,
    seat: Arc<Seat>,
    _room: OwnedSemaphorePermit,
}

impl Connections {
    /// Returns a table of at most so many connections. `displaced` counts the closed ones.
    pub(crate) fn new(count_max: usize, displaced: Counter) -> Arc<Self> {
        Arc::new(Self {
            began: Instant::now(),
            room: Arc::new(Semaphore::new(count_max)),
            open: Mutex::default(),
            displaced,
        })
    }

    /// Waits for a place. A connection that only waits may be closed for it.
    pub(crate) async fn admit(self: &Arc<Self>, peer: IpAddr) -> Place {
        let peer = peer_of(peer);
        loop {
            if let Ok(room) = Arc::clone(&self.room).try_acquire_owned() {
                return self.seat(peer, room);
            }
            self.displace(Some(peer));
            let acquired = Arc::clone(&self.room).acquire_owned();
            if let Ok(Ok(room)) = tokio::time::timeout(FULL_PAUSE, acquired).await {
                return self.seat(peer, room);
            }
        }
    }

    /// Call it if a connection could not be accepted. If file descriptors or memory are missing,
    /// another connection is closed.
    pub(crate) async fn relieve(&self, error: &io::Error) {
        let wants = [Errno::MFILE, Errno::NFILE, Errno::NOBUFS, Errno::NOMEM];
        if Errno::from_io_error(error).is_some_and(|error| wants.contains(&error)) {
            self.displace(None);
        }
        tokio::time::sleep(FULL_PAUSE).await;
    }

    fn seat(self: &Arc<Self>, peer: IpAddr, room: OwnedSemaphorePermit) -> Place {
        let seat = Arc::new(Seat {
            peer,
            began: self.began,
            waiting_since: AtomicU64::new(micros_since(self.began)),
            turns: AtomicU64::new(0),
            leaving: AtomicBool::new(false),
            leave: Notify::new(),
        });
        let mut open = self.lock();
        let number = open.next;
        open.next = number.saturating_add(1);
        open.seats.insert(number, Arc::clone(&seat));
        Place {
            connections: Arc::clone(self),
            number,
            seat,
            _room: room,
        }
    }

    /// Asks one connection to close, unless another is closing already.
    fn displace(&self, newcomer: Option<IpAddr>) {
        let open = self.lock();
        let mut counts: BTreeMap<IpAddr, usize> = BTreeMap::new();
        for peer in open.seats.values().map(|seat| seat.peer).chain(newcomer) {
            let count = counts.entry(peer).or_default();
            *count = count.saturating_add(1);
        }
        if open.seats.values().any(|seat| seat.is_leaving()) {
            return;
        }
        let waiting = |seat: &&Arc<Seat>| seat.waiting_since() != BUSY;
        let most_and_longest = |seat: &&Arc<Seat>| {
            let count = counts.get(&seat.peer).copied().unwrap_or_default();
            (count, u64::MAX.saturating_sub(seat.waiting_since()))
        };
        let chosen = open.seats.values().filter(waiting);
        if let Some(seat) = chosen.max_by_key(most_and_longest) {
            seat.leaving.store(true, Ordering::Release);
            seat.leave.notify_one();
        }
    }

    fn lock(&self) -> MutexGuard<'_, Open> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seat {
    /// Begins a request. The server waits for its body until [`Seat::work`]. The request ends when
    /// the guard is dropped.
    pub(crate) fn begin(self: &Arc<Self>) -> InRequest {
        self.turns.fetch_add(1, Ordering::AcqRel);
        self.wait();
        InRequest(Arc::clone(self))
    }

    /// The request is complete, and in work from here on.
    pub(crate) fn work(&self) {
        self.waiting_since.store(BUSY, Ordering::Release);
    }

    /// From now on the server waits for the client.
    pub(crate) fn wait(&self) {
        self.waiting_since
            .store(micros_since(self.began), Ordering::Release);
    }

    /// Returns how many requests have begun plus how many were answered: odd between the two.
    pub(crate) fn turns(&self) -> u64 {
        self.turns.load(Ordering::Acquire)
    }

    fn waiting_since(&self) -> u64 {
        self.waiting_since.load(Ordering::Acquire)
    }

    fn is_leaving(&self) -> bool {
        self.leaving.load(Ordering::Acquire)
    }
}

/// A request, from its beginning to its answer.
pub(crate) struct InRequest(Arc<Seat>);

impl Drop for InRequest {
    fn drop(&mut self) {
        self.0.turns.fetch_add(1, Ordering::AcqRel);
        self.0.wait();
    }
}

impl Place {
    pub(crate) fn seat(&self) -> &Arc<Seat> {
        &self.seat
    }

    /// Ends when the connection has to close. A connection that has got work meanwhile stays.
    pub(crate) async fn told_to_leave(&self) {
        loop {
            self.seat.leave.notified().await;
            if self.seat.waiting_since() != BUSY {
                self.connections.displaced.inc();
                return;
            }
            self.seat.leaving.store(false, Ordering::Release);
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.connections.lock().seats.remove(&self.number);
    }
}

/// Returns the peer of an address. With IPv6, everybody has a network of at least 64 bits.
fn peer_of(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let network = u128::from(address) & !u128::from(u64::MAX);
            IpAddr::V6(network.into())
        }
        address => address,
    }
}

fn micros_since(began: Instant) -> u64 {
    // Never BUSY.
    u64::try_from(began.elapsed().as_micros()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn peer(number: u8) -> IpAddr {
        Ipv4Addr::new(10, 0, 0, number).into()
    }

    fn table(count_max: usize) -> Arc<Connections> {
        Connections::new(count_max, Counter::default())
    }

    /// Returns which of these connections is asked to close for one of this peer.
    fn displaced(table: &Connections, places: &[Place], newcomer: IpAddr) -> Option<usize> {
        table.displace(Some(peer_of(newcomer)));
        let found = places.iter().position(|place| place.seat.is_leaving());
        for place in places {
            place.seat.leaving.store(false, Ordering::Release);
        }
        found
    }

    async fn admit_all(table: &Arc<Connections>, peers: &[u8]) -> Vec<Place> {
        let mut places = Vec::new();
        for number in peers {
            places.push(table.admit(peer(*number)).await);
            // It has waited less long than the one before.
            let before = micros_since(table.began);
            while micros_since(table.began) == before {
                std::hint::spin_loop();
            }
        }
        places
    }

    #[tokio::test]
    async fn who_waits_the_longest_leaves_and_who_works_stays() {
        let table = table(3);
        let places = admit_all(&table, &[1, 1, 1]).await;
        assert_eq!(displaced(&table, &places, peer(1)), Some(0));
        let request = places[0].seat.begin();
        assert_eq!(displaced(&table, &places, peer(1)), Some(1));
        places[1].seat.work();
        places[2].seat.work();
        assert_eq!(displaced(&table, &places, peer(1)), Some(0), "its body");
        places[0].seat.work();
        assert_eq!(displaced(&table, &places, peer(1)), None);
        drop(request);
        assert_eq!(displaced(&table, &places, peer(1)), Some(0));
    }

    #[tokio::test]
    async fn the_peer_with_the_most_makes_room() {
        let table = table(5);
        let places = admit_all(&table, &[2, 1, 1, 1, 2]).await;
        assert_eq!(displaced(&table, &places, peer(3)), Some(1));
        assert_eq!(displaced(&table, &places, peer(1)), Some(1), "its own");
        assert_eq!(
            displaced(&table, &places, peer(2)),
            Some(0),
            "both have three"
        );
        for place in &places[1..4] {
            place.seat.work();
        }
        assert_eq!(
            displaced(&table, &places, peer(1)),
            Some(0),
            "the others work"
        );
    }

    #[tokio::test]
    async fn one_leaves_for_one_who_comes() {
        let table = table(1);
        let first = table.admit(peer(1)).await;
        let left = tokio::spawn(async move { first.told_to_leave().await });
        let second = table.admit(peer(2)).await;
        left.await.unwrap();
        assert_eq!(table.displaced.get(), 1);
        second.seat.work();
        let waits = tokio::time::timeout(FULL_PAUSE * 3, table.admit(peer(1))).await;
        assert!(waits.is_err(), "nobody can leave");
        drop(second);
        drop(table.admit(peer(1)).await);
        assert!(table.lock().seats.is_empty());
    }

    #[test]
    fn a_network_of_ipv6_is_one_peer() {
        let peer = |text: &str| peer_of(text.parse().unwrap());
        assert_eq!(peer("2001:db8:1:2:3::4"), peer("2001:db8:1:2::"));
        assert_ne!(peer("2001:db8:1:2::"), peer("2001:db8:1:3::"));
        assert_eq!(peer("::ffff:10.0.0.1"), peer("10.0.0.1"));
    }
}
