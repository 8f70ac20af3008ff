//! Secrets: read from the environment or a file, never printed.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// Longest secret, in bytes; more is surely the wrong file.
const MAX_BYTES: u64 = 64 * 1024;

/// A text that is printed by nobody: `Debug` hides it, and there is no `Display` and no `Serialize`.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// Returns the text, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[redacted]")
    }
}

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretSource {
    /// In the configuration itself; only a `url` may be there.
    Inline(Secret),
    /// In this variable of the environment.
    Env(String),
    /// In this file, without the line end at its end.
    File(PathBuf),
}

/// Why a secret cannot be had; holds where it should be, never what it is.
#[derive(Debug, Error)]
pub enum SecretError {
    /// The variable is not set, is empty, or is no Unicode.
    #[error("environment variable `{name}` is not set or empty")]
    Unset {
        /// The variable.
        name: String,
    },
    /// The file cannot be read.
    #[error("cannot read secret file `{}`: {source}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is open to others.
    #[error("secret file `{}` has mode {mode:04o}; take all rights from others, and writing from its group (0600)", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// Its permissions.
        mode: u32,
    },
    /// The file has no text, or far too much of it, or several lines.
    #[error("secret file `{}` does not hold one line of text", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
    },
}

impl SecretSource {
    /// Reads the secret; `environment` looks up a variable.
    ///
    /// # Errors
    /// When it is not there, or is in a file that others can read or change.
    pub fn read(
        &self,
        environment: &dyn Fn(&str) -> Option<String>,
    ) -> Result<Secret, SecretError> {
        match self {
            Self::Inline(secret) => Ok(secret.clone()),
            Self::Env(name) => environment(name)
                .filter(|value| !value.is_empty())
                .map(Secret)
                .ok_or_else(|| SecretError::Unset { name: name.clone() }),
            Self::File(path) => read_file(path),
        }
    }
}

fn read_file(path: &Path) -> Result<Secret, SecretError> {
    let unreadable = |source| SecretError::Unreadable {
        path: path.to_owned(),
        source,
    };
    let shape = || SecretError::Shape {
        path: path.to_owned(),
    };
    // A FIFO would block; a link is followed, since Kubernetes mounts secrets as links.
    if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
        return Err(shape());
    }
    let file = File::open(path).map_err(unreadable)?;
    check_mode(path, &file).map_err(unreadable)??;
    let mut text = String::new();
    file.take(MAX_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(unreadable)?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.len() as u64 > MAX_BYTES || line.contains(['\r', '\n', '\0']) {
        return Err(shape());
    }
    Ok(Secret(line.to_owned()))
}

/// Checks the permissions of the file that was opened, not of what has its name by now.
#[cfg(unix)]
fn check_mode(path: &Path, file: &File) -> io::Result<Result<(), SecretError>> {
    use std::os::unix::fs::MetadataExt;

    /// Others have no right, the group may read: Kubernetes sets 0440 with `fsGroup`.
    const FORBIDDEN: u32 = 0o037;
    let mode = file.metadata()?.mode() & 0o7777;
    if mode & FORBIDDEN == 0 {
        return Ok(Ok(()));
    }
    Ok(Err(SecretError::Open {
        path: path.to_owned(),
        mode,
    }))
}

#[cfg(not(unix))]
fn check_mode(_path: &Path, _file: &File) -> io::Result<Result<(), SecretError>> {
    Ok(Ok(()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_hide() {
        assert_eq!(
            format!("{:?}", Some(Secret::new("planted"))),
            "Some([redacted])"
        );
        let source = SecretSource::Inline(Secret::new("planted"));
        assert!(!format!("{source:?}").contains("planted"));
    }

    #[cfg(unix)]
    #[test]
    fn files_of_others_are_refused() {
        use std::os::unix::fs::PermissionsExt;

        fn check(content: &str, mode: u32, expected: Option<&str>) {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("secret");
            std::fs::write(&path, content).unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            let read = SecretSource::File(path).read(&|_| None);
            assert_eq!(
                read.as_ref().ok().map(Secret::expose),
                expected,
                "{mode:o} {read:?}"
            );
            assert!(read.is_ok() || !format!("{read:?}").contains("planted"));
        }
        check("planted\n", 0o600, Some("planted"));
        check("planted\r\n", 0o440, Some("planted"));
        for mode in [0o644, 0o666, 0o604, 0o620, 0o602] {
            check("planted", mode, None);
        }
        check("", 0o600, None);
        check("\n", 0o600, None);
        check("planted\nplanted", 0o600, None);
        check(&"x".repeat(100_000), 0o600, None);
    }

    #[test]
    fn variables_must_have_a_value() {
        let source = SecretSource::Env("TOKEN".to_owned());
        assert_eq!(
            source.read(&|_| Some("t".to_owned())).unwrap().expose(),
            "t"
        );
        assert!(source.read(&|_| Some(String::new())).is_err());
        assert!(source.read(&|_| None).is_err());
    }
}
