//! Encrypted connections: whom a client trusts, and what it says when it does not.

use std::path::PathBuf;
use std::process::Command;

use futures_rustls::rustls::client::danger::{
    HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier,
};
use futures_rustls::rustls::crypto::{
    CryptoProvider, WebPkiSupportedAlgorithms, ring, verify_tls12_signature, verify_tls13_signature,
};
use futures_rustls::rustls::pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer, ServerName, UnixTime,
};
use futures_rustls::rustls::server::WebPkiClientVerifier;
use futures_rustls::rustls::{
    self, CertificateError, DigitallySignedStruct, RootCertStore, ServerConfig, SignatureScheme,
};
use futures_util::future::join;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use socketio_core::Lane;
use socketio_core::engine::client::{ProxyFault, TlsFault};

use super::*;
use crate::client::net::tls::accept as accept_tls;
use crate::client::net::{Roots, SetupError, Tls};

/// Who issues certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    pem: String,
    der: CertificateDer<'static>,
}

/// A certificate and its key.
struct Identity {
    chain: Vec<CertificateDer<'static>>,
    key: KeyPair,
    pem: String,
}

impl Authority {
    fn new() -> Self {
        Self::named("authority")
    }

    fn named(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.distinguished_name.push(rcgen::DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        Self { pem: certificate.pem(), der: certificate.der().clone(), issuer: Issuer::new(params, key) }
    }

    fn issue(&self, name: &str, change: impl FnOnce(&mut CertificateParams)) -> Identity {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        change(&mut params);
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
    }

    fn server(&self, name: &str) -> Identity {
        self.issue(name, |_| {})
    }

    /// A client that trusts nobody else.
    fn trusted(&self) -> Tls {
        Tls::new().roots(Roots::None).add_root(self.pem.as_bytes())
    }
}

impl Identity {
    fn key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.key.serialize_der()).into()
    }

    /// What a server is that shows this; `of_client` issues its clients' certificates.
    fn server_config(&self, of_client: Option<&Authority>) -> ServerConfig {
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
        let builder = builder.with_safe_default_protocol_versions().unwrap();
        let builder = match of_client {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let mut roots = RootCertStore::empty();
                roots.add(authority.der.clone()).unwrap();
                let verifier = WebPkiClientVerifier::builder_with_provider(roots.into(), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let mut config = builder.with_single_cert(self.chain.clone(), self.key()).unwrap();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }
}

fn config(tls: Tls) -> NetworkConfig {
    NetworkConfig { tls, ..plain() }
}

/// What becomes of a GET from a server with this identity.
fn get(url: &str, tls: Tls, identity: &Identity, of_client: Option<&Authority>) -> Answered {
    get_from(url, tls, &identity.server_config(of_client), of_client.is_some())
}

/// What becomes of a GET from such a server, which may refuse the client.
fn get_from(url: &str, tls: Tls, server: &ServerConfig, may_refuse: bool) -> Answered {
    let answers = std::cell::RefCell::new(Vec::new());
    play_at(url, config(tls), |mut scene| {
        let answers = &answers;
        async move {
            if may_refuse {
                // The server of this test does not write an alert twice, should it not fit at once.
                scene.net.set_link(Link::default());
            }
            let network = scene.network.clone();
            let scripted = async {
                let peer = scene.accept().await;
                if let Ok(io) = accept_tls(server.clone(), peer.io).await {
                    let mut peer = Peer { io, read: Vec::new() };
                    let head = peer.answer("secret").await;
                    assert!(head.is_empty() || head.starts_with("GET / HTTP/1.1\r\nhost: "), "{head}");
                }
            };
            let (answer, ()) = join(network.get("/".into()), scripted).await;
            answers.borrow_mut().push(answer);
        }
    });
    let mut answers = answers.into_inner();
    assert!(answers.windows(2).all(|two| two[0] == two[1]), "{answers:?}");
    answers.pop().unwrap()
}

#[test]
fn a_server_of_a_trusted_authority_is_spoken_to() {
    let authority = Authority::new();
    let named = authority.server("server.test");
    assert_eq!(get("https://server.test", authority.trusted(), &named, None), body("secret"));
    let der = Tls::new().roots(Roots::None).add_root(authority.der.to_vec());
    assert_eq!(get("https://server.test:8443", der, &named, None), body("secret"));
    let both = Tls::new().roots(Roots::Bundled).add_root(authority.pem.as_bytes());
    assert_eq!(get("wss://server.test", both, &named, None), body("secret"));
    let addressed = authority.server("127.0.0.1");
    assert_eq!(get("https://127.0.0.1", authority.trusted(), &addressed, None), body("secret"));
}

#[test]
fn a_certificate_that_is_wrong_is_refused_by_name() {
    let authority = Authority::new();
    let refused = |url, identity: &Identity| get(url, authority.trusted(), identity, None);
    let fault = |fault| Err(Failure::Tls(fault));
    for name in ["stranger", "authority"] {
        let stranger = Authority::named(name).server("server.test");
        assert_eq!(refused("https://server.test", &stranger), fault(TlsFault::UnknownIssuer), "{name}");
    }
    let other = authority.server("other.test");
    assert_eq!(refused("https://server.test", &other), fault(TlsFault::WrongName));
    let named = authority.server("server.test");
    assert_eq!(refused("https://127.0.0.1", &named), fault(TlsFault::WrongName));
    // By the clock of the simulation, which begins with 2026.
    let expired = authority.issue("server.test", |params| params.not_after = date_time_ymd(2025, 12, 31));
    assert_eq!(refused("https://server.test", &expired), fault(TlsFault::Expired));
    let early = authority.issue("server.test", |params| params.not_before = date_time_ymd(2026, 1, 2));
    assert_eq!(refused("https://server.test", &early), fault(TlsFault::NotYetValid));
    let lasting = authority.issue("server.test", |params| {
        params.not_before = date_time_ymd(2025, 12, 31);
        params.not_after = date_time_ymd(2026, 1, 2);
    });
    assert_eq!(refused("https://server.test", &lasting), body("secret"));
    let of_client = authority.issue("server.test", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    assert_eq!(refused("https://server.test", &of_client), fault(TlsFault::BadCertificate));
    // Neither the system's authorities nor Mozilla's know ours.
    let bundled = Tls::new().roots(Roots::Bundled);
    assert_eq!(get("https://server.test", bundled, &named, None), fault(TlsFault::UnknownIssuer));
}

#[test]
fn a_certificate_that_a_server_issued_to_itself_can_be_trusted() {
    // As `openssl req -x509` makes them, and as it should be.
    for of_authority in [true, false] {
        let own = |name: &str, change: &dyn Fn(&mut CertificateParams)| {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
            if of_authority {
                params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            }
            change(&mut params);
            let certificate = params.self_signed(&key).unwrap();
            Identity { chain: vec![certificate.der().clone()], pem: certificate.pem(), key }
        };
        let trusting = |identity: &Identity| Tls::new().roots(Roots::None).add_root(identity.pem.as_bytes());
        let refused = |fault| Err(Failure::Tls(fault));
        let mine = own("server.test", &|_| {});
        assert_eq!(get("https://server.test", trusting(&mine), &mine, None), body("secret"));
        let other = own("server.test", &|_| {});
        assert_eq!(
            get("https://server.test", trusting(&other), &mine, None),
            refused(TlsFault::UnknownIssuer)
        );
        let elsewhere = own("other.test", &|_| {});
        assert_eq!(
            get("https://server.test", trusting(&elsewhere), &elsewhere, None),
            refused(TlsFault::WrongName)
        );
        let expired = own("server.test", &|params| params.not_after = date_time_ymd(2025, 12, 31));
        assert_eq!(
            get("https://server.test", trusting(&expired), &expired, None),
            refused(TlsFault::Expired)
        );
    }
}

#[test]
fn whoever_wants_danger_gets_it() {
    let stranger =
        Authority::new().issue("other.test", |params| params.not_after = date_time_ymd(2000, 1, 1));
    let any = Tls::new().roots(Roots::None).dangerous_accept_any_certificate();
    assert_eq!(get("https://server.test", any, &stranger, None), body("secret"));
}

/// Looks at nothing but the bytes: a certificate that was pinned.
#[derive(Debug)]
struct Pinned(CertificateDer<'static>, WebPkiSupportedAlgorithms);

impl ServerCertVerifier for Pinned {
    fn verify_server_cert(
        &self,
        shown: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        if *shown != self.0 {
            return Err(CertificateError::ApplicationVerificationFailure.into());
        }
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, shown, signed, &self.1)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        shown: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, shown, signed, &self.1)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.1.supported_schemes()
    }
}

#[test]
fn a_configuration_of_rustls_decides_over_ciphers_and_identities() {
    let identity = Authority::new().server("other.test");
    let suites = ring::ALL_CIPHER_SUITES.iter().filter(|suite| suite.tls13().is_some());
    for suite in suites {
        let other = ring::ALL_CIPHER_SUITES.iter().find(|other| other.tls13().is_some() && other != &suite);
        for (served, is_shared) in [(suite, true), (other.unwrap(), false)] {
            for pinned in [true, false] {
                let der = if pinned { identity.chain[0].clone() } else { Authority::new().der };
                let own = CryptoProvider { cipher_suites: vec![*suite], ..ring::default_provider() };
                let algorithms = own.signature_verification_algorithms;
                let mut own = rustls::ClientConfig::builder_with_provider(own.into())
                    .with_protocol_versions(&[&rustls::version::TLS13])
                    .unwrap()
                    .dangerous()
                    .with_custom_certificate_verifier(Arc::new(Pinned(der, algorithms)))
                    .with_no_client_auth();
                // Which is not what a connection speaks, nor what the server has.
                own.alpn_protocols = vec![b"h2".to_vec()];
                let provider = CryptoProvider { cipher_suites: vec![*served], ..ring::default_provider() };
                let mut server = ServerConfig::builder_with_provider(provider.into())
                    .with_protocol_versions(&[&rustls::version::TLS13])
                    .unwrap()
                    .with_no_client_auth()
                    .with_single_cert(identity.chain.clone(), identity.key())
                    .unwrap();
                server.alpn_protocols = vec![b"http/1.1".to_vec()];
                let answer = get_from("https://server.test", Tls::of(own.into()), &server, !is_shared);
                let expected = match (is_shared, pinned) {
                    (true, true) => body("secret"),
                    (true, false) => Err(Failure::Tls(TlsFault::BadCertificate)),
                    (false, _) => Err(Failure::Tls(TlsFault::Refused)),
                };
                assert_eq!(answer, expected, "{suite:?} {served:?} {pinned}");
            }
        }
    }
}

#[test]
fn a_client_shows_who_it_is_where_it_is_asked() {
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let server = authority.server("server.test");
    let me = of_clients.issue("me", |params| {
        params.extended_key_usages = vec![rcgen::ExtendedKeyUsagePurpose::ClientAuth];
    });
    let known = || authority.trusted().identity(me.pem.as_bytes(), me.key.serialize_pem());
    assert_eq!(get("https://server.test", known(), &server, Some(&of_clients)), body("secret"));
    assert_eq!(get("https://server.test", known(), &server, None), body("secret"));
    // Nobody, and somebody unknown.
    let refused = Err(Failure::Tls(TlsFault::Refused));
    assert_eq!(get("https://server.test", authority.trusted(), &server, Some(&of_clients)), refused);
    let stranger = Authority::named("stranger").server("me");
    let unknown = authority.trusted().identity(stranger.pem.as_bytes(), stranger.key.serialize_pem());
    assert_eq!(get("https://server.test", unknown, &server, Some(&of_clients)), refused);
}

#[test]
fn certificates_and_keys_may_be_in_files() {
    let folder = Folder::new("files");
    let (authority, of_clients) = (Authority::new(), Authority::new());
    let server = authority.server("server.test");
    let me = of_clients.server("me");
    let roots = folder.file("ca.pem", [&*of_clients.pem, &*authority.pem].concat());
    let chain = folder.file("me.pem", [&*me.pem, &*of_clients.pem].concat());
    let key = folder.file("key.pem", me.key.serialize_pem());
    let tls = Tls::new().roots(Roots::None).add_root_file(&roots).identity_files(&chain, &key);
    assert_eq!(get("https://server.test", tls, &server, Some(&of_clients)), body("secret"));
    let both = folder.file("both.pem", [me.key.serialize_pem(), me.pem].concat());
    let der = folder.file("ca.der", &authority.der);
    let tls = Tls::new().roots(Roots::None).add_root_file(der).identity_files(&both, &both);
    assert_eq!(get("https://server.test", tls, &server, Some(&of_clients)), body("secret"));
}

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("socketio-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        std::fs::write(&path, content).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Only where the test below has asked, in a process of its own.
#[test]
fn roots_of_a_process() {
    if std::env::var_os("ROOTS_OF").is_none() {
        return;
    }
    let file = PathBuf::from(std::env::var_os("SSL_CERT_FILE").unwrap());
    let sim = Sim::new(1);
    let endpoint = Endpoint::parse("https://server.test").unwrap();
    let error = Network::new(sim.runtime(), endpoint, config(Tls::new())).map(drop).unwrap_err();
    assert!(matches!(error, SetupError::NoRoots), "{error}");
    let authority = Authority::new();
    std::fs::write(file, &authority.pem).unwrap();
    let answer = get("https://server.test", Tls::new(), &authority.server("server.test"), None);
    assert_eq!(answer, body("secret"));
    println!("roots: read");
}

#[test]
fn the_roots_of_the_machine_are_trusted() {
    let folder = Folder::new("roots");
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "client::net::tests::tls::roots_of_a_process", "--nocapture"])
        .env("ROOTS_OF", "")
        .env("SSL_CERT_FILE", folder.file("empty.pem", ""))
        .env_remove("SSL_CERT_DIR")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("roots: read"), "{text}{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn what_answers_without_tls_is_told_from_what_breaks() {
    let authority = Authority::new();
    for (said, fault) in [
        (&b"HTTP/1.1 400 Bad Request\r\n\r\n"[..], TlsFault::NotTls),
        (b"\x15\x03\x03\x00\x02\x02\x28", TlsFault::Refused),
        (b"", TlsFault::Other),
        (b"\x16\x03", TlsFault::Other),
    ] {
        play_at("https://server.test", config(authority.trusted()), |mut scene| async move {
            let network = scene.network.clone();
            let server = async {
                let mut peer = scene.accept().await;
                peer.more().await;
                peer.say(said).await;
                let _ = io::shutdown(&mut *peer.io).await;
                while peer.more().await {}
            };
            let (answer, ()) = join(network.get("/".into()), server).await;
            assert_eq!(answer, Err(Failure::Tls(fault)));
        });
    }
}

#[test]
fn a_response_that_is_cut_inside_tls_is_no_response() {
    let authority = Authority::new();
    let identity = authority.server("server.test");
    // The end of the connection is not the end of the body unless the server says so under encryption.
    for (head, whole) in
        [("Content-Length: 6\r\n\r\n", true), ("Content-Length: 7\r\n\r\n", false), ("\r\n", false)]
    {
        let identity = &identity;
        play_at("https://server.test", config(authority.trusted()), |mut scene| async move {
            let network = scene.network.clone();
            let server = async {
                let peer = scene.accept().await;
                let io = accept_tls(identity.server_config(None), peer.io).await.unwrap();
                let mut peer = Peer { io, read: Vec::new() };
                peer.head().await;
                peer.say(format!("HTTP/1.1 200 OK\r\n{head}secret")).await;
                // Dropped, without the alert that says goodbye.
            };
            let (answer, ()) = join(network.get("/".into()), server).await;
            assert_eq!(answer, if whole { body("secret") } else { Err(Failure::Connection) }, "{head}");
        });
    }
}

#[test]
fn large_bodies_travel_encrypted_both_ways() {
    let authority = Authority::new();
    let identity = authority.server("server.test");
    play_at("https://server.test", config(authority.trusted()), |mut scene| {
        let identity = &identity;
        async move {
            let network = scene.network.clone();
            let large = Bytes::from_iter((0..100_000_u32).map(|n| n as u8));
            let client = async {
                let answer = network.post("/".into(), large.clone()).await;
                assert!(answer == Ok((200, large.clone())));
            };
            let server = async {
                let peer = scene.accept().await;
                let io = accept_tls(identity.server_config(None), peer.io).await.unwrap();
                let mut peer = Peer { io, read: Vec::new() };
                peer.head().await;
                let body = peer.bytes(large.len()).await;
                peer.say(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n", body.len())).await;
                peer.say(body).await;
            };
            join(client, server).await;
        }
    });
}

#[test]
fn a_websocket_is_encrypted_and_its_connection_closed_with_it() {
    let authority = Authority::new();
    let identity = authority.server("server.test");
    play_at("wss://server.test", config(authority.trusted()), |mut scene| {
        let identity = &identity;
        async move {
            let network = scene.network.clone();
            let client = async {
                let ws = network.websocket(Lane(1), "/socket.io/".into()).await.unwrap();
                drop(ws);
            };
            let server = async {
                let peer = scene.accept().await;
                let io = accept_tls(identity.server_config(None), peer.io).await.unwrap();
                let mut peer = Peer { io, read: Vec::new() };
                let head = peer.head().await;
                peer.say(super::websockets::switching(&head, "")).await;
                assert!(!peer.more().await);
            };
            join(client, server).await;
        }
    });
}

#[test]
fn tls_goes_through_tunnels_and_in_tls() {
    let authority = Authority::new();
    let (proxy, server) = (authority.server("proxy.test"), authority.server("behind.test"));
    for scheme in ["http", "https", "socks5"] {
        let network = NetworkConfig {
            proxy: Proxy::url(format!("{scheme}://proxy.test:3128")),
            ..config(authority.trusted())
        };
        play_behind("https://behind.test", 3128, network, |mut scene| {
            let (proxy, server) = (&proxy, &server);
            async move {
                let network = scene.network.clone();
                let script = async {
                    let mut peer = scene.accept().await;
                    if scheme == "https" {
                        peer.io = accept_tls(proxy.server_config(None), peer.io).await.unwrap();
                    }
                    if scheme == "socks5" {
                        assert_eq!(peer.bytes(3).await, b"\x05\x01\x00");
                        peer.say(b"\x05\x00").await;
                        assert_eq!(peer.bytes(18).await, b"\x05\x01\x00\x03\x0bbehind.test\x01\xBB");
                        peer.say(b"\x05\x00\x00\x01\0\0\0\0\0\0").await;
                    } else {
                        assert!(peer.head().await.starts_with("CONNECT behind.test:443 HTTP/1.1\r\n"));
                        peer.say("HTTP/1.0 200 OK\r\n\r\n").await;
                    }
                    assert!(peer.read.is_empty());
                    peer.io = accept_tls(server.server_config(None), peer.io).await.unwrap();
                    let head = peer.answer("secret").await;
                    assert!(head.starts_with("GET / HTTP/1.1\r\nhost: behind.test\r\n"), "{head}");
                };
                assert_eq!(join(network.get("/".into()), script).await.0, body("secret"), "{scheme}");
            }
        });
    }
}

#[test]
fn a_proxy_is_not_trusted_either() {
    let authority = Authority::new();
    let stranger = Authority::new().server("proxy.test");
    let network =
        NetworkConfig { proxy: Proxy::url("https://proxy.test:3128"), ..config(authority.trusted()) };
    play_behind("http://behind.test", 3128, network, |mut scene| {
        let stranger = &stranger;
        async move {
            let network = scene.network.clone();
            let server = async {
                let peer = scene.accept().await;
                assert!(accept_tls(stranger.server_config(None), peer.io).await.is_err());
            };
            let (answer, ()) = join(network.get("/".into()), server).await;
            assert_eq!(answer, Err(Failure::Proxy(ProxyFault::Tls(TlsFault::UnknownIssuer))));
        }
    });
}

#[test]
fn what_is_wrong_with_the_settings_is_said_at_once() {
    let setup = |url: &str, tls| {
        let sim = Sim::new(1);
        Network::new(sim.runtime(), Endpoint::parse(url).unwrap(), config(tls)).map(drop)
    };
    let fails = |tls| setup("https://server.test", tls).unwrap_err();
    let none = || Tls::new().roots(Roots::None);
    assert!(matches!(fails(none()), SetupError::NoRoots));
    let missing = fails(none().add_root_file("/nowhere/ca.pem"));
    assert!(matches!(missing, SetupError::TlsFile { .. }), "{missing:?}");
    assert!(missing.to_string().starts_with("cannot read /nowhere/ca.pem: No such file"), "{missing}");
    for nothing in ["", "hello", "-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----\n"] {
        let error = fails(none().add_root(nothing));
        assert!(matches!(error, SetupError::NoCertificate { path: None }), "{error:?}");
    }
    assert!(matches!(fails(none().add_root(b"\x30\x01\x00".to_vec())), SetupError::Tls(_)));
    let (one, two) = (Authority::new(), Authority::new());
    let me = one.server("me");
    let without_key = one.trusted().identity(me.pem.as_bytes(), me.pem.as_bytes());
    assert!(matches!(fails(without_key), SetupError::NoPrivateKey));
    let others_key = one.trusted().identity(me.pem.as_bytes(), two.server("me").key.serialize_pem());
    assert!(matches!(fails(others_key), SetupError::Tls(_)));
    let file = Tls::new().roots(Roots::Bundled).identity_files("/nowhere/a.pem", "/nowhere/b.pem");
    assert!(matches!(fails(file), SetupError::TlsFile { .. }));
    assert!(
        setup("https://a..b", one.trusted())
            .is_err_and(|error| matches!(error, SetupError::ServerName { .. }))
    );
    // Where nothing is encrypted nothing of it is looked at.
    assert!(setup("http://server.test", none()).is_ok());
    let printed = format!("{:?}", one.trusted().identity(me.pem.as_bytes(), me.key.serialize_pem()));
    assert!(!printed.contains("KEY"), "{printed}");
}
