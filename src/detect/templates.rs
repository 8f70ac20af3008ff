//! What is remembered by the template of a request: what requests have in common that differ in audit ID, times and version
//! of the object only.

/// How many templates one of these remembers.
const SLOTS: usize = 8;

/// Answers by template, of the last few: a template that comes pushes another one out.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Templates<V> {
    templates: [u64; SLOTS],
    answers: [V; SLOTS],
}

impl<V: Copy> Templates<V> {
    /// Returns the answer of a template; of 0, which is no template, there is none.
    #[inline]
    pub(crate) fn get(&self, template: u64) -> Option<V> {
        let at = slot(template);
        (self.templates[at] == template && template != 0).then(|| self.answers[at])
    }

    /// Remembers the answer of a template.
    #[inline]
    pub(crate) fn insert(&mut self, template: u64, answer: V) {
        let at = slot(template);
        (self.templates[at], self.answers[at]) = (template, answer);
    }
}

/// Templates are numbered as they come, so the low bits tell those of one time apart.
#[expect(clippy::cast_possible_truncation, reason = "the low bits are meant")]
fn slot(template: u64) -> usize {
    template as usize % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_template_has_its_own_answer() {
        let mut templates = Templates::default();
        for round in 0..3 {
            for template in 0..40 {
                templates.insert(template, template + round);
                assert_eq!(
                    templates.get(template),
                    (template > 0).then_some(template + round)
                );
                // Another one in its place.
                assert_eq!(templates.get(template + 8), None);
            }
        }
    }
}
