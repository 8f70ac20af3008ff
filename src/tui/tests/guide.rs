//! The page of the user guide on keys: made of the table that the browser goes by.

use std::fmt::Write as _;
use std::path::Path;

use crate::tui::app::Context;
use crate::tui::keymap::{BINDINGS, Binding, Scope};

/// Set to anything, this variable writes the page anew.
const RENEW: &str = "KUBESCRY_WRITE_KEYS";

fn rows(out: &mut String, bindings: impl Iterator<Item = &'static Binding>) {
    out.push_str("\n| keys | what they do |\n| --- | --- |\n");
    for binding in bindings {
        let keys: Vec<String> = binding
            .keys
            .iter()
            .map(|key| format!("`{}`", key.name()))
            .collect();
        let _ = writeln!(out, "| {} | {} |", keys.join(" "), binding.help);
    }
}

fn page() -> String {
    let mut out = "# Keys of `kubescry browse`\n\n\
        Made from `keymap.rs`: `KUBESCRY_WRITE_KEYS=1 cargo test --lib keys_of_the_guide` writes it anew. `?` shows the keys of \
        the view you are in, and `:` finds whatever you can describe.\n\n## Everywhere\n"
        .to_owned();
    rows(
        &mut out,
        BINDINGS
            .iter()
            .filter(|binding| binding.scope == Scope::All),
    );
    for context in Context::ALL {
        let own = || {
            let bindings = BINDINGS.iter();
            bindings.filter(move |binding| binding.scope != Scope::All && binding.is_in(context))
        };
        if context == Context::Editor || own().next().is_none() {
            continue;
        }
        let _ = write!(out, "\n## In {}\n", context.name());
        rows(&mut out, own());
    }
    out.push_str(
        "\n## In the SQL editor and in forms\n\n\
        Letters are typed there.\n\n\
        | keys | what they do |\n| --- | --- |\n\
        | `Ctrl-r` | run the query, or ask the question |\n\
        | `Enter` | behind a semicolon: run the query; in a form: ask |\n\
        | `Tab` | complete a name of a table or column; without a word before it, leave the editor; in a form: next field |\n\
        | `Ctrl-p` `Ctrl-n` | earlier and later queries |\n\
        | `Esc` | out of the editor |\n\
        | `Ctrl-c` | twice: leave the program |\n",
    );
    out
}

#[test]
fn keys_of_the_guide_are_those_of_the_table() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tui/KEYS.md");
    if std::env::var_os(RENEW).is_some() {
        std::fs::write(&path, page()).unwrap();
    }
    let kept = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        kept == page(),
        "src/tui/KEYS.md is out of date: run with {RENEW}=1"
    );
}
