//! A write of a role or a binding, and what the log tells of the object.

use crate::detect::json::Json;
use crate::detect::request::Request;
use crate::frame::vocabulary::known;

/// A write of a role or binding.
pub(super) struct Write<'w> {
    pub(super) request: &'w Request<'w>,
    pub(super) written: Json<'w>,
    /// The object as it is then, null if the log does not tell.
    pub(super) whole: Json<'w>,
    /// Whether lists of it come on top of what was there: a JSON patch.
    pub(super) is_addition: bool,
    pub(super) is_everyday: bool,
}

impl Write<'_> {
    pub(super) fn name(&self) -> Option<&str> {
        let named = || {
            let metadata = [&self.whole, &self.written].map(|object| object.get("metadata"));
            metadata
                .into_iter()
                .flatten()
                .find_map(|it| it.get("name")?.as_text())
        };
        match self.request.name() {
            "" => named().filter(|name| !name.is_empty()),
            name => Some(name),
        }
    }

    /// Returns whether what it wrote was not there before: it made the object, or is a patch of some of it.
    pub(super) fn is_difference(&self) -> bool {
        let is_part = self.request.verb() == known::PATCH && self.written.get("kind").is_none();
        self.request.made() || is_part
    }

    /// Returns what the object has under `key` then, as far as the log tells.
    pub(super) fn get(&self, key: &str) -> Option<&Json<'_>> {
        let value = self.whole.get(key).or_else(|| self.written.get(key));
        value.filter(|value| !value.is_null())
    }

    /// Returns whether an object of which nothing is told under `key` has nothing there.
    pub(super) fn says_all_of(&self, key: &str) -> bool {
        let is_whole = !self.whole.is_null() || self.request.verb() != known::PATCH;
        is_whole || self.written.get(key).is_some()
    }

    /// Returns whether the list under `key` comes on top of what was there.
    pub(super) fn adds(&self, key: &str) -> bool {
        self.is_addition && self.whole.get(key).is_none()
    }
}
