//! What the query of a request says, read as the API server reads it.

use std::borrow::Cow;

/// Returns the first value of a parameter in the query of a URI.
pub fn parameter<'a>(uri: &'a str, key: &str) -> Option<Cow<'a, str>> {
    // Most queries have no such key at all, and to look is cheaper than to take them apart.
    let (_, query) = uri
        .split_once('?')
        .filter(|(_, query)| query.contains(key))?;
    if query.bytes().filter(|&byte| byte == b'&').count() >= PARAMETERS {
        return None;
    }
    let (_, value) = pairs(query).find(|(name, _)| name == key)?;
    Some(value)
}

/// Parameters that are read: of a query with more, Go reads none (`net/url`, `urlmaxqueryparams`).
const PARAMETERS: usize = 10_000;

/// Returns keys and values of a query as Go reads them: a pair with a semicolon or a wrong escape is passed over (Go `net/url`,
/// `ParseQuery`).
fn pairs(query: &str) -> impl Iterator<Item = (Cow<'_, str>, Cow<'_, str>)> {
    let is_escape = |text: &str| {
        let digits = text.as_bytes().first_chunk::<2>();
        digits.is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
    };
    let is_sound = move |pair: &&str| !pair.contains(';') && pair.split('%').skip(1).all(is_escape);
    let sound = query.split('&').filter(is_sound);
    sound.flat_map(|pair| form_urlencoded::parse(pair.as_bytes()))
}

/// Returns whether a request changes nothing: `dryRun=All`. A parameter of another name is none.
///
/// A deletion takes its options from its body, where clients write them, and heeds its query only if it has none
/// (kubernetes/apiserver `pkg/endpoints/handlers/delete.go`). Where the log does not hold bodies (`None`), its query proves
/// nothing.
pub fn is_dry_run(verb: &str, uri: &str, body: Option<&str>) -> bool {
    #[derive(serde::Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct DeleteOptions {
        dry_run: Vec<String>,
    }
    let by_query =
        || parameter(uri, "dryRun").is_some_and(|value| value == "All") && !is_connection(uri);
    match body {
        _ if matches!(verb, "get" | "list" | "watch") => false,
        _ if !verb.starts_with("delete") => by_query(),
        None => false,
        Some("") => by_query(),
        Some(body) => {
            let options = serde_json::from_str::<DeleteOptions>(body);
            options.is_ok_and(|options| options.dry_run.iter().any(|value| value == "All"))
        }
    }
}

/// Returns whether a path leads into a container or behind the API server, where no dry run is known.
fn is_connection(uri: &str) -> bool {
    let path = uri.split_once('?').map_or(uri, |(path, _)| path);
    let parts: Vec<&str> = path.split('/').collect();
    parts.windows(3).any(|parts| {
        matches!(parts[0], "pods" | "services" | "nodes")
            && matches!(parts[2], "exec" | "attach" | "portforward" | "proxy")
    })
}

/// Returns whether a request of this URI is for a selection of objects.
pub fn is_selective(uri: &str) -> bool {
    ["labelSelector", "fieldSelector"]
        .iter()
        .any(|key| parameter(uri, key).is_some_and(|value| !value.is_empty()))
}

/// Returns the command of an exec or attach request: its URI repeats the key `command`.
pub fn argv(uri: &str) -> Vec<String> {
    let query = uri.split_once('?').map_or("", |(_, query)| query);
    pairs(query)
        .filter(|(key, _)| key == "command")
        .map(|(_, value)| value.into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_read_as_the_api_server_reads_them() {
        let uri = "/api?fieldSelector=metadata.name%3Dx;&labelSelector=%zz&a=%4&limit=%35";
        assert_eq!(parameter(uri, "fieldSelector"), None);
        assert_eq!(parameter(uri, "labelSelector"), None);
        assert_eq!(parameter(uri, "limit").as_deref(), Some("5"));
        assert_eq!(argv("/exec?command=a;b&command=c&command=%0"), ["c"]);
        let dry =
            |n: usize| is_dry_run("create", &format!("/api?dryRun=All{}", "&".repeat(n)), None);
        assert!(dry(PARAMETERS - 1) && !dry(PARAMETERS));
        for path in ["exec", "attach", "portforward", "proxy", "proxy/x"] {
            let uri = format!("/api/v1/namespaces/a/pods/b/{path}?dryRun=All");
            assert!(!is_dry_run("create", &uri, None), "{path}");
        }
        assert!(!is_dry_run("list", "/api?dryRun=All", None));
        let proxy = "/api/v1/namespaces/proxy/pods?dryRun=All";
        assert!(is_dry_run("create", proxy, None));
    }

    #[test]
    fn parameters_are_told_by_their_whole_name() {
        let is_dry = |uri: &str| is_dry_run("create", uri, None);
        assert!(is_dry("/api/v1/pods?fieldManager=x&dryRun=All"));
        for uri in [
            "/api?xdryRun=All",
            "/api?dryRun=",
            "/api/dryRun=All",
            "/api?x=dryRun=All",
        ] {
            assert!(!is_dry(uri), "{uri}");
        }
        let uri = "/api/v1/namespaces/a/pods/b?dryRun=All";
        let plain = r#"{"kind":"DeleteOptions","apiVersion":"v1"}"#;
        let dry = r#"{"kind":"DeleteOptions","apiVersion":"v1","dryRun":["All"]}"#;
        assert!(is_dry_run("delete", "/api", Some(dry)));
        assert!(is_dry_run("delete", uri, Some("")));
        assert!(!is_dry_run("delete", uri, Some(plain)));
        assert!(!is_dry_run("deletecollection", uri, None));
        assert!(is_selective("/api?labelSelector=a%3Db"));
        assert!(!is_selective("/api?xlabelSelector=a&fieldSelector="));
    }

    #[test]
    fn commands_are_decoded() {
        let uri = "/api/v1/namespaces/a/pods/b/exec?command=sh&command=-c&command=cat+%2Fetc%2Fpasswd&container=c";
        assert_eq!(argv(uri), ["sh", "-c", "cat /etc/passwd"]);
        assert!(argv("/api").is_empty());
    }
}
