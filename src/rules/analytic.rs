//! Native analytics: their parameters and texts; the code is in `detect::analytics`.

use std::collections::BTreeMap;

use serde::Deserialize;
use yaml_serde::Value;

use super::meta::Head;
use super::{Rule, RuleBody, RuleError, RuleMeta, duration_us};
use crate::finding::RuleKind;

/// The parameters of one analytic.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    path: String,
    values: BTreeMap<String, Parameter>,
}

#[derive(Debug, Clone, PartialEq, Deserialize)]
#[serde(untagged)]
enum Parameter {
    Number(f64),
    Text(String),
    List(Vec<String>),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    id: String,
    name: String,
    title: String,
    description: String,
    level: String,
    #[serde(default)]
    references: Vec<String>,
    #[serde(default)]
    tags: Vec<String>,
    #[serde(default)]
    falsepositives: Vec<String>,
    #[serde(default)]
    parameters: BTreeMap<String, Parameter>,
    kubescry: Value,
}

/// Returns the analytic of one file.
///
/// # Errors
/// When the file is not YAML, lacks a key, or has one that is not known.
pub fn parse(path: &str, text: &str) -> Result<Vec<Rule>, Vec<RuleError>> {
    let file: File =
        yaml_serde::from_str(text).map_err(|error| vec![RuleError::of_yaml(path, &error)])?;
    let head = Head {
        kind: RuleKind::Analytic,
        id: Some(file.id),
        name: Some(file.name),
        title: file.title,
        description: Some(file.description),
        level: Some(file.level),
        tags: file.tags,
        false_positives: file.falsepositives,
        references: file.references,
        extension: Some(file.kubescry),
    };
    let meta = RuleMeta::new(path, text, head)?;
    let parameters = Parameters {
        path: path.to_owned(),
        values: file.parameters,
    };
    Ok(vec![Rule {
        meta,
        body: RuleBody::Analytic(parameters),
    }])
}

impl Parameters {
    /// Returns a number.
    ///
    /// # Errors
    /// When there is no such parameter, or it is not a number.
    pub fn number(&self, name: &str) -> Result<f64, RuleError> {
        match self.get(name)? {
            Parameter::Number(number) => Ok(*number),
            _ => Err(self.wrong(name, "a number")),
        }
    }

    /// Returns a whole number that is not negative.
    ///
    /// # Errors
    /// When there is no such parameter, or it is something else.
    pub fn count(&self, name: &str) -> Result<u32, RuleError> {
        let number = self.number(name)?;
        if number.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&number) {
            return Err(self.wrong(name, "a whole number"));
        }
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "whole and within the range of u32, as was just asked"
        )]
        Ok(number as u32)
    }

    /// Returns a duration such as `10m`, in microseconds.
    ///
    /// # Errors
    /// When there is no such parameter, or it is not a duration.
    pub fn duration_us(&self, name: &str) -> Result<i64, RuleError> {
        match self.get(name)? {
            Parameter::Text(text) => duration_us(text),
            _ => None,
        }
        .ok_or_else(|| self.wrong(name, "a duration such as 10m"))
    }

    /// Returns a list of texts; one text is a list of itself.
    ///
    /// # Errors
    /// When there is no such parameter, or it is a number.
    pub fn strings(&self, name: &str) -> Result<Vec<String>, RuleError> {
        match self.get(name)? {
            Parameter::Text(text) => Ok(vec![text.clone()]),
            Parameter::List(texts) => Ok(texts.clone()),
            Parameter::Number(_) => Err(self.wrong(name, "a text or a list of texts")),
        }
    }

    fn get(&self, name: &str) -> Result<&Parameter, RuleError> {
        self.values
            .get(name)
            .ok_or_else(|| self.error(format!("parameter `{name}` is missing")))
    }

    fn wrong(&self, name: &str, expected: &str) -> RuleError {
        self.error(format!("parameter `{name}` must be {expected}"))
    }

    fn error(&self, what: String) -> RuleError {
        RuleError {
            path: self.path.clone(),
            line: None,
            what,
            hint: None,
        }
    }
}
