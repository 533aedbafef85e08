//! The listening socket: TLS and HTTP on an address of this machine.

use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4};
use std::sync::Arc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use rand::Rng as _;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

use super::api::Api;
use super::place::{Place, PlaceError};

/// The default port of API servers.
const PORT: u16 = 6443;

/// Listens on the address of the last start, or on the first address of a random /24 network. The
/// other addresses of the network are for pods and Services.
pub(super) async fn listen(place: &Place) -> Result<(TcpListener, SocketAddrV4), PlaceError> {
    let random = || {
        let mut random = rand::rng();
        let (a, b) = (random.random_range(64..=126), random.random());
        SocketAddrV4::new(Ipv4Addr::new(127, a, b, 1), PORT)
    };
    let mut last = String::new();
    for address in place.last_address().into_iter().chain((0..16).map(|_| random())) {
        match TcpListener::bind(SocketAddr::V4(address)).await {
            Ok(listener) => return Ok((listener, address)),
            Err(e) => last = e.to_string(),
        }
    }
    Err(PlaceError::Address(last))
}

/// A self-signed certificate for this address, and its key.
pub(super) struct Tls {
    acceptor: TlsAcceptor,
    /// The certificate, which clients use to verify the server.
    pub(super) pem: String,
}

impl Tls {
    pub(super) fn new(address: SocketAddrV4) -> Result<Self, Box<dyn std::error::Error>> {
        let made = rcgen::generate_simple_self_signed(vec![address.ip().to_string()])?;
        let certificate = made.cert.der().clone();
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
        let pem = made.cert.pem();
        let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)?;
        config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), pem })
    }
}

/// Serves until the task is aborted. Its connections end with it.
pub(super) async fn serve(listener: TcpListener, tls: Tls, api: Arc<Api>) {
    let mut connections = JoinSet::new();
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                connections.spawn(connection(stream, tls.acceptor.clone(), Arc::clone(&api)));
            }
            // Probably out of file descriptors: some will be free later.
            Err(error) => {
                tracing::warn!(%error, "accepting a connection");
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
        while connections.try_join_next().is_some() {}
    }
}

async fn connection(stream: TcpStream, acceptor: TlsAcceptor, api: Arc<Api>) {
    stream.set_nodelay(true).ok();
    let stream = match acceptor.accept(stream).await {
        Ok(stream) => stream,
        Err(error) => return tracing::debug!(%error, "the TLS handshake failed"),
    };
    let service = service_fn(move |request| Arc::clone(&api).handle(request));
    let mut server = auto::Builder::new(TokioExecutor::new());
    server.http1().timer(TokioTimer::new());
    server.http2().timer(TokioTimer::new());
    let result = server.serve_connection_with_upgrades(TokioIo::new(stream), service).await;
    if let Err(error) = result {
        tracing::debug!(%error, "a connection broke");
    }
}
