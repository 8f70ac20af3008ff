//! What is odd about an event: what kube-apiserver never writes, so that somebody else has written or damaged it.

/// One thing that is odd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// A key stands twice in an object; the last value counts.
    RepeatedKey,
    /// A value is of another type than its field, or a time is none; the field is empty.
    WrongType,
    /// A text has half a surrogate pair, which is read as U+FFFD.
    HalfSurrogate,
    /// There are bytes that are no UTF-8, each of which is read as `?`.
    NotUtf8,
}

impl Oddity {
    const ALL: [Self; 4] = [
        Self::RepeatedKey,
        Self::WrongType,
        Self::HalfSurrogate,
        Self::NotUtf8,
    ];

    /// Returns how an event is that has it, for people.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::RepeatedKey => "with a repeated key",
            Self::WrongType => "with a value of a wrong type",
            Self::HalfSurrogate => "with half a surrogate pair",
            Self::NotUtf8 => "with bytes that are no UTF-8",
        }
    }
}

/// All that is odd about one event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Oddities(u8);

impl Oddities {
    /// Returns these and `oddity`.
    #[must_use]
    pub fn with(self, oddity: Oddity) -> Self {
        Self(self.0 | 1 << oddity as u8)
    }

    /// Returns whether nothing is odd.
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Returns each of them.
    pub fn iter(self) -> impl Iterator<Item = Oddity> {
        let has = move |oddity: &Oddity| self.0 >> *oddity as u8 & 1 == 1;
        Oddity::ALL.into_iter().filter(has)
    }
}
