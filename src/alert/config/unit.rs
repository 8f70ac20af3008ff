//! Units that run `kubescry alert` on a schedule, ready to be installed.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Config, OcsfTarget, SinkKind};

/// What runs the unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnitKind {
    /// A line for `crontab -e` of root or `/etc/cron.d`.
    Crontab,
    /// A service and a timer.
    Systemd,
    /// A `CronJob`.
    Kubernetes,
}

/// What a unit names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnitPaths {
    /// The program, absolute.
    pub program: PathBuf,
    /// The configuration, absolute.
    pub config: PathBuf,
    /// The folder of the state, absolute.
    pub state_dir: PathBuf,
    /// Folders of the logs, absolute.
    pub logs: Vec<PathBuf>,
    /// Folders that sinks and dead letters write into, besides that of the state, absolute.
    pub written: Vec<PathBuf>,
    /// How often to run.
    pub every: Duration,
    /// The container image.
    pub image: String,
}

impl UnitPaths {
    /// Returns the paths of a configuration; of a source it is the folder before any `*`, `?` or `[`.
    pub fn new(program: &Path, path: &Path, config: &Config, image: &str) -> Self {
        let mut logs: Vec<PathBuf> = config
            .sources
            .iter()
            .map(|source| folder_of(&source.path))
            .collect();
        logs.sort();
        logs.dedup();
        Self {
            program: program.to_owned(),
            config: path.to_owned(),
            state_dir: config.state.dir.clone(),
            logs,
            written: written(config),
            every: config.run.every,
            image: image.to_owned(),
        }
    }
}

/// Returns the folders of all files that a run writes, but for those in the folder of the state.
fn written(config: &Config) -> Vec<PathBuf> {
    let files = config.sinks.iter().filter_map(|sink| match &sink.kind {
        SinkKind::File { path, .. }
        | SinkKind::Prometheus { path }
        | SinkKind::Ocsf(OcsfTarget::File(path)) => Some(path),
        _ => None,
    });
    let files = files.chain([&config.run.dead_letters]);
    let folders = files.filter_map(|path| path.parent());
    let folders = folders.filter(|folder| !folder.starts_with(&config.state.dir));
    let mut folders: Vec<PathBuf> = folders.map(Path::to_owned).collect();
    folders.sort();
    folders.dedup();
    folders
}

fn folder_of(path: &Path) -> PathBuf {
    let is_glob = |part: &std::ffi::OsStr| part.to_string_lossy().contains(['*', '?', '[']);
    let plain: PathBuf = path.iter().take_while(|part| !is_glob(part)).collect();
    // A file lies in a folder of logs, and its rotated siblings with it.
    if plain == path && path.extension().is_some() {
        return path.parent().unwrap_or(path).to_owned();
    }
    plain
}

/// Returns the text of a unit; of systemd the service and the timer, each behind a comment with its path.
pub fn print_unit(kind: UnitKind, paths: &UnitPaths) -> String {
    match kind {
        UnitKind::Crontab => crontab(paths),
        UnitKind::Systemd => systemd(paths),
        UnitKind::Kubernetes => kubernetes(paths),
    }
}

/// Returns the five fields of cron for `every`, rounded to what cron can say.
fn schedule(every: Duration) -> String {
    let minutes = every.as_secs() / 60;
    match (minutes, minutes / 60) {
        (0 | 1, _) => "* * * * *".to_owned(),
        (minutes @ 2..=59, _) => format!("*/{minutes} * * * *"),
        (_, hours @ 1..=23) => format!("7 */{hours} * * *"),
        _ => "7 3 * * *".to_owned(),
    }
}

fn crontab(paths: &UnitPaths) -> String {
    // cron reads `%` as a line end.
    let word = |path: &Path| shell_word(&path.to_string_lossy()).replace('%', "\\%");
    format!(
        "# Mails what is new, and nothing when nothing is; two runs never overlap, since the state is locked.\n\
         # In /etc/cron.d a user goes between the schedule and the program.\n\
         {} {} alert --config {}\n",
        schedule(paths.every),
        word(&paths.program),
        word(&paths.config),
    )
}

fn shell_word(text: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+,:@".contains(&byte);
    if !text.is_empty() && text.bytes().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

/// Returns a word of a systemd unit (systemd.syntax(7) and the specifiers of systemd.unit(5)).
fn systemd_word(path: &Path) -> String {
    let text = path
        .to_string_lossy()
        .replace('\\', "\\\\")
        .replace('"', "\\\"");
    let text = text.replace('%', "%%").replace('$', "$$");
    if text.contains([' ', '\t', '\'', '"', ';']) {
        format!("\"{text}\"")
    } else {
        text
    }
}

fn systemd(paths: &UnitPaths) -> String {
    let minutes = paths.every.as_secs() / 60;
    let calendar = match (minutes, minutes / 60) {
        (0 | 1, _) => "*:0/1".to_owned(),
        (minutes @ 2..=59, _) => format!("*:0/{minutes}"),
        (_, hours @ 1..=23) => format!("*-*-* 0/{hours}:07:00"),
        _ => "*-*-* 03:07:00".to_owned(),
    };
    let (program, config) = (systemd_word(&paths.program), systemd_word(&paths.config));
    let state = paths.state_dir.strip_prefix("/var/lib").ok();
    let state = match state.filter(|name| !name.as_os_str().is_empty()) {
        Some(name) => format!(
            "StateDirectory={}\nStateDirectoryMode=0700",
            systemd_word(name)
        ),
        None => format!("ReadWritePaths={}", systemd_word(&paths.state_dir)),
    };
    let logs: Vec<String> = paths
        .logs
        .iter()
        .map(|path| format!("-{}", systemd_word(path)))
        .collect();
    let logs = logs.join(" ");
    let written = match paths.written.as_slice() {
        [] => String::new(),
        folders => {
            let folders = folders
                .iter()
                .map(|path| format!("-{}", systemd_word(path)));
            let folders: Vec<String> = folders.collect();
            format!(
                "# What sinks write; a run makes no folder for it.\nReadWritePaths={}\n",
                folders.join(" ")
            )
        }
    };
    // One path to the end of the line, without quotes.
    let environment = paths.config.with_file_name("alert.env");
    let environment = environment.to_string_lossy().replace('%', "%%");
    format!(
        "# /etc/systemd/system/kubescry-alert.service
[Unit]
Description=Alerts from Kubernetes audit logs
Wants=network-online.target
After=network-online.target

[Service]
Type=oneshot
ExecStart={program} alert --config {config}
# Secrets that the configuration names with `*_env`.
EnvironmentFile=-{environment}
{state}
ReadOnlyPaths={logs}
{written}TimeoutStartSec=15min
UMask=0077
# Root reads its own logs without any capability.
CapabilityBoundingSet=
NoNewPrivileges=yes
ProtectSystem=strict
ProtectHome=yes
PrivateTmp=yes
PrivateDevices=yes
ProtectClock=yes
ProtectControlGroups=yes
ProtectHostname=yes
ProtectKernelLogs=yes
ProtectKernelModules=yes
ProtectKernelTunables=yes
ProtectProc=invisible
ProcSubset=pid
RestrictAddressFamilies=AF_INET AF_INET6 AF_UNIX
RestrictNamespaces=yes
RestrictRealtime=yes
RestrictSUIDSGID=yes
LockPersonality=yes
MemoryDenyWriteExecute=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
LimitCORE=0
Nice=10
IOSchedulingClass=idle

# /etc/systemd/system/kubescry-alert.timer
[Unit]
Description=Alerts from Kubernetes audit logs, on a schedule

[Timer]
OnCalendar={calendar}
Persistent=true
RandomizedDelaySec=30

[Install]
WantedBy=timers.target
"
    )
}

fn kubernetes(paths: &UnitPaths) -> String {
    // A JSON string is a YAML string.
    let text = |path: &Path| serde_json::Value::from(path.to_string_lossy()).to_string();
    let image = serde_json::Value::from(paths.image.as_str());
    let (mut mounts, mut volumes) = (String::new(), String::new());
    for (idx, path) in paths.logs.iter().enumerate() {
        // A place is mounted once.
        let is_read_only = !paths.written.contains(path);
        let path = text(path);
        write!(
            mounts,
            "
                - name: logs-{idx}
                  mountPath: {path}
                  readOnly: {is_read_only}"
        )
        .expect("memory can be written");
        write!(
            volumes,
            "
            - name: logs-{idx}
              hostPath:
                path: {path}
                type: Directory"
        )
        .expect("memory can be written");
    }
    let mut hints = String::new();
    let others = paths.written.iter().filter(|it| !paths.logs.contains(it));
    for (idx, folder) in others.enumerate() {
        let path = text(folder);
        if Some(folder.as_path()) == paths.config.parent() {
            writeln!(
                hints,
                "# A sink writes into {path}, where the configuration is, which is read-only here: give it another folder."
            )
            .expect("memory can be written");
            continue;
        }
        write!(
            mounts,
            "
                - name: sinks-{idx}
                  mountPath: {path}"
        )
        .expect("memory can be written");
        write!(
            volumes,
            "
            - name: sinks-{idx}
              hostPath:
                path: {path}
                type: DirectoryOrCreate"
        )
        .expect("memory can be written");
    }
    let (schedule, state) = (schedule(paths.every), text(&paths.state_dir));
    let (config_dir, config) = (
        text(paths.config.parent().unwrap_or(Path::new("/etc/kubescry"))),
        text(&paths.config),
    );
    let file = text(Path::new(paths.config.file_name().unwrap_or_default()));
    format!(
        "# One per control-plane node, with its name for NODE: a log is on the node whose API server wrote it, and so is what is
# remembered of it. With this in cronjob.yaml:
#   for node in $(kubectl get nodes -l node-role.kubernetes.io/control-plane -o name | cut -d/ -f2); do
#     sed \"s/NODE/$node/\" cronjob.yaml | kubectl apply -f -
#   done
# The configuration, and the files that it names beside it: kubectl create configmap kubescry-alert --from-file={file}
# Secrets that it names with `*_env`: kubectl create secret generic kubescry-alert --from-env-file=...
{hints}apiVersion: batch/v1
kind: CronJob
metadata:
  name: kubescry-alert-NODE
  labels:
    app.kubernetes.io/name: kubescry
spec:
  schedule: \"{schedule}\"
  concurrencyPolicy: Forbid
  startingDeadlineSeconds: 300
  successfulJobsHistoryLimit: 1
  failedJobsHistoryLimit: 3
  jobTemplate:
    spec:
      backoffLimit: 0
      activeDeadlineSeconds: 900
      template:
        metadata:
          labels:
            app.kubernetes.io/name: kubescry
        spec:
          restartPolicy: Never
          automountServiceAccountToken: false
          enableServiceLinks: false
          nodeName: NODE
          tolerations:
            - key: node-role.kubernetes.io/control-plane
              operator: Exists
              effect: NoSchedule
          securityContext:
            # Audit logs are root's; root without a capability reads them and can do little else.
            runAsUser: 0
            seccompProfile:
              type: RuntimeDefault
          containers:
            - name: kubescry
              image: {image}
              args: [\"alert\", \"--config\", {config}]
              envFrom:
                - secretRef:
                    name: kubescry-alert
                    optional: true
              securityContext:
                allowPrivilegeEscalation: false
                readOnlyRootFilesystem: true
                capabilities:
                  drop: [\"ALL\"]
              resources:
                requests: {{cpu: 100m, memory: 128Mi}}
                limits: {{memory: 1Gi}}
              volumeMounts:
                - name: config
                  mountPath: {config_dir}
                  readOnly: true
                - name: state
                  mountPath: {state}{mounts}
          volumes:
            - name: config
              configMap:
                name: kubescry-alert
            - name: state
              hostPath:
                path: {state}
                type: DirectoryOrCreate{volumes}
"
    )
}

#[cfg(test)]
mod tests;
