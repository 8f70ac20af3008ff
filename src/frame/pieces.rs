//! Pieces: parts of an event whose columns repeat together, such as a user with its groups.
//!
//! A row keeps the number of its piece, and the codes of a piece stand once in a table of the chunk. Five
//! numbers a row stand so for more than twenty columns.

use super::schema::Column;
use super::vocabulary::NULL;

/// Columns that a `user` fills; the impersonated user's are the same of another row.
pub(super) const USER: [Column; 11] = [
    Column::Username,
    Column::UserUid,
    Column::UserGroups,
    Column::CredentialId,
    Column::TokenPod,
    Column::TokenPodUid,
    Column::TokenNode,
    Column::IdentityKind,
    Column::CredentialKind,
    Column::Credential,
    Column::IsMasters,
];

/// Where [`USER`] says whether the groups hold `system:masters`.
pub(super) const IS_MASTERS: usize = USER.len() - 1;

/// Columns that `sourceIPs` fills.
pub(super) const ADDRESSES: [Column; 3] = [Column::SourceIps, Column::ClientIp, Column::PeerIp];

/// Columns that an `objectRef` fills, but for what seldom repeats.
pub(super) const OBJECT: [Column; 5] = [
    Column::Resource,
    Column::Subresource,
    Column::Namespace,
    Column::ApiGroup,
    Column::ApiVersion,
];

/// Columns that `annotations` fill, likewise.
pub(super) const ANNOTATIONS: [Column; 6] = [
    Column::Decision,
    Column::AuthzReason,
    Column::LegacyToken,
    Column::LegacySecret,
    Column::LegacyInvalidated,
    Column::Truncated,
];

/// Codes of a piece of annotations: those of [`ANNOTATIONS`], and behind them 1 if there are others.
pub(super) const ANNOTATION_CODES: usize = ANNOTATIONS.len() + 1;

/// Columns that the origin of the record fills: the user's option or an envelope.
pub(super) const ORIGIN: [Column; 4] = [
    Column::Cluster,
    Column::LogNode,
    Column::LogStream,
    Column::Envelope,
];

/// Columns with a value of their own in each row.
pub(crate) const OWN: [Column; 9] = [
    Column::Stage,
    Column::Level,
    Column::Verb,
    Column::UserAgent,
    Column::Reason,
    Column::CredentialKind,
    Column::Credential,
    Column::Code,
    Column::Length,
];

/// Which of the pieces of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Piece {
    /// `user`
    User,
    /// `impersonatedUser`
    Impersonated,
    /// `sourceIPs`
    Addresses,
    /// `objectRef`
    Object,
    /// `annotations`
    Annotations,
    /// Where the record comes from.
    Origin,
}

impl Piece {
    /// All pieces.
    pub const ALL: [Self; 6] = [
        Self::User,
        Self::Impersonated,
        Self::Addresses,
        Self::Object,
        Self::Annotations,
        Self::Origin,
    ];
}

/// Where a frame keeps the codes of a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Home {
    /// In a buffer of its own.
    Own(usize),
    /// In the table of a piece.
    Piece(Piece, usize),
    /// Nowhere: it follows from others.
    Derived,
}

/// Returns where the codes of `column` are.
#[expect(clippy::inline_always, reason = "most callers name the column")]
#[inline(always)]
pub fn home(column: Column) -> Home {
    HOMES[column as usize]
}

const HOMES: [Home; Column::COUNT] = {
    let mut homes = [Home::Derived; Column::COUNT];
    let mut at = 0;
    while at < Column::COUNT {
        homes[at] = find_home(Column::ALL[at]);
        at += 1;
    }
    homes
};

const fn find_home(column: Column) -> Home {
    // What depends on more than one piece comes first.
    if let Some(at) = position(&OWN, column) {
        return Home::Own(at);
    }
    let (piece, at) = match column {
        // The flag is set if it is for the user or for the impersonated one.
        Column::IsMasters => return Home::Derived,
        Column::ImpUsername => (Piece::Impersonated, position(&USER, Column::Username)),
        Column::ImpGroups => (Piece::Impersonated, position(&USER, Column::UserGroups)),
        _ => {
            if let Some(at) = position(&USER, column) {
                (Piece::User, Some(at))
            } else if let Some(at) = position(&ADDRESSES, column) {
                (Piece::Addresses, Some(at))
            } else if let Some(at) = position(&OBJECT, column) {
                (Piece::Object, Some(at))
            } else if let Some(at) = position(&ORIGIN, column) {
                (Piece::Origin, Some(at))
            } else {
                (Piece::Annotations, position(&ANNOTATIONS, column))
            }
        }
    };
    match at {
        Some(at) => Home::Piece(piece, at),
        None => Home::Derived,
    }
}

/// Returns where `column` stands among `columns`.
pub(super) const fn position(columns: &[Column], column: Column) -> Option<usize> {
    let mut at = 0;
    while at < columns.len() {
        if columns[at] as usize == column as usize {
            return Some(at);
        }
        at += 1;
    }
    None
}

/// The distinct pieces of one kind in a chunk; number 0 is the piece that an event lacks.
#[derive(Debug, Clone)]
pub(super) struct Table<const N: usize> {
    rows: Vec<[u32; N]>,
}

impl<const N: usize> Table<N> {
    pub(super) fn new() -> Self {
        Self {
            rows: vec![[NULL; N]],
        }
    }

    pub(super) fn clear(&mut self) {
        self.rows.truncate(1);
    }

    pub(super) fn bytes(&self) -> usize {
        size_of_val(self.rows.as_slice())
    }

    /// Returns the number that the next piece gets.
    pub(super) fn len(&self) -> u32 {
        u32::try_from(self.rows.len()).expect("a chunk has fewer than 2^32 events")
    }

    /// Adds a piece; returns its number.
    pub(super) fn add(&mut self, codes: [u32; N]) -> u32 {
        let number = self.len();
        self.rows.push(codes);
        number
    }

    /// Returns the number of a piece that is probably the last one, or adds it.
    pub(super) fn find_or_add(&mut self, codes: [u32; N]) -> u32 {
        match self.rows.iter().rposition(|row| *row == codes) {
            Some(at) => u32::try_from(at).expect("a chunk has fewer than 2^32 events"),
            None => self.add(codes),
        }
    }

    #[inline]
    pub(super) fn get(&self, number: u32) -> &[u32; N] {
        &self.rows[number as usize]
    }
}
