//! TLS of a client: whom it trusts, who it is, and the stream itself (rustls, with the cryptography of ring).

mod stream;
mod verifier;

use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use futures_rustls::TlsConnector;
use futures_rustls::rustls::client::WebPkiServerVerifier;
use futures_rustls::rustls::crypto::ring;
use futures_rustls::rustls::pki_types::pem::PemObject;
use futures_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use futures_rustls::rustls::time_provider::TimeProvider;
use futures_rustls::rustls::{self, CertificateError, ClientConfig, RootCertStore, version};
use socketio_core::engine::client::TlsFault;

use self::stream::{Encrypted, Plain};
use self::verifier::{AcceptAny, Judge, is_for_authorities};
use super::SetupError;
use crate::runtime::{Io, Runtime};

/// How a client encrypts: whose certificates it trusts, and who it says it is.
///
/// ```
/// use socketio_driver::{Roots, Tls};
///
/// // A server of one's own, whose certificate one's own authority has issued; and nobody else.
/// let tls = Tls::new().roots(Roots::None).add_root_file("ca.pem");
/// # drop(tls);
/// ```
#[derive(Clone, Default)]
pub struct Tls {
    roots: Roots,
    added: Vec<Source>,
    identity: Option<(Source, Source)>,
    accept_any: bool,
    /// In place of all that.
    own: Option<Arc<ClientConfig>>,
}

/// The authorities that a client trusts to begin with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Roots {
    /// Those that this machine trusts: of the operating system, or in the files that `SSL_CERT_FILE` and `SSL_CERT_DIR`
    /// name. They are read once, when the client is built.
    #[default]
    Platform,
    /// Mozilla's, as they were when this crate was built: for machines that have none.
    Bundled,
    /// Nobody but those that are added.
    None,
}

/// Where PEM or DER comes from.
#[derive(Clone)]
enum Source {
    File(PathBuf),
    Bytes(Vec<u8>),
}

impl Tls {
    /// The defaults: the roots of this machine, and no certificate of the client's own.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the authorities to begin with.
    pub fn roots(mut self, roots: Roots) -> Self {
        self.roots = roots;
        self
    }

    /// Trusts the certificates in a file as well: PEM, any number of them, or one in DER. They are an authority's, or a
    /// server's own that it has issued to itself. The file is read when the client is built.
    pub fn add_root_file(mut self, path: impl AsRef<Path>) -> Self {
        self.added.push(Source::File(path.as_ref().to_owned()));
        self
    }

    /// Trusts these certificates as well: PEM, any number of them, or one in DER.
    pub fn add_root(mut self, certificates: impl Into<Vec<u8>>) -> Self {
        self.added.push(Source::Bytes(certificates.into()));
        self
    }

    /// Shows servers that ask for it the certificate in one PEM file, with its chain behind it, and proves it with the
    /// key in another or the same one.
    pub fn identity_files(mut self, chain: impl AsRef<Path>, key: impl AsRef<Path>) -> Self {
        let [chain, key] = [chain.as_ref(), key.as_ref()].map(|path| Source::File(path.to_owned()));
        self.identity = Some((chain, key));
        self
    }

    /// As [`identity_files`](Self::identity_files), from memory.
    pub fn identity(mut self, chain: impl Into<Vec<u8>>, key: impl Into<Vec<u8>>) -> Self {
        self.identity = Some((Source::Bytes(chain.into()), Source::Bytes(key.into())));
        self
    }

    /// Trusts whoever answers, whatever certificate it shows. Anybody between this client and the server can then read
    /// and change everything: for a test that cannot do better.
    pub fn dangerous_accept_any_certificate(mut self) -> Self {
        self.accept_any = true;
        self
    }

    /// What somebody has settled with rustls directly.
    pub(crate) fn of(config: Arc<ClientConfig>) -> Self {
        Self { own: Some(config), ..Self::default() }
    }

    fn config(&self, runtime: Arc<dyn Runtime>) -> Result<ClientConfig, SetupError> {
        let mut config = match &self.own {
            Some(own) => ClientConfig::clone(own),
            None => self.build(runtime)?,
        };
        // Whatever else somebody's own offers: this is what a connection speaks.
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }

    fn build(&self, runtime: Arc<dyn Runtime>) -> Result<ClientConfig, SetupError> {
        let provider = Arc::new(ring::default_provider());
        let algorithms = provider.signature_verification_algorithms;
        let builder = ClientConfig::builder_with_details(Arc::clone(&provider), Arc::new(Clock(runtime)))
            .with_protocol_versions(&[&version::TLS13, &version::TLS12])
            .map_err(SetupError::Tls)?;
        let builder = if self.accept_any {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AcceptAny(algorithms)))
        } else {
            let (roots, own) = self.trusted()?;
            let rules = WebPkiServerVerifier::builder_with_provider(Arc::new(roots), provider).build();
            // It refuses nothing but an empty list of roots.
            let rules = rules.map_err(|_| SetupError::NoRoots)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Judge { rules, own }))
        };
        let Some((chain, key)) = &self.identity else { return Ok(builder.with_no_client_auth()) };
        let (chain, key) = (chain.certificates()?, key.read()?);
        let key = PrivateKeyDer::from_pem_slice(&key).map_err(|_| SetupError::NoPrivateKey)?;
        builder.with_client_auth_cert(chain, key).map_err(SetupError::Tls)
    }

    /// Whom to trust, and which of these certificates were added.
    fn trusted(&self) -> Result<(RootCertStore, Vec<CertificateDer<'static>>), SetupError> {
        let mut store = RootCertStore::empty();
        match self.roots {
            Roots::Platform => {
                // Some of what lies in a system's store no parser takes; the rest serves.
                let found = rustls_native_certs::load_native_certs();
                store.add_parsable_certificates(found.certs);
                for error in found.errors {
                    tracing::debug!(%error, "a root certificate of this machine cannot be read");
                }
            }
            Roots::Bundled => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
            Roots::None => {}
        }
        let mut own = Vec::new();
        for source in &self.added {
            own.extend(source.certificates()?);
        }
        for certificate in &own {
            store.add(certificate.clone()).map_err(SetupError::Tls)?;
        }
        if store.is_empty() { Err(SetupError::NoRoots) } else { Ok((store, own)) }
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tls")
            .field("roots", &self.roots)
            .field("added", &self.added.len())
            .field("identity", &self.identity.is_some())
            .field("accept_any", &self.accept_any)
            .field("own", &self.own.is_some())
            .finish()
    }
}

impl Source {
    fn read(&self) -> Result<Vec<u8>, SetupError> {
        match self {
            Self::File(path) => {
                std::fs::read(path).map_err(|reason| SetupError::TlsFile { path: path.clone(), reason })
            }
            Self::Bytes(bytes) => Ok(bytes.clone()),
        }
    }

    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, SetupError> {
        let bytes = self.read()?;
        // DER begins with the tag of a sequence, PEM with text.
        let found = match bytes.first() {
            Some(0x30) => Ok(vec![bytes.into()]),
            _ => CertificateDer::pem_slice_iter(&bytes).collect::<Result<Vec<_>, _>>(),
        };
        match found {
            Ok(certificates) if !certificates.is_empty() => Ok(certificates),
            _ => Err(SetupError::NoCertificate {
                path: match self {
                    Self::File(path) => Some(path.clone()),
                    Self::Bytes(_) => None,
                },
            }),
        }
    }
}

/// The runtime's clock decides what has expired.
#[derive(Debug)]
struct Clock(Arc<dyn Runtime>);

impl TimeProvider for Clock {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.0.unix_time()))
    }
}

/// Encrypts connections.
pub(super) struct Connector(TlsConnector);

impl Connector {
    pub(super) fn new(settings: &Tls, runtime: Arc<dyn Runtime>) -> Result<Self, SetupError> {
        Ok(Self(TlsConnector::from(Arc::new(settings.config(runtime)?))))
    }

    /// Whether certificates can be for such a host.
    pub(super) fn check_host(host: &str) -> Result<(), SetupError> {
        match ServerName::try_from(host) {
            Ok(_) => Ok(()),
            Err(_) => Err(SetupError::ServerName { host: host.to_owned() }),
        }
    }

    /// The handshake with `host`, a name or an address.
    pub(super) async fn connect(&self, host: &str, io: Box<dyn Io>) -> Result<Box<dyn Io>, TlsFault> {
        let name = ServerName::try_from(host.to_owned()).map_err(|_| TlsFault::WrongName)?;
        match self.0.connect(name, Plain(io)).await {
            Ok(stream) => Ok(Box::new(Encrypted(stream.into()))),
            Err(error) => {
                tracing::debug!(%error, host, "TLS handshake failed");
                Err(fault(&error))
            }
        }
    }
}

impl fmt::Debug for Connector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Connector")
    }
}

/// What was wrong, if the other end ended an encrypted connection by an alert: in TLS 1.3 that is how it says, after the
/// client's handshake is done, that it does not like the client's certificate.
pub(super) fn alert(mut error: &(dyn Error + 'static)) -> Option<TlsFault> {
    loop {
        let reason = error.downcast_ref::<io::Error>().and_then(reason);
        if let Some(rustls::Error::AlertReceived(_)) = reason {
            return Some(TlsFault::Refused);
        }
        error = error.source()?;
    }
}

fn reason(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

fn fault(error: &io::Error) -> TlsFault {
    use CertificateError as Bad;
    let reason = reason(error);
    match reason {
        // Nobody added it; whether it could be a server's is the smaller question.
        Some(error) if is_for_authorities(error) => TlsFault::UnknownIssuer,
        Some(rustls::Error::InvalidCertificate(bad)) => match bad {
            // The second is what an authority is that has a trusted one's name and another key.
            Bad::UnknownIssuer | Bad::BadSignature => TlsFault::UnknownIssuer,
            Bad::Expired | Bad::ExpiredContext { .. } => TlsFault::Expired,
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => TlsFault::NotYetValid,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => TlsFault::WrongName,
            _ => TlsFault::BadCertificate,
        },
        Some(rustls::Error::AlertReceived(_)) => TlsFault::Refused,
        Some(rustls::Error::InvalidMessage(_)) => TlsFault::NotTls,
        _ => TlsFault::Other,
    }
}

/// The other side of it, for tests.
#[cfg(test)]
pub(super) async fn accept(config: rustls::ServerConfig, io: Box<dyn Io>) -> io::Result<Box<dyn Io>> {
    let acceptor = futures_rustls::TlsAcceptor::from(Arc::new(config));
    match acceptor.accept(Plain(io)).into_fallible().await {
        Ok(stream) => Ok(Box::new(Encrypted(stream.into()))),
        Err((error, Plain(mut io))) => {
            // Left at once, with something unread, it would be a reset that overtakes the alert.
            while !crate::io::read(&mut *io).await.unwrap_or_default().is_empty() {}
            Err(error)
        }
    }
}
