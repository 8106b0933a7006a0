//! A network of a test's own in which, as on an instance of OCI, 169.254.169.254 is the metadata
//! service.

use std::env;
use std::fs;
use std::io;
use std::net::{TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use provision::dist::Variant;
use provision::{PREPARED, Programs, Project};

/// The metadata service's address.
pub const METADATA: &str = "169.254.169.254";

/// Set where we are in such a network already.
const INSIDE: &str = "SLUICE_INSTANCE_NETWORK";

/// Gives loopback that address, and names the addresses that stand in the first argument's file.
const SET_UP: &str = "ip link set lo up && ip address add 169.254.169.254/32 dev lo && \
                      mount --bind \"$1\" /etc/hosts && shift && exec \"$@\"";

/// Runs the calling test once more in such a network, by its name, unless this process is in one.
/// `hosts` is what the file of names has there. Returns whether this process is the one that tests.
///
/// # Panics
/// When the test fails there.
#[must_use]
pub fn is_inside(test: &str, hosts: &str) -> bool {
    if env::var_os(INSIDE).is_some() {
        return true;
    }
    // There is nothing to be fetched from within.
    Programs::for_tests(&Project::here(), Variant::Shipped).unwrap();
    let folder = Project::here().target().join("test-keys");
    let file = folder.join(format!("{test}.hosts"));
    fs::create_dir_all(&folder).unwrap();
    fs::write(&file, hosts).unwrap();
    let run = |arguments: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--net", "--mount", "--"]);
        command.args(["sh", "-c", SET_UP, "sh"]).arg(&file);
        command.args(arguments).env(INSIDE, "1").env(PREPARED, "1");
        command.output()
    };
    match run(&["true"]) {
        Ok(output) if output.status.success() => {}
        Ok(output) => {
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            eprintln!("skipped: no network of our own is to be had: {said}");
            return false;
        }
        Err(error) => {
            eprintln!("skipped: no network of our own is to be had: unshare: {error}");
            return false;
        }
    }
    let program = env::current_exe().unwrap();
    let output = run(&[program.to_str().unwrap(), test, "--exact", "--nocapture"]).unwrap();
    let said = [output.stdout, output.stderr].concat();
    println!("{}", String::from_utf8_lossy(&said));
    assert!(output.status.success(), "failed in a network of its own");
    false
}

/// Leads the metadata service's address to this port, until the process ends.
///
/// # Panics
/// Where the address isn't ours.
pub fn lead(port: u16) {
    let listener = TcpListener::bind((METADATA, 80)).unwrap();
    thread::spawn(move || {
        for incoming in listener.incoming().map_while(Result::ok) {
            let Ok(server) = TcpStream::connect(("127.0.0.1", port)) else {
                continue;
            };
            for (mut from, mut to) in [
                (incoming.try_clone().unwrap(), server.try_clone().unwrap()),
                (server, incoming),
            ] {
                thread::spawn(move || {
                    let _ended = io::copy(&mut from, &mut to);
                    let _closed = to.shutdown(std::net::Shutdown::Write);
                });
            }
        }
    });
}
