//! Proxies that speak TLS for a server or for its clients. They pass on bytes unchanged.

use std::sync::{Arc, Mutex, PoisonError};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CertifiedIssuer, DistinguishedName, DnType,
    IsCa, KeyPair,
};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::{PrivatePkcs8KeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// A certificate authority of its own. Only those trust it who are told to.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// Returns an authority with a new key.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::default();
        // A certificate with its issuer's name counts as signed by itself.
        params
            .distinguished_name
            .push(DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().unwrap();
        Self(CertifiedIssuer::self_signed(params, key).unwrap())
    }

    /// Returns its certificate, for those who have to trust it.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.pem()
    }

    /// Returns a certificate for this name, and its key.
    fn issue(&self, name: &str) -> (Certificate, KeyPair) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        (params.signed_by(&key, &self.0).unwrap(), key)
    }

    /// Returns a certificate for this name and its key, both as PEM.
    #[must_use]
    pub fn identity(&self, name: &str) -> (String, String) {
        let (certificate, key) = self.issue(name);
        (certificate.pem(), key.serialize_pem())
    }

    /// Starts a proxy for clients that don't speak TLS. It speaks TLS for them to a server on this
    /// port of the loopback interface, with a certificate that an authority has made for a name, or
    /// with none. It accepts only a certificate of this authority for the server's name.
    #[must_use]
    pub fn start_client(&self, own: Option<(&Self, &str)>, server: &str, port: u16) -> Proxy {
        let mut roots = RootCertStore::empty();
        roots.add(self.0.der().clone()).unwrap();
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots);
        let config = match own {
            Some((authority, name)) => {
                let (certificate, key) = authority.issue(name);
                let key = PrivatePkcs8KeyDer::from(key.serialize_der());
                let chain = vec![certificate.der().clone()];
                config.with_client_auth_cert(chain, key.into()).unwrap()
            }
            None => config.with_no_client_auth(),
        };
        let server = ServerName::try_from(server.to_owned()).unwrap();
        let side = Side::Client(TlsConnector::from(Arc::new(config)), server);
        let proxy = Proxy::start(side);
        proxy.leads_to(&format!("127.0.0.1:{port}"));
        proxy
    }

    /// Returns a proxy with a certificate for this name. It closes connections until it knows where
    /// to lead them.
    #[must_use]
    pub fn start_proxy(&self, name: &str) -> Proxy {
        let (certificate, key) = self.issue(name);
        let private = PrivatePkcs8KeyDer::from(key.serialize_der());
        let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], private.into())
            .unwrap();
        Proxy::start(Side::Server(TlsAcceptor::from(Arc::new(config))))
    }
}

/// The side of a proxy on which TLS is used.
#[derive(Clone)]
enum Side {
    /// Clients use TLS.
    Server(TlsAcceptor),
    /// The server uses TLS, and has this name.
    Client(TlsConnector, ServerName<'static>),
}

/// What clients have sent, and where connections lead.
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
    fn start(side: Side) -> Self {
        let runtime = Runtime::new().unwrap();
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let shared = Arc::new(Shared::default());
        let known = Arc::clone(&shared);
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, side.clone(), Arc::clone(&known)));
            }
        });
        Self {
            port,
            shared,
            runtime: Some(runtime),
        }
    }

    /// Returns the port on which it listens, on 127.0.0.1.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Leads connections to this host and port from now on.
    pub fn leads_to(&self, address: &str) {
        let mut leads_to = lock(&self.shared.address);
        *leads_to = Some(address.to_owned());
    }

    /// Returns the server name (RFC 6066, section 3) of each handshake that succeeded, in their
    /// order.
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

/// Serves a connection. A client that doesn't trust the proxy goes away by itself.
async fn serve(mut client: TcpStream, side: Side, shared: Arc<Shared>) -> Option<()> {
    match side {
        Side::Server(acceptor) => {
            let mut client = acceptor.accept(client).await.ok()?;
            let name = client.get_ref().1.server_name().map(str::to_owned);
            lock(&shared.names).push(name);
            let address = lock(&shared.address).clone()?;
            let mut server = TcpStream::connect(address).await.ok()?;
            copy(&mut client, &mut server).await
        }
        Side::Client(connector, name) => {
            let address = lock(&shared.address).clone()?;
            let server = TcpStream::connect(address).await.ok()?;
            let mut server = connector.connect(name, server).await.ok()?;
            copy(&mut client, &mut server).await
        }
    }
}

async fn copy(
    client: &mut (impl AsyncRead + AsyncWrite + Unpin),
    server: &mut (impl AsyncRead + AsyncWrite + Unpin),
) -> Option<()> {
    let copied = tokio::io::copy_bidirectional(client, server).await;
    copied.ok().map(|_| ())
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
