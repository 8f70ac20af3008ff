//! What follows from a value of an event alone.

use super::vocabulary::{NULL, known};
use crate::decode::event::User;

/// Splits `system:serviceaccount:NAMESPACE:NAME`.
pub fn service_account(username: &str) -> Option<(&str, &str)> {
    username
        .strip_prefix("system:serviceaccount:")?
        .split_once(':')
}

/// Returns the user name of a `ServiceAccount`: what [`service_account`] splits.
pub fn service_account_user(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Says what kind of identity a user name is, by the prefixes of kubernetes/apiserver
/// `pkg/authentication/user`.
pub fn identity_kind(username: &str) -> &'static str {
    match username {
        "" => "none",
        "system:anonymous" => "anonymous",
        _ if service_account(username).is_some() => "serviceaccount",
        _ if username.starts_with("system:node:") => "node",
        _ if username.starts_with("system:bootstrap:") => "user",
        // The administrator's certificate of k3s, RKE2 and OpenShift.
        "system:admin" => "user",
        _ if username.starts_with("system:") => "component",
        _ => "user",
    }
}

/// Says how a request ended, by its HTTP status; null if it has no response yet.
pub(crate) fn outcome(code: u32) -> u32 {
    match code {
        0 => NULL,
        1..=399 => known::OK,
        401 => known::UNAUTHENTICATED,
        403 => known::DENIED,
        _ => known::ERROR,
    }
}

/// Says by which method the user authenticated, as far as `user` can tell.
pub(super) fn credential_kind(user: &User<'_>) -> &'static str {
    let is_service_account = service_account(&user.username).is_some();
    if user.username.is_empty() {
        "none"
    } else if user.username == "system:anonymous" {
        "anonymous"
    } else if user.credential_id.starts_with("X509SHA256=") {
        "x509"
    } else if is_service_account && !(user.pod_uid.is_empty() && user.node_name.is_empty()) {
        "bound-token"
    } else if is_service_account {
        "unbound-token"
    } else if user.credential_id.starts_with("JTI=") {
        "oidc"
    } else if user.username.starts_with("system:bootstrap:") {
        "bootstrap-token"
    } else if user.uid.contains("aws-iam-authenticator:")
        || !user.cloud_key.is_empty()
        || user.is_scoped
    {
        "webhook"
    } else {
        "unknown"
    }
}

/// Returns whether `text` has the form of a UUID (RFC 9562), in either case.
pub(crate) fn is_uuid(text: &[u8]) -> bool {
    const DASHES: [u8; 36] = {
        let mut dashes = [0; 36];
        (dashes[8], dashes[13], dashes[18], dashes[23]) = (1, 1, 1, 1);
        dashes
    };
    let Ok(text) = <&[u8; 36]>::try_from(text) else {
        return false;
    };
    // Every event is asked: without branches, many bytes are looked at together.
    let mut is_right = 1;
    for (byte, dash) in text.iter().zip(DASHES) {
        let is_digit = u8::from(byte.wrapping_sub(b'0') < 10);
        let is_letter = u8::from((byte | 0x20).wrapping_sub(b'a') < 6);
        let is_dash = u8::from(*byte == b'-');
        is_right &= (is_dash & dash) | ((is_digit | is_letter) & (dash ^ 1));
    }
    is_right == 1
}
