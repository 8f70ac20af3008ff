//! A webhook of anybody: the JSON of the finding, signed as Standard Webhooks 1.0 asks.
//!
//! Body: one object of `kubescry.finding/1` with `event` and `key`; with `batch` over 1 an array of them. Headers:
//! `Idempotency-Key` and `webhook-id` (the key of the alert, or one made of all keys of a batch), and with a secret
//! `webhook-timestamp` (seconds since 1970) and `webhook-signature` (`v1,` and the base64 of HMAC-SHA256 over
//! `id.timestamp.body`). A secret that begins with `whsec_` is base64 behind it.

use std::sync::Arc;
use std::time::Instant;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::Value;
use sha2::Sha256;

use super::alert::batch_key;
use super::clock::Clock;
use super::http::Http;
use super::json::{line, object};
use super::{Alert, Delivery, Sink, ocsf};
use crate::alert::config::{Format, Secret};

/// Posts alerts as JSON.
pub(super) struct Webhook {
    pub(super) name: String,
    pub(super) http: Http,
    pub(super) format: Format,
    pub(super) signing: Option<Secret>,
    pub(super) bearer: Option<Secret>,
    pub(super) is_array: bool,
    pub(super) clock: Arc<dyn Clock>,
}

impl Sink for Webhook {
    fn name(&self) -> &str {
        &self.name
    }

    fn send(&mut self, batch: &[&Alert], deadline: Instant) -> Delivery {
        let body = self.body(batch);
        let id = batch_key(batch);
        let mut headers = vec![
            ("idempotency-key", Secret::new(id.as_str())),
            ("webhook-id", Secret::new(id.as_str())),
        ];
        if let Some(secret) = &self.signing {
            let seconds = self.clock.wall().0.div_euclid(1_000_000).to_string();
            let signature = signature(secret, &id, &seconds, body.as_bytes());
            headers.push(("webhook-timestamp", Secret::new(seconds)));
            headers.push(("webhook-signature", Secret::new(signature)));
        }
        headers.extend(authorization(self.bearer.as_ref()));
        Delivery::all(batch.len(), self.http.post(&body, &headers, deadline))
    }

    fn preview(&self, batch: &[&Alert]) -> String {
        self.http.preview(&self.body(batch))
    }
}

impl Webhook {
    fn body(&self, batch: &[&Alert]) -> String {
        let objects = batch.iter().map(|alert| match self.format {
            Format::Ocsf => ocsf::object(alert),
            Format::Jsonl | Format::Text => object(alert),
        });
        let mut objects: Vec<Value> = objects.collect();
        match objects.pop() {
            Some(object) if !self.is_array && objects.is_empty() => line(&object),
            last => line(&objects.into_iter().chain(last).collect()),
        }
    }
}

/// Returns the header that shows a token, if there is one.
pub(super) fn authorization(bearer: Option<&Secret>) -> Option<(&'static str, Secret)> {
    bearer.map(|token| {
        (
            "authorization",
            Secret::new(format!("Bearer {}", token.expose())),
        )
    })
}

/// Returns the signature of Standard Webhooks over `id.seconds.body`.
fn signature(secret: &Secret, id: &str, seconds: &str, body: &[u8]) -> String {
    let encoded = secret.expose().strip_prefix("whsec_");
    let key = encoded
        .and_then(|text| BASE64_STANDARD.decode(text).ok())
        .unwrap_or_else(|| secret.expose().as_bytes().to_vec());
    let mut mac = Hmac::<Sha256>::new_from_slice(&key).expect("HMAC takes a key of any length");
    for part in [id.as_bytes(), b".", seconds.as_bytes(), b".", body] {
        mac.update(part);
    }
    format!("v1,{}", BASE64_STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_that_of_the_standard() {
        // The example of the Standard Webhooks libraries.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        let signature = signature(
            &secret,
            "msg_p5jXN8AQM9LWM0D4loKWxJek",
            "1614265330",
            br#"{"test": 2432232314}"#,
        );
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }
}
