//! Gists: what the bodies of an event say that an analyst asks for, in short texts.
//!
//! Bodies are not kept, so this is read while their chunk is there. What the policy did not log is absent, which
//! never means "not so".

use std::fmt::Write as _;

use crate::detect::json::{Json, Keys};
use crate::detect::view;
use crate::frame::vocabulary::known;
use crate::frame::{Column, EventFrame};

/// What one event's bodies and annotations say; empty is absent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Gist {
    /// Role of a binding, as `ClusterRole/cluster-admin`.
    pub role_ref: String,
    /// Subjects of a binding, as `User/alice, ServiceAccount/default/web`.
    pub subjects: String,
    /// `ServiceAccount` of a Pod or template.
    pub pod_service_account: String,
    /// What makes it dangerous.
    pub pod_flags: String,
    /// Its images.
    pub pod_images: String,
    /// Whether the API server calls the API deprecated (annotation `k8s.io/deprecated`).
    pub is_deprecated: bool,
}

/// How many bytes of one text are kept.
const TEXT_BYTES: usize = 4096;

impl Gist {
    /// Returns the gists of those events that have one, by row.
    pub fn of_frame(frame: &EventFrame) -> Vec<(u32, Self)> {
        let keys = keys();
        let rows = 0..u32::try_from(frame.height()).expect("a chunk has fewer than 2^32 events");
        rows.filter_map(|row| Some((row, Self::of_row(frame, row as usize, &keys)?)))
            .collect()
    }

    fn of_row(frame: &EventFrame, row_idx: usize, keys: &Keys) -> Option<Self> {
        let (record, detail) = (frame.record(row_idx), frame.detail(row_idx));
        let annotations = detail.annotations.slice(record);
        let mut gist = Self {
            is_deprecated: annotations.contains("\"k8s.io/deprecated\":\"true\""),
            ..Self::default()
        };
        let verb = frame.code(Column::Verb, row_idx);
        let writes = matches!(verb, known::CREATE | known::UPDATE | known::PATCH);
        let bodies = [detail.request_object, detail.response_object];
        let [request, response] = bodies.map(|span| span.slice(record));
        if writes && !(request.is_empty() && response.is_empty()) {
            let vocabulary = frame.vocabulary();
            let resource = vocabulary.text(frame.code(Column::Resource, row_idx));
            let object = || view::object(vocabulary.text(verb), request, response, keys);
            match resource {
                "rolebindings" | "clusterrolebindings" => gist.binding(&object()),
                "pods"
                | "replicationcontrollers"
                | "deployments"
                | "daemonsets"
                | "statefulsets"
                | "replicasets"
                | "jobs"
                | "cronjobs" => gist.pod(&object()),
                _ => {}
            }
        }
        (gist != Self::default()).then_some(gist)
    }

    fn binding(&mut self, object: &Json<'_>) {
        let text = |value: &Json<'_>, key: &str| {
            let text = value.get(key).and_then(Json::as_text);
            text.unwrap_or_default().to_owned()
        };
        if let Some(role) = object.get("roleRef") {
            self.role_ref = format!("{}/{}", text(role, "kind"), text(role, "name"));
        }
        let subjects = object.get("subjects").and_then(Json::as_list);
        for subject in subjects.unwrap_or_default() {
            let (kind, name) = (text(subject, "kind"), text(subject, "name"));
            let namespace = text(subject, "namespace");
            let name = match &namespace[..] {
                "" => format!("{kind}/{name}"),
                namespace => format!("{kind}/{namespace}/{name}"),
            };
            join(&mut self.subjects, ", ", &name);
        }
    }

    fn pod(&mut self, object: &Json<'_>) {
        let Some(spec) = pod_spec(object) else { return };
        let account = spec.get("serviceAccountName").and_then(Json::as_text);
        account
            .unwrap_or_default()
            .clone_into(&mut self.pod_service_account);
        let is_true = |value: &Json<'_>, key: &str| value.get(key) == Some(&Json::Bool(true));
        let mut flags: Vec<String> = Vec::new();
        for key in ["hostNetwork", "hostPID", "hostIPC"] {
            if is_true(spec, key) {
                flags.push(key.to_owned());
            }
        }
        let volumes = spec.get("volumes").and_then(Json::as_list);
        if volumes
            .unwrap_or_default()
            .iter()
            .any(|volume| volume.get("hostPath").is_some_and(|path| !path.is_null()))
        {
            flags.push("hostPath".to_owned());
        }
        let is_root = |context: &Json<'_>| {
            context
                .get("runAsUser")
                .is_some_and(|user| matches!(user, Json::Number(number) if number.is_zero()))
        };
        if spec.get("securityContext").is_some_and(is_root) {
            flags.push("runAsRoot".to_owned());
        }
        for list in ["containers", "initContainers", "ephemeralContainers"] {
            let containers = spec.get(list).and_then(Json::as_list);
            for container in containers.unwrap_or_default() {
                let image = container.get("image").and_then(Json::as_text);
                join(&mut self.pod_images, ", ", image.unwrap_or_default());
                let Some(context) = container.get("securityContext") else {
                    continue;
                };
                if is_root(context) {
                    flags.push("runAsRoot".to_owned());
                }
                for key in ["privileged", "allowPrivilegeEscalation"] {
                    if is_true(context, key) {
                        flags.push(key.to_owned());
                    }
                }
                let added = context.get("capabilities").and_then(|caps| caps.get("add"));
                for name in added.and_then(Json::as_list).unwrap_or_default() {
                    let mut flag = "caps:".to_owned();
                    let _ = write!(flag, "{}", name.as_text().unwrap_or_default());
                    flags.push(flag);
                }
            }
        }
        flags.sort_unstable();
        flags.dedup();
        for flag in flags {
            join(&mut self.pod_flags, ", ", &flag);
        }
    }

    /// Returns how many bytes of memory it takes.
    pub(super) fn bytes(&self) -> usize {
        let texts = [
            &self.role_ref,
            &self.subjects,
            &self.pod_service_account,
            &self.pod_flags,
            &self.pod_images,
        ];
        size_of::<(u32, Self)>() + texts.map(String::len).iter().sum::<usize>()
    }
}

/// Returns the Pod that an object is or would make.
fn pod_spec<'j, 'a>(object: &'j Json<'a>) -> Option<&'j Json<'a>> {
    let spec = object.get("spec")?;
    let template = |spec: &'j Json<'a>| spec.get("template")?.get("spec");
    let job = spec
        .get("jobTemplate")
        .and_then(|job| job.get("spec"))
        .and_then(template);
    Some(job.or_else(|| template(spec)).unwrap_or(spec))
}

/// Appends `part`, as long as there is room.
fn join(text: &mut String, separator: &str, part: &str) {
    if part.is_empty() || text.len() + part.len() > TEXT_BYTES {
        return;
    }
    if !text.is_empty() {
        text.push_str(separator);
    }
    text.push_str(part);
}

fn keys() -> Keys {
    let mut keys = view::keys();
    for key in [
        "roleRef",
        "template",
        "jobTemplate",
        "serviceAccountName",
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "hostPath",
        "volumes",
        "securityContext",
        "runAsUser",
        "containers",
        "initContainers",
        "ephemeralContainers",
        "image",
        "privileged",
        "allowPrivilegeEscalation",
        "capabilities",
        "add",
    ] {
        keys.keep(key);
    }
    keys
}
