//! Remedies: what ends a credential, as commands that somebody may run. Nothing here runs anything.

use super::{link, page};
use crate::tui::document::{Document, Look, Part};
use crate::tui::pivot::Object;

/// What is known of a credential that matters to its end.
pub(super) struct Holder {
    pub(super) owner: String,
    pub(super) kind: String,
    /// The Pod that it is bound to.
    pub(super) pod: Option<Object>,
    pub(super) is_master: bool,
    pub(super) has_ended: bool,
    pub(super) uses_after_end: u64,
}

/// Appends what ends the credential of that key.
pub(super) fn section(document: &mut Document, key: &str, holder: &Holder) {
    document.heading("What ends it (suggestions, not run)");
    for remedy in remedies(key, holder) {
        match remedy {
            Remedy::Command(command) => page::item(document, [Part::new(&command, Look::Bold)]),
            Remedy::Words(text) => page::item(document, [text.as_str()]),
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum Remedy {
    Command(String),
    Words(String),
}

fn remedies(key: &str, holder: &Holder) -> Vec<Remedy> {
    let words = |text: &str| Remedy::Words(text.to_owned());
    let mut remedies = Vec::new();
    if holder.has_ended {
        remedies.push(words(if holder.uses_after_end > 0 {
            "Its object is gone and it is accepted still: look at what the API server checks (--service-account-lookup, \
             webhook and front-proxy authentication), and at the clocks."
        } else {
            "Its object is gone, and with it the credential."
        }));
    }
    let is_certificate = holder.kind == "x509" || key.starts_with("X509SHA256=");
    let account = link::object_of(&holder.owner);
    let account = account.filter(|object| object.resource == "serviceaccounts");
    if let Some((namespace, name)) = key
        .strip_prefix("secret:")
        .and_then(|secret| secret.split_once('/'))
    {
        remedies.push(delete("secret", namespace, name));
    } else if let Some(id) = holder.owner.strip_prefix("system:bootstrap:") {
        remedies.push(delete(
            "secret",
            "kube-system",
            &format!("bootstrap-token-{id}"),
        ));
    } else if let Some(pod) = &holder.pod {
        remedies.push(words("The token is bound to its Pod, and ends with it:"));
        remedies.push(delete("pod", &pod.namespace, &pod.name));
    } else if let Some(account) = account {
        if key.starts_with("legacy:") {
            remedies.push(words(
                "It is a token Secret of the ServiceAccount; this API server does not name which:",
            ));
            let namespace = quoted(&account.namespace);
            remedies.push(Remedy::Command(format!(
                "kubectl -n {namespace} get secrets --field-selector type=kubernetes.io/service-account-token"
            )));
        }
        remedies.push(words(
            "All tokens of the ServiceAccount end with it; make it again, then its Pods:",
        ));
        remedies.push(delete("serviceaccount", &account.namespace, &account.name));
    } else if is_certificate {
        remedies.push(words(if holder.is_master {
            "Kubernetes revokes no certificate, and no rule holds system:masters back: replace the CA that signed it \
             (`--client-ca-file`) and issue the others again."
        } else {
            "Kubernetes revokes no certificate: take the bindings of its user and groups away, or replace the CA that \
             signed it."
        }));
    } else {
        remedies.push(words(
            "It is not the cluster's own: end it where it was issued (identity provider, cloud, token file of the API \
             server), and take the bindings of its user away.",
        ));
    }
    if holder.is_master && !is_certificate {
        remedies.push(words(
            "No rule holds system:masters back: find what puts the user into that group.",
        ));
    }
    remedies
}

fn delete(kind: &str, namespace: &str, name: &str) -> Remedy {
    // A quote keeps the shell from a name, and two dashes kubectl.
    let end = if name.starts_with('-') { "-- " } else { "" };
    let (namespace, name) = (quoted(namespace), quoted(name));
    Remedy::Command(format!("kubectl -n {namespace} delete {kind} {end}{name}"))
}

/// Returns `text` as one word of a shell.
fn quoted(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-' | ':');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn holder(owner: &str, kind: &str) -> Holder {
        Holder {
            owner: owner.to_owned(),
            kind: kind.to_owned(),
            pod: None,
            is_master: false,
            has_ended: false,
            uses_after_end: 0,
        }
    }

    #[test]
    fn commands_name_what_ends_it() {
        let check = |key: &str, owner: &str, kind: &str, command: &str| {
            let remedies = remedies(key, &holder(owner, kind));
            let expected = Remedy::Command(command.to_owned());
            assert!(remedies.contains(&expected), "{key}: {remedies:?}");
        };
        let web = "system:serviceaccount:prod:web";
        check(
            "secret:prod/web-1",
            web,
            "legacy-token",
            "kubectl -n prod delete secret web-1",
        );
        check(
            "JTI=1",
            web,
            "unbound-token",
            "kubectl -n prod delete serviceaccount web",
        );
        check(
            "user:system:bootstrap:abcdef",
            "system:bootstrap:abcdef",
            "bootstrap-token",
            "kubectl -n kube-system delete secret bootstrap-token-abcdef",
        );
    }

    #[test]
    fn a_name_is_one_word_of_a_shell() {
        assert_eq!(quoted("web-1"), "web-1");
        assert_eq!(quoted("a; rm -rf /"), "'a; rm -rf /'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
        let command = "kubectl -n a delete pod -- --all".to_owned();
        assert_eq!(delete("pod", "a", "--all"), Remedy::Command(command));
        assert_eq!(quoted(""), "''");
    }
}
