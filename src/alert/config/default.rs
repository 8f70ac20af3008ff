//! The commented configuration that `kubescry alert init` writes.

/// Returns a configuration that is valid as it stands, with every key and its default in comments.
///
/// A line that begins with `#` and no blank is a key to uncomment; `# or:` precedes a key that excludes the one before.
pub const fn default_text() -> &'static str {
    include_str!("default.toml")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use super::*;
    use crate::alert::config::problem::Problems;
    use crate::alert::config::section::Section;
    use crate::alert::config::{parse, read, syntax};

    /// Takes the mark off the lines that are keys or tables.
    fn uncommented() -> String {
        let lines = default_text()
            .lines()
            .map(|line| match line.strip_prefix('#') {
                Some(rest) if rest.starts_with(|c: char| c.is_ascii_lowercase() || c == '[') => {
                    rest
                }
                _ => line,
            });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn default_is_valid_with_and_without_its_comments() {
        let config = parse(default_text(), Path::new("/etc/kubescry/alert.toml")).unwrap();
        assert_eq!(config.sinks.len(), 1);
        let full = parse(&uncommented(), Path::new("/etc/kubescry/alert.toml"))
            .unwrap_or_else(|errors| panic!("{errors}"));
        assert_eq!(full.sinks.len(), 12, "one of each type");
    }

    #[test]
    fn defaults_in_comments_are_those_of_the_code() {
        let full = parse(&uncommented(), Path::new("/etc/kubescry/alert.toml")).unwrap();
        let bare = "[[source]]\npath = \"/var/log/kubernetes/audit\"\ncluster = \"production\"\n";
        let bare = parse(bare, Path::new("/etc/kubescry/alert.toml")).unwrap();
        assert_eq!(
            (full.state, full.baseline, full.run),
            (bare.state, bare.baseline, bare.run)
        );
        assert_eq!(full.noise.cap_per_rule, bare.noise.cap_per_rule);
        assert_eq!(full.noise.renotify_after, bare.noise.renotify_after);
        assert_eq!(full.noise.resolve_after, bare.noise.resolve_after);
        assert_eq!(full.noise.recovered, bare.noise.recovered);
    }

    #[test]
    fn every_key_is_in_the_default() {
        let text = uncommented();
        let problems = Problems::new(&text);
        let table = syntax(&text, &problems).unwrap();
        read(
            Section::new(table.get_ref(), "the file", 0..0, &problems),
            Path::new("/etc"),
        );
        // Keys of each table as the text has them, in comments or not.
        let mut keys: BTreeMap<String, String> = BTreeMap::new();
        let mut name = String::from("the file");
        let mut common = String::new();
        for line in default_text().lines() {
            let line = line.trim_start_matches('#').trim_start();
            if line.starts_with('[') {
                line.clone_into(&mut name);
            }
            if let Some(of_type) = line.strip_prefix("type = \"") {
                name = format!("[[sink]] of type `{}`", of_type.trim_end_matches('"'));
            }
            if line.starts_with("Keys of every sink") {
                "common".clone_into(&mut name);
            }
            let line = line.strip_prefix("or: ").unwrap_or(line);
            if name == "common" {
                common.extend([line, "\n"]);
            }
            keys.entry(name.clone()).or_default().extend([line, "\n"]);
        }
        let mut n_keys = 0;
        for (table, key) in problems.asked() {
            if table == "the file" {
                assert!(
                    keys.contains_key(&format!("[{key}]"))
                        || keys.contains_key(&format!("[[{key}]]")),
                    "{key}"
                );
                continue;
            }
            n_keys += 1;
            let start = format!("{key} = ");
            let own = keys
                .get(&table)
                .unwrap_or_else(|| panic!("no {table} in the default"));
            let both = format!("{own}{common}");
            assert!(
                both.lines().any(|line| line.starts_with(&start)),
                "no `{key}` in {table}"
            );
        }
        assert!(n_keys > 100, "{n_keys}");
    }
}
