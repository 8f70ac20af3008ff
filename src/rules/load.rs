//! From files to a [`RuleSet`]: the built-in ones, and folders of the user's own.

use std::collections::BTreeSet;
use std::path::Path;

use include_dir::{Dir, include_dir};
use rayon::prelude::*;
use walkdir::WalkDir;

use super::list::{self, List};
use super::sigma::{self, SigmaFile};
use super::{Rule, RuleError, RuleSet, analytic};

static EMBEDDED: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/queries");

/// Folders of `queries` that hold something else than rules.
const NO_RULES: [&str; 1] = ["questions/"];

/// One file.
struct RuleFile {
    /// As given, for people.
    path: String,
    /// Its path below `queries`, which says what it holds.
    below: String,
    text: String,
    /// Whether tests have looked at it.
    is_built_in: bool,
}

/// What a file holds.
enum RuleText {
    List(List),
    Analytics(Vec<Rule>),
    Sigma(SigmaFile),
}

impl RuleFile {
    fn parse(&self) -> Result<RuleText, Vec<RuleError>> {
        let Self {
            path,
            below,
            text,
            is_built_in,
        } = self;
        if below.starts_with("lists/") {
            list::parse(path, text).map(RuleText::List)
        } else if below.starts_with("analytics/") {
            analytic::parse(path, text).map(RuleText::Analytics)
        } else if *is_built_in {
            sigma::parse_checked(path, text).map(RuleText::Sigma)
        } else {
            sigma::parse(path, text).map(RuleText::Sigma)
        }
    }
}

/// Rules of several folders, and all that is wrong with them.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The rules, without those of wrong files.
    pub set: RuleSet,
    /// What is wrong with files.
    pub bad: Vec<RuleError>,
    /// What does not go together.
    pub conflicts: Vec<RuleError>,
}

impl RuleSet {
    /// Returns the rules in the binary.
    ///
    /// # Errors
    /// When a file is wrong; a test keeps that from shipping.
    pub fn embedded() -> Result<Self, Vec<RuleError>> {
        let mut set = Self::from_texts(embedded_files(), true)?;
        set.rules
            .iter_mut()
            .for_each(|rule| rule.meta.is_built_in = true);
        set.lists
            .iter_mut()
            .for_each(|list| list.is_built_in = true);
        Ok(set)
    }

    /// Returns the rules of `files`, pairs of a path below `queries` and a text.
    ///
    /// Files in `analytics/` are native analytics, those in `lists/` lists, the others Sigma. The order of `files`
    /// does not matter.
    ///
    /// # Errors
    /// When any file is wrong: all problems, each with its place.
    pub fn from_files<P, T>(files: impl IntoIterator<Item = (P, T)>) -> Result<Self, Vec<RuleError>>
    where
        P: AsRef<str>,
        T: AsRef<str>,
    {
        Self::from_texts(files, false)
    }

    fn from_texts<P, T>(
        files: impl IntoIterator<Item = (P, T)>,
        is_built_in: bool,
    ) -> Result<Self, Vec<RuleError>>
    where
        P: AsRef<str>,
        T: AsRef<str>,
    {
        let mut errors = Vec::new();
        let mut set = Self::default();
        let files = files.into_iter().map(|(path, text)| RuleFile {
            path: path.as_ref().to_owned(),
            below: path.as_ref().to_owned(),
            text: text.as_ref().to_owned(),
            is_built_in,
        });
        set.add_files(&files.collect::<Vec<_>>(), &mut errors);
        set.check(&mut errors);
        if errors.is_empty() {
            Ok(set)
        } else {
            Err(errors)
        }
    }

    /// Returns the built-in rules with those of `folders`, which replace what has the same id or name, and all that is wrong
    /// with them.
    ///
    /// # Errors
    /// When the built-in rules are wrong; a test keeps that from shipping.
    pub fn load(folders: &[impl AsRef<Path>]) -> Result<Loaded, Vec<RuleError>> {
        let mut set = Self::embedded()?;
        let mut bad = Vec::new();
        for folder in folders {
            let files = read_folder(folder.as_ref(), &mut bad);
            set.add_files(&files, &mut bad);
        }
        let mut conflicts = Vec::new();
        set.check(&mut conflicts);
        Ok(Loaded {
            set,
            bad,
            conflicts,
        })
    }

    /// Adds rules and lists; of equal id or name the later files win over what was there before.
    fn add_files(&mut self, files: &[RuleFile], errors: &mut Vec<RuleError>) {
        let mut files: Vec<&RuleFile> = files.iter().collect();
        files.sort_by(|left, right| left.below.cmp(&right.below));
        let mut added = Self::default();
        let parsed: Vec<_> = files.into_par_iter().map(RuleFile::parse).collect();
        for file in parsed {
            match file {
                Ok(RuleText::List(list)) => added.lists.push(list),
                Ok(RuleText::Analytics(rules)) => added.rules.extend(rules),
                Ok(RuleText::Sigma(file)) => {
                    added.rules.extend(file.rules);
                    added.filters.extend(file.filters);
                    added.warnings.extend(file.warnings);
                }
                Err(problems) => errors.extend(problems),
            }
        }
        let names: BTreeSet<&str> = added
            .rules
            .iter()
            .flat_map(|rule| [&*rule.meta.id, &*rule.meta.name])
            .collect();
        let is_replaced =
            |Rule { meta, .. }: &Rule| names.contains(&*meta.id) || names.contains(&*meta.name);
        let replaced = self.rules.iter().filter(|rule| is_replaced(rule));
        for Rule { meta, .. } in replaced.filter(|rule| !rule.meta.is_built_in) {
            let what = format!("rule `{}` is replaced by one of that name or id", meta.name);
            self.warnings.push(meta.error("title:", what));
        }
        self.rules.retain(|rule| !is_replaced(rule));
        self.lists
            .retain(|list| added.lists.iter().all(|other| other.name != list.name));
        self.rules.extend(added.rules);
        self.lists.extend(added.lists);
        self.filters.extend(added.filters);
        self.warnings.extend(added.warnings);
    }
}

/// Returns path and text of every embedded rule and list.
pub(super) fn embedded_files() -> Vec<(&'static str, &'static str)> {
    let mut files = Vec::new();
    let mut folders = vec![&EMBEDDED];
    while let Some(folder) = folders.pop() {
        folders.extend(folder.dirs());
        files.extend(folder.files().filter_map(|file| {
            let path = file.path().to_str()?;
            let text = || file.contents_utf8().expect("rule files are UTF-8");
            is_rule_file(path).then(|| (path, text()))
        }));
    }
    files
}

/// Folders whose files are no Sigma rules.
const KINDS: [&str; 2] = ["lists", "analytics"];

/// Returns the rule files below `folder`, which may be one of those of a folder of rules, or a file.
fn read_folder(folder: &Path, errors: &mut Vec<RuleError>) -> Vec<RuleFile> {
    let root = folder.display().to_string();
    let root = root.trim_end_matches('/');
    // A part of a folder of rules holds what its name says.
    let part = if folder.is_file() {
        folder.parent()
    } else {
        Some(folder)
    };
    let part = part
        .and_then(Path::file_name)
        .and_then(|name| name.to_str());
    let part = part.filter(|part| KINDS.contains(part));
    let (mut files, mut has_questions, n_errors) = (Vec::new(), false, errors.len());
    for entry in WalkDir::new(folder).follow_links(true).sort_by_file_name() {
        let read = entry.map_err(|error| (error.path().unwrap_or(folder).to_owned(), error.into()));
        let read = read.and_then(|entry| {
            let below = entry.path().strip_prefix(folder).unwrap_or(entry.path());
            let below = below.to_string_lossy().replace('\\', "/");
            let (path, below) = match below.as_str() {
                "" => (
                    root.to_owned(),
                    entry.file_name().to_string_lossy().into_owned(),
                ),
                _ => (format!("{root}/{below}"), below),
            };
            let below = part.map_or(below.clone(), |part| format!("{part}/{below}"));
            has_questions |= Path::new(&below)
                .extension()
                .is_some_and(|end| end == "sql");
            if !entry.file_type().is_file() || !is_rule_file(&below) {
                return Ok(None);
            }
            std::fs::read_to_string(entry.path())
                .map(|text| {
                    Some(RuleFile {
                        path,
                        below,
                        text,
                        is_built_in: false,
                    })
                })
                .map_err(|error| (entry.path().to_owned(), error))
        });
        match read {
            Ok(file) => files.extend(file),
            Err((path, cause)) => errors.push(RuleError {
                path: path.display().to_string(),
                line: None,
                what: format!("cannot read rules: {cause}"),
                hint: None,
            }),
        }
    }
    if files.is_empty() && !has_questions && errors.len() == n_errors {
        errors.push(RuleError {
            path: root.to_owned(),
            line: None,
            what: "there are no rules and no questions in here".to_owned(),
            hint: Some(
                "names of rules end in `.yml` or `.yaml`, of questions in `.sql`".to_owned(),
            ),
        });
    }
    files
}

fn is_rule_file(path: &str) -> bool {
    let extension = Path::new(path).extension();
    extension.is_some_and(|extension| extension == "yml" || extension == "yaml")
        && !NO_RULES.iter().any(|folder| path.starts_with(folder))
}
