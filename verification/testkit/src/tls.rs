//! A proxy that ends TLS before a server: bytes go on as they come.

use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::TlsAcceptor;

/// A certificate authority of its own, which nobody trusts who isn't told to.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// With a new key.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // A certificate that has its issuer's name counts as signed by itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Its certificate, as those want it who are to trust it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// A proxy with a certificate for this name. It closes connections until it knows where they
    /// lead to.
    #[must_use]
    pub fn start_proxy(&self, name: &str) -> Proxy {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &self.0).unwrap();
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.into())
            .unwrap();
        Proxy::start(TlsAcceptor::from(Arc::new(config)))
    }
}

/// What clients have told and where they are led.
#[derive(Default)]
struct Shared {
    address: Mutex<Option<String>>,
    names: Mutex<Vec<Option<String>>>,
}

/// A running proxy. Dropping it ends it.
pub struct Proxy {
    port: u16,
    shared: Arc<Shared>,
    runtime: Option<Runtime>,
}

impl Proxy {
    fn start(acceptor: TlsAcceptor) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let known = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, acceptor.clone(), Arc::clone(&known)));
            }
        });
        Self {
            port,
            shared,
            runtime: Some(runtime),
        }
    }

    /// Where it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on connections go to this host and port.
    pub fn leads_to(&self, address: &str) {
        let mut leads_to = lock(&self.shared.address);
        *leads_to = Some(address.to_owned());
    }

    /// The server name (RFC 6066, section 3) of each handshake that succeeded, in their order.
    #[must_use]
    pub fn server_names(&self) -> Vec<Option<String>> {
        lock(&self.shared.names).clone()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Serves a connection. A client that doesn't trust us goes away by itself.
async fn serve(client: TcpStream, acceptor: TlsAcceptor, shared: Arc<Shared>) -> Option<()> {
    let mut client = acceptor.accept(client).await.ok()?;
    let name = client.get_ref().1.server_name().map(str::to_owned);
    lock(&shared.names).push(name);
    let address = lock(&shared.address).clone()?;
    let mut server = TcpStream::connect(address).await.ok()?;
    let copied = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    copied.ok().map(|_| ())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
