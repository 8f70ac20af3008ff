//! How a request ended, from what a log entry says of it.

use std::borrow::Cow;

use super::super::json::{self, Object, Writer};
use super::loose_text;

/// Returns the decision that the permission checks show; empty if they show none.
pub(super) fn granted(payload: &Object<'_>, status: Option<&Object<'_>>) -> &'static str {
    let checks = json::elements(payload.get_loose("authorizationInfo").unwrap_or_default());
    let grants: Vec<Cow<'_, str>> = checks
        .into_iter()
        .filter_map(Object::parse)
        .map(|check| loose_text(&check, "granted"))
        .collect();
    let is_refused = status.is_some_and(|status| status.text("code") == "7");
    // A false value is mostly left out, so an absent one alone says nothing.
    if grants.iter().any(|granted| granted == "false")
        || !grants.is_empty() && is_refused && grants.iter().any(|granted| granted.is_empty())
    {
        "forbid"
    } else if !grants.is_empty() && grants.iter().all(|granted| granted == "true") {
        "allow"
    } else {
        ""
    }
}

/// Returns the response status. A Status in the response is the API server's own word; the gRPC
/// code is a translation of it. Without both only a refusal is known.
pub(super) fn status(
    rpc: Option<&Object<'_>>,
    response: Option<&str>,
    verb: &str,
    decision: &str,
) -> Writer {
    let mut out = Writer::new();
    let response = response.and_then(Object::parse);
    let own = response.as_ref().filter(|response| {
        response.text("kind") == "Status"
            || matches!(&*response.text("status"), "Failure" | "Success")
                && response.get("code").is_some()
    });
    let success = if verb == "create" { 201 } else { 200 };
    let rpc_message = rpc.map(|rpc| rpc.text("message")).unwrap_or_default();
    if let Some(own) = own {
        out.text("status", &own.text("status"));
        let message = own.text("message");
        out.text(
            "message",
            if message.is_empty() {
                &rpc_message
            } else {
                &message
            },
        );
        out.text("reason", &own.text("reason"));
        let code = own.text("code").parse::<u16>().ok();
        let code = code.or_else(|| rpc.map(|rpc| http_code(rpc, success)));
        if let Some(code) = code.or_else(|| (own.text("status") == "Success").then_some(200)) {
            out.raw("code", &code.to_string());
        }
        return out;
    }
    let code = match rpc {
        // Code 0 is mostly left out, but then there is no message, and nothing was refused.
        Some(rpc) if !rpc_message.is_empty() && rpc.text("code").is_empty() => {
            out.text("message", &rpc_message);
            return out;
        }
        Some(rpc) if decision == "forbid" && matches!(&*rpc.text("code"), "" | "0") => 403,
        Some(rpc) => http_code(rpc, success),
        None if response.is_some() => success,
        None if decision == "forbid" => 403,
        None => return out,
    };
    out.text("message", &rpc_message);
    out.raw("code", &code.to_string());
    out
}

/// Translates `google.rpc.Code`; what is no gRPC code is an HTTP code already.
fn http_code(rpc: &Object<'_>, success: u16) -> u16 {
    match rpc.text("code").parse::<u16>().unwrap_or(0) {
        0 => success,
        1 => 499,
        3 => 400,
        4 => 504,
        5 => 404,
        6 => 409,
        7 => 403,
        8 => 429,
        9 => 400,
        10 => 409,
        11 => 400,
        12 => 501,
        14 => 503,
        16 => 401,
        code @ 100..=599 => code,
        _ => 500,
    }
}
