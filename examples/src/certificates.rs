//! A certificate and its key: from files, or made up.

use std::path::{Path, PathBuf};

use thiserror::Error;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::{self, ServerConfig};

/// Why there is no TLS. The text says what to do about it.
#[derive(Debug, Error)]
pub enum CertificateError {
    /// A file is missing, or may not be read.
    #[error(
        "cannot read {path}: {source}; give the files of your authority, or neither for a certificate that nobody trusts"
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: pem::Error,
    },
    /// A file has no certificate in it.
    #[error("{0} holds no certificate: it should begin with -----BEGIN CERTIFICATE-----")]
    NoCertificate(PathBuf),
    /// A file has no key in it.
    #[error("{0} holds no private key: it should begin with -----BEGIN PRIVATE KEY-----")]
    NoKey(PathBuf),
    /// The key is another one's.
    #[error("{key} is not the key of {certificate}: {source}")]
    Apart {
        /// The file of the certificate.
        certificate: PathBuf,
        /// The file of the key.
        key: PathBuf,
        /// What rustls says.
        source: rustls::Error,
    },
}

/// A configuration with the certificate chain and the key in these PEM files.
///
/// # Errors
/// [`CertificateError`].
pub fn from_files(certificate: &Path, key: &Path) -> Result<ServerConfig, CertificateError> {
    let chain = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect::<Result<Vec<_>, _>>)
        .map_err(|source| unreadable(certificate, source))?;
    if chain.is_empty() {
        return Err(CertificateError::NoCertificate(certificate.to_owned()));
    }
    let private = match PrivateKeyDer::from_pem_file(key) {
        Err(pem::Error::NoItemsFound) => return Err(CertificateError::NoKey(key.to_owned())),
        other => other.map_err(|source| unreadable(key, source))?,
    };
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, private);
    let apart =
        |source| CertificateError::Apart { certificate: certificate.to_owned(), key: key.to_owned(), source };
    Ok(with_http1(config.map_err(apart)?))
}

/// A configuration with a certificate for `localhost` that nobody signed.
///
/// # Errors
/// Those of the libraries, which have no reason to.
pub fn made_up() -> Result<ServerConfig, Box<dyn std::error::Error>> {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()])?;
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der())?;
    Ok(with_http1(
        ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.into()], key)?,
    ))
}

/// Websockets need HTTP/1.1.
fn with_http1(mut config: ServerConfig) -> ServerConfig {
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

fn unreadable(path: &Path, source: pem::Error) -> CertificateError {
    CertificateError::Unreadable { path: path.to_owned(), source }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    /// A directory that goes when its test does.
    struct Folder(PathBuf);

    impl Folder {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("socketio-{name}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        fn file(&self, name: &str, content: &str) -> PathBuf {
            let path = self.0.join(name);
            fs::write(&path, content).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    fn pair() -> (String, String) {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        (pem_of("CERTIFICATE", made.cert.der()), pem_of("PRIVATE KEY", &made.signing_key.serialize_der()))
    }

    fn pem_of(label: &str, der: &[u8]) -> String {
        use base64::Engine as _;
        let text = base64::engine::general_purpose::STANDARD.encode(der);
        format!("-----BEGIN {label}-----\n{text}\n-----END {label}-----\n")
    }

    #[test]
    fn a_certificate_and_its_key_are_taken() {
        let folder = Folder::new("good");
        let (certificate, key) = pair();
        let config =
            from_files(&folder.file("cert.pem", &certificate), &folder.file("key.pem", &key)).unwrap();
        assert_eq!(config.alpn_protocols, [b"http/1.1"]);
    }

    #[test]
    fn a_missing_file_is_named_with_what_to_do() {
        let folder = Folder::new("missing");
        let (certificate, _) = pair();
        let certificate = folder.file("cert.pem", &certificate);
        let nowhere = folder.0.join("nowhere.pem");
        for (certificate, key) in [(&nowhere, &certificate), (&certificate, &nowhere)] {
            let error = from_files(certificate, key).unwrap_err().to_string();
            assert!(
                error.contains("nowhere.pem") && error.contains("give the files of your authority"),
                "{error}"
            );
        }
    }

    #[test]
    fn files_in_the_wrong_place_are_told_apart() {
        let folder = Folder::new("swapped");
        let (certificate, key) = pair();
        let (certificate, key) = (folder.file("cert.pem", &certificate), folder.file("key.pem", &key));
        assert!(matches!(from_files(&key, &key), Err(CertificateError::NoCertificate(_))));
        assert!(matches!(from_files(&certificate, &certificate), Err(CertificateError::NoKey(_))));
        let other = folder.file("other.pem", &pair().1);
        let error = from_files(&certificate, &other).unwrap_err();
        assert!(error.to_string().contains("other.pem is not the key of"), "{error}");
    }
}
