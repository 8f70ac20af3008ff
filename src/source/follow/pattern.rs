//! Patterns, one name at a time.

use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};

use globset::{GlobBuilder, GlobMatcher};

use crate::source::follow::FollowError;
use crate::source::follow::expand::{DEPTH_MAX, SkipReason, Walk, is_hidden, is_pattern};
use crate::source::follow::files::{Files, Kind, Links};

impl<F: Files> Walk<'_, F> {
    /// Takes what matches `pattern`.
    pub(super) fn pattern(&mut self, pattern: &Path) {
        let mut root = PathBuf::new();
        let mut parts = Vec::new();
        for part in pattern.components() {
            match part {
                Component::Normal(name) if !parts.is_empty() || is_pattern(Path::new(name)) => {
                    match Part::new(&name.to_string_lossy()) {
                        Ok(part) => parts.push(part),
                        Err(cause) => {
                            let pattern = pattern.to_string_lossy().into_owned();
                            self.result
                                .errors
                                .push(FollowError::Pattern { pattern, cause });
                            return;
                        }
                    }
                }
                part => root.push(part),
            }
        }
        if root.as_os_str().is_empty() {
            root.push(".");
        }
        match self.files.stat(&root, Links::Follow) {
            Ok(_) => self.level(&root, &parts, 0),
            Err(cause) => self.fail(&root, cause),
        }
    }

    fn level(&mut self, folder: &Path, parts: &[Part], depth: usize) {
        let Some((part, rest)) = parts.split_first() else {
            return;
        };
        if depth >= DEPTH_MAX {
            return self.skip(folder.to_path_buf(), SkipReason::Deep);
        }
        if part.is_deep {
            self.level(folder, rest, depth);
        }
        let entries = self.entries(folder, |name| part.matches(name));
        for (path, stat) in entries {
            let below = if part.is_deep { parts } else { rest };
            if below.is_empty() {
                self.enter(&path, stat, depth + 1, true);
                continue;
            }
            let is_folder = match stat.kind {
                Kind::Folder => true,
                // Links are not entered by `**`, so that they lead in no circle.
                Kind::Link if self.links == Links::Follow && !part.is_deep => self
                    .files
                    .stat(&path, Links::Follow)
                    .is_ok_and(|stat| stat.kind == Kind::Folder),
                _ => false,
            };
            if is_folder {
                self.level(&path, below, depth + 1);
            } else if part.is_deep && rest.is_empty() {
                self.enter(&path, stat, depth + 1, true);
            }
        }
    }
}

/// One name of a pattern.
struct Part {
    /// `**`.
    is_deep: bool,
    with_dot: bool,
    matcher: GlobMatcher,
}

impl Part {
    fn new(text: &str) -> Result<Self, globset::Error> {
        let glob = GlobBuilder::new(text).literal_separator(true).build()?;
        Ok(Self {
            is_deep: text == "**",
            with_dot: text.starts_with('.'),
            matcher: glob.compile_matcher(),
        })
    }

    fn matches(&self, name: &OsStr) -> bool {
        (self.with_dot || !is_hidden(name)) && (self.is_deep || self.matcher.is_match(name))
    }
}
