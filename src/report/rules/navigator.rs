//! A layer for the MITRE ATT&CK Navigator, layer file format 4.5.
//!
//! Left out on purpose: the tactic of a technique. The tags of a rule do not say which of its tactics goes with which
//! technique, and the Navigator drops an annotation whose technique is not of its tactic; without one it shows the
//! technique under all of its tactics.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::rules::RuleMeta;

/// The version of ATT&CK that tags are of: the last with `T1562` and one tactic for all defense evasion.
const ATTACK: &str = "18";
/// The first Navigator that reads the format.
const NAVIGATOR: &str = "4.9.0";
/// The version of the format.
const LAYER: &str = "4.5";
/// From few rules to many.
const COLORS: [&str; 2] = ["#cfe2f3", "#0b5394"];

/// A layer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Layer<'r> {
    name: &'static str,
    versions: Versions,
    domain: &'static str,
    description: String,
    sorting: u8,
    layout: Layout,
    techniques: Vec<Technique<'r>>,
    gradient: Gradient,
}

#[derive(Debug, Serialize)]
struct Versions {
    attack: &'static str,
    navigator: &'static str,
    layer: &'static str,
}

/// Shows what has a score, sub-techniques too.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Layout {
    #[serde(rename = "layout")]
    side: &'static str,
    #[serde(rename = "showID")]
    show_id: bool,
    show_name: bool,
    expanded_subtechniques: &'static str,
}

#[derive(Debug, Serialize)]
struct Technique<'r> {
    #[serde(rename = "techniqueID")]
    id: &'r str,
    score: usize,
    comment: String,
    enabled: bool,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Gradient {
    colors: [&'static str; 2],
    min_value: usize,
    max_value: usize,
}

/// Returns the layer of `rules`: techniques in the order of their ids.
pub(super) fn layer<'r>(rules: &[&'r RuleMeta]) -> Layer<'r> {
    let mut by_technique: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for meta in rules {
        for technique in &meta.attack {
            by_technique.entry(technique).or_default().push(&meta.name);
        }
    }
    let techniques: Vec<Technique<'_>> = by_technique
        .into_iter()
        .map(|(id, mut names)| {
            names.sort_unstable();
            names.dedup();
            Technique {
                id,
                score: names.len(),
                comment: names.join(", "),
                enabled: true,
            }
        })
        .collect();
    let highest = techniques.iter().map(|technique| technique.score).max();
    Layer {
        name: "kubescry",
        versions: Versions {
            attack: ATTACK,
            navigator: NAVIGATOR,
            layer: LAYER,
        },
        domain: "enterprise-attack",
        description: format!(
            "What {} rules of kubescry {} look for in Kubernetes audit logs; the score is the number of rules",
            rules.len(),
            env!("CARGO_PKG_VERSION")
        ),
        sorting: 3,
        layout: Layout {
            side: "side",
            show_id: true,
            show_name: true,
            expanded_subtechniques: "annotated",
        },
        techniques,
        gradient: Gradient {
            colors: COLORS,
            min_value: 0,
            // The format wants it above the lowest.
            max_value: highest.unwrap_or(1),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::rules::RuleSet;

    #[test]
    fn a_layer_has_what_the_format_asks_for() {
        let set = RuleSet::embedded().unwrap();
        let metas: Vec<&RuleMeta> = set.rules.iter().map(|rule| &rule.meta).collect();
        let layer: Value = serde_json::to_value(layer(&metas)).unwrap();
        assert_eq!(layer["versions"]["layer"], "4.5");
        assert_eq!(layer["domain"], "enterprise-attack");
        let techniques = layer["techniques"].as_array().unwrap();
        let granted = |technique: &&Value| technique["techniqueID"] == "T1098.006";
        let granted = techniques.iter().find(granted).unwrap();
        assert!(
            granted["comment"]
                .as_str()
                .unwrap()
                .contains("anonymous-granted")
        );
        let highest = layer["gradient"]["maxValue"].as_u64().unwrap();
        for technique in techniques {
            assert!(technique["score"].as_u64().unwrap() <= highest);
            assert!(technique.get("tactic").is_none());
        }
    }
}
