//! `demo-function`: something to call. It answers every request, prints a line for each, and tells
//! at `GET /calls` which asynchronous calls have reached it.

mod answer;
mod calls;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};

use anyhow::{Context, Result};
use clap::Parser;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};

use calls::Calls;

/// A function to try asynchronous calls with.
#[derive(Parser)]
#[command(version)]
struct Arguments {
    /// Where to listen
    #[arg(long, value_name = "ADDR:PORT", default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match serve(Arguments::parse().listen).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(address: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot listen on {address}: choose another with --listen"))?;
    println!("demo-function listens on http://{}", listener.local_addr()?);
    let mut end = signal(SignalKind::terminate())?;
    let calls = Arc::new(Mutex::new(Calls::default()));
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = end.recv() => return Ok(()),
            _ = tokio::signal::ctrl_c() => return Ok(()),
        };
        // The client is already gone, or too many files are open. The next connection may work.
        let Ok((connection, _)) = accepted else {
            continue;
        };
        let calls = Arc::clone(&calls);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let calls = Arc::clone(&calls);
                async move { Ok::<_, Infallible>(answer::answer(request, &calls).await) }
            });
            // A connection that breaks off is up to the client.
            let _broken = http1::Builder::new()
                .serve_connection(TokioIo::new(connection), service)
                .await;
        });
    }
}
