//! An external processor: Envoy's `ext_proc` filter shows it bodies part by part, and it lets each
//! part pass as it is.

mod messages;

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result};
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use h2::server::{self, SendResponse};
use h2::{RecvStream, SendStream};
use http::{HeaderMap, HeaderValue, Request, Response};
use local_gateway::render::at;
use prost::Message as _;
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use messages::ProcessingRequest;

/// The cluster that leads to the processor.
const CLUSTER: &str = "external-processor";

/// Before each gRPC message: whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// The processor. Dropping it ends it.
pub struct ExtProc {
    port: u16,
    body_bytes: Arc<AtomicUsize>,
    /// Dropped with it, and with this all its tasks.
    _runtime: Runtime,
}

impl ExtProc {
    /// Starts on a free port.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn start() -> Self {
        let runtime = Builder::new_multi_thread()
            .worker_threads(1)
            .enable_io()
            .build()
            .expect("a runtime");
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0)));
        let listener = listener.expect("a free port");
        let port = listener.local_addr().expect("a port").port();
        let body_bytes = Arc::new(AtomicUsize::new(0));
        let counted = body_bytes.clone();
        runtime.spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let counted = counted.clone();
                tokio::spawn(async move {
                    // Envoy closes connections whenever it likes.
                    let _ended = serve(stream, &counted).await;
                });
            }
        });
        Self {
            port,
            body_bytes,
            _runtime: runtime,
        }
    }

    /// Returns how many bytes of bodies it was shown so far.
    #[must_use]
    pub fn body_bytes(&self) -> usize {
        self.body_bytes.load(Ordering::SeqCst)
    }

    /// Puts the filter that asks this processor into a listener's chain: before or after the first
    /// filter of this name.
    ///
    /// # Errors
    /// When the listener has no such filter.
    pub fn put_beside(
        port: u16,
        config: &mut Value,
        listener: &str,
        place: Place,
        filter: &str,
    ) -> Result<()> {
        let clusters = at(config, "/static_resources/clusters")?;
        let clusters = clusters.as_array_mut().context("clusters are no list")?;
        if !clusters.iter().any(|cluster| cluster["name"] == CLUSTER) {
            clusters.push(cluster(port));
        }
        let listener = local_gateway::render::listener(config, listener)?;
        let filters = at(
            listener,
            "/filter_chains/0/filters/0/typed_config/http_filters",
        )?;
        let filters = filters.as_array_mut().context("filters are no list")?;
        let found = filters.iter().position(|other| other["name"] == filter);
        let found = found.with_context(|| format!("there is no filter {filter}"))?;
        let index = match place {
            Place::Before => found,
            Place::After => found + 1,
        };
        filters.insert(index, filter_config());
        Ok(())
    }

    /// Where it listens.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }
}

/// On which side of another filter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Requests come here first, answers here last.
    Before,
    /// The other way round.
    After,
}

fn cluster(port: u16) -> Value {
    let address = json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } });
    json!({
        "name": CLUSTER,
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/\
                          envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": { "http2_protocol_options": {} },
            },
        },
        "load_assignment": {
            "cluster_name": CLUSTER,
            "endpoints": [{ "lb_endpoints": [{ "endpoint": { "address": address } }] }],
        },
    })
}

/// Both bodies part by part while others come, as inference gateways have it.
fn filter_config() -> Value {
    json!({
        "name": "envoy.filters.http.ext_proc",
        "typed_config": {
            "@type": "type.googleapis.com/\
                      envoy.extensions.filters.http.ext_proc.v3.ExternalProcessor",
            "grpc_service": { "envoy_grpc": { "cluster_name": CLUSTER } },
            // A busy machine takes its time.
            "message_timeout": "60s",
            "processing_mode": {
                "request_header_mode": "SEND",
                "request_body_mode": "FULL_DUPLEX_STREAMED",
                "request_trailer_mode": "SEND",
                "response_header_mode": "SEND",
                "response_body_mode": "FULL_DUPLEX_STREAMED",
                "response_trailer_mode": "SEND",
            },
        },
    })
}

async fn serve(stream: TcpStream, counted: &Arc<AtomicUsize>) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut connection = server::handshake(stream).await?;
    while let Some(exchange) = connection.accept().await {
        let (request, respond) = exchange?;
        let counted = counted.clone();
        tokio::spawn(async move {
            // A request that Envoy has ended meanwhile needs no answer.
            let _ended = process(request, respond, &counted).await;
        });
    }
    Ok(())
}

/// One exchange: messages come and go until Envoy has no more.
async fn process(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    counted: &AtomicUsize,
) -> Result<()> {
    let head = Response::builder()
        .header("content-type", "application/grpc")
        .body(())?;
    let mut answer = respond.send_response(head, false)?;
    let mut stream = request.into_body();
    let mut received = BytesMut::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        received.extend_from_slice(&data);
        while let Some(message) = next_message(&mut received) {
            let message = ProcessingRequest::decode(message)?;
            let parts = [&message.request_body, &message.response_body];
            let bytes: usize = parts.into_iter().flatten().map(|p| p.body.len()).sum();
            counted.fetch_add(bytes, Ordering::SeqCst);
            send(&mut answer, &message.echo().encode_to_vec())?;
        }
    }
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    Ok(answer.send_trailers(trailers)?)
}

/// Takes a whole message off what was received.
fn next_message(received: &mut BytesMut) -> Option<Bytes> {
    let length = received.get(1..PREFIX_BYTES)?.try_into().ok()?;
    let length = usize::try_from(u32::from_be_bytes(length)).ok()?;
    if received.len() < PREFIX_BYTES + length {
        return None;
    }
    received.advance(PREFIX_BYTES);
    Some(received.split_to(length).freeze())
}

fn send(answer: &mut SendStream<Bytes>, message: &[u8]) -> Result<()> {
    let mut bytes = BytesMut::with_capacity(PREFIX_BYTES + message.len());
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(message.len())?);
    bytes.put_slice(message);
    // What doesn't fit Envoy's window yet waits in the library.
    Ok(answer.send_data(bytes.freeze(), false)?)
}
