//! The ends of QUIC connections: quinn, whose servers make connection ids by the tests' own encoder.

use std::{
    fmt,
    hash::{BuildHasher as _, RandomState},
    io,
    net::{IpAddr, SocketAddr, UdpSocket},
    sync::Arc,
    time::Duration,
};

use lb_tests::{
    netns::Namespace,
    quic::{Low, connection_id},
    traffic::Server,
};
use quinn::{
    ClientConfig, Connection, ConnectionId, ConnectionIdGenerator, Endpoint, EndpointConfig,
    IdleTimeout, ServerConfig, TokioRuntime, TransportConfig,
    rustls::{
        RootCertStore,
        pki_types::{CertificateDer, PrivatePkcs8KeyDer},
    },
};

/// How long a connection may be without an answer before it counts as lost.
const LIMIT: Duration = Duration::from_secs(4);
const NAME: &str = "lb.test";

/// What all servers show to clients, and what clients trust.
pub(crate) struct Certificate {
    shown: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificate {
    pub(crate) fn new() -> Self {
        let made = rcgen::generate_simple_self_signed([NAME.to_owned()]);
        let made = made.expect("a self-signed certificate");
        Self {
            shown: made.cert.der().clone(),
            key: made.signing_key.serialize_der(),
        }
    }

    fn server(&self) -> ServerConfig {
        let key = PrivatePkcs8KeyDer::from(self.key.clone());
        let config = ServerConfig::with_single_cert(vec![self.shown.clone()], key.into());
        let mut config = config.expect("a certificate with its key");
        config.transport_config(transport());
        config
    }

    fn client(&self) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.shown.clone()).expect("a certificate");
        let config = ClientConfig::with_root_certificates(Arc::new(roots));
        let mut config = config.expect("a client's configuration");
        config.transport_config(transport());
        config
    }
}

fn transport() -> Arc<TransportConfig> {
    let mut config = TransportConfig::default();
    let idle = IdleTimeout::try_from(LIMIT).expect("a short time");
    config.max_idle_timeout(Some(idle));
    config.enable_segmentation_offload(false);
    Arc::new(config)
}

/// The connection ids of one server: random but for what they tell a balancer.
#[derive(Clone, Debug)]
pub(crate) struct Ids {
    pub(crate) rotation: u8,
    pub(crate) tells_length: bool,
    pub(crate) server_id: Vec<u8>,
}

impl Ids {
    /// Bytes of the nonce.
    const NONCE: usize = 8;
}

impl ConnectionIdGenerator for Ids {
    fn generate_cid(&mut self) -> ConnectionId {
        let random = || RandomState::new().hash_one(()).to_be_bytes();
        let low = if self.tells_length {
            Low::Length
        } else {
            Low::Random(random()[0] & 0x1f)
        };
        ConnectionId::new(&connection_id(
            self.rotation,
            low,
            &self.server_id,
            &random(),
        ))
    }

    fn cid_len(&self) -> usize {
        1 + self.server_id.len() + Self::NONCE
    }

    fn cid_lifetime(&self) -> Option<Duration> {
        None
    }
}

/// Answers every stream of every connection to this address with the server's name.
pub(crate) fn server(
    namespace: &Namespace,
    at: SocketAddr,
    name: &str,
    certificate: &Certificate,
    ids: Ids,
) -> Server {
    let config = certificate.server();
    let name = name.to_owned();
    Server::start(namespace, move || async move {
        let mut endpoint = EndpointConfig::default();
        endpoint.cid_generator(move || Box::new(ids.clone()));
        let socket = UdpSocket::bind(at)?;
        let endpoint = Endpoint::new(endpoint, Some(config), socket, Arc::new(TokioRuntime))?;
        Ok(async move {
            while let Some(incoming) = endpoint.accept().await {
                let name = name.clone();
                tokio::spawn(async move {
                    let connection = incoming.await?;
                    loop {
                        let (mut answer, _) = connection.accept_bi().await?;
                        let _ = answer.write_all(name.as_bytes()).await;
                        let _ = answer.finish();
                    }
                    #[expect(unreachable_code, reason = "names the type of the errors above")]
                    Ok::<(), quinn::ConnectionError>(())
                });
            }
        })
    })
}

/// A client with one connection.
pub(crate) struct Client {
    endpoint: Endpoint,
    connection: Connection,
}

impl Client {
    /// Connects from a new port of `from`; the calling thread stands in the client's namespace.
    pub(crate) async fn open(
        from: IpAddr,
        to: SocketAddr,
        certificate: &Certificate,
    ) -> io::Result<Self> {
        let socket = UdpSocket::bind((from, 0))?;
        let config = EndpointConfig::default();
        let endpoint = Endpoint::new(config, None, socket, Arc::new(TokioRuntime))?;
        let connecting = endpoint.connect_with(certificate.client(), to, NAME);
        let connecting = connecting.map_err(io::Error::other)?;
        let connection = in_time(connecting).await?;
        Ok(Self {
            endpoint,
            connection,
        })
    }

    /// The name of the server at the other end.
    pub(crate) async fn ask(&self) -> io::Result<String> {
        in_time(async {
            let (mut question, mut answer) = self.connection.open_bi().await?;
            let _ = question.write_all(b"who is there?").await;
            let _ = question.finish();
            let answer = answer.read_to_end(64).await.map_err(io::Error::other)?;
            Ok::<_, io::Error>(String::from_utf8_lossy(&answer).into_owned())
        })
        .await
    }

    /// Goes on from a new port of `from`.
    pub(crate) fn rebind(&self, from: IpAddr) -> io::Result<()> {
        self.endpoint.rebind(UdpSocket::bind((from, 0))?)
    }
}

async fn in_time<T, E: fmt::Display>(
    work: impl IntoFuture<Output = Result<T, E>>,
) -> io::Result<T> {
    let done = tokio::time::timeout(LIMIT, work.into_future()).await?;
    done.map_err(|error| io::Error::other(error.to_string()))
}
