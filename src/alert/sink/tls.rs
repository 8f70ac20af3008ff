//! Certificates that a TLS server is checked against: those of the Mozilla list, or of a file instead.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// Returns the certificates in the PEM file `path`, at least one.
///
/// # Errors
/// When the file cannot be read or has none; in words that name the file.
pub(super) fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let bad = |what: &str| format!("`ca_file` `{}` {what}", path.display());
    let text = std::fs::read(path).map_err(|error| bad(&format!("cannot be read: {error}")))?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok(certificates),
        Ok(_) => Err(bad("holds no certificate in PEM")),
        Err(error) => Err(bad(&format!("is no PEM: {error}"))),
    }
}

/// Returns the settings of a TLS connection that trusts `ca_file`, or the Mozilla list without one.
///
/// # Errors
/// As [`certificates`], and when a certificate is damaged.
pub(super) fn client(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, String> {
    let mut roots = RootCertStore::empty();
    match ca_file {
        None => roots.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Some(path) => {
            for certificate in certificates(path)? {
                let bad = |error| format!("`ca_file` `{}`: {error}", path.display());
                roots.add(certificate).map_err(bad)?;
            }
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}
