//! Ports on the loopback interface.

use std::io;
use std::net::{Ipv4Addr, SocketAddrV4};
use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Result, bail};
use socket2::{Domain, Socket, Type};

/// The first port to try. It is below the range from which systems take the local ports of outgoing
/// connections, so that such a connection never uses the port of a server that is restarted.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;

/// How far apart processes that run at the same time start to look.
const STRIDE: u32 = 97;

static NEXT: AtomicU32 = AtomicU32::new(0);

/// Returns whether a server could listen on this port now.
///
/// Envoy silently shares a port with another Envoy of the same user, so this has to be checked
/// first.
///
/// It binds and never listens. A process that another thread starts at this moment has a copy of
/// the socket until its `exec`, and a listening copy would keep the port in use.
#[must_use]
pub fn is_free(port: u16) -> bool {
    let probe = || -> io::Result<()> {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_reuse_address(true)?;
        socket.bind(&SocketAddrV4::new(Ipv4Addr::LOCALHOST, port).into())
    };
    probe().is_ok()
}

/// Returns a port that is free now and that this process has not handed out before.
///
/// # Errors
/// When hundreds of ports in a row are taken.
pub fn free() -> Result<u16> {
    let start = process::id().wrapping_mul(STRIDE);
    for _ in 0..1000 {
        let step = start.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let port = u16::try_from(FIRST + step % COUNT)?;
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {}", FIRST + COUNT)
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_port_is_handed_out_once_and_free() {
        let (one, other) = (free().unwrap(), free().unwrap());
        assert_ne!(one, other);
        assert!(is_free(one));
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, one)).unwrap();
        assert!(!is_free(one));
        drop(listener);
    }
}
