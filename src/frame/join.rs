//! Two frames to one.

use hashbrown::HashMap;

use super::pieces::{Piece, Table};
use super::{EventFrame, RowDetail, TextSpan};

impl EventFrame {
    /// Returns the events of two frames that are [detached](Self::detached) and of one file, those of `next` behind
    /// these.
    ///
    /// Shape: the rows of both, as they are there; pieces that both have stand once.
    #[must_use]
    pub fn joined(&self, next: &Self) -> Self {
        assert_eq!(self.file, next.file, "a frame is of one file");
        let mut tables = self.tables.clone();
        let users = add(&mut tables.users, &next.tables.users);
        let addresses = add(&mut tables.addresses, &next.tables.addresses);
        let objects = add(&mut tables.objects, &next.tables.objects);
        let annotations = add(&mut tables.annotations, &next.tables.annotations);
        let origins = add(&mut tables.origins, &next.tables.origins);
        let pieces = Piece::ALL.map(|piece| {
            let numbers = match piece {
                Piece::User | Piece::Impersonated => &users,
                Piece::Addresses => &addresses,
                Piece::Object => &objects,
                Piece::Annotations => &annotations,
                Piece::Origin => &origins,
            };
            let (ours, theirs) = (self.pieces(piece), next.pieces(piece));
            let theirs = theirs.iter().map(|&number| numbers[number as usize]);
            ours.iter().copied().chain(theirs).collect()
        });
        let behind = u32::try_from(self.kept.len()).expect("a frame keeps less than 2 GiB");
        // An absent text stands nowhere.
        let moved = |span: &TextSpan| match span.length {
            0 => TextSpan::default(),
            length => TextSpan {
                start: span.start + behind,
                length,
            },
        };
        let details = next.details.iter().map(|detail| RowDetail {
            record: moved(&detail.record),
            ..*detail
        });
        Self {
            vocabulary: self.vocabulary.clone(),
            text: String::new(),
            kept: [&*self.kept, &*next.kept].concat(),
            file: self.file,
            own: std::array::from_fn(|at| [&*self.own[at], &*next.own[at]].concat()),
            pieces,
            tables,
            texts: std::array::from_fn(|at| {
                let theirs = next.texts[at].iter().map(moved);
                self.texts[at].iter().copied().chain(theirs).collect()
            }),
            times: std::array::from_fn(|at| [&*self.times[at], &*next.times[at]].concat()),
            lines: [&*self.lines, &*next.lines].concat(),
            offsets: [&*self.offsets, &*next.offsets].concat(),
            details: self.details.iter().copied().chain(details).collect(),
        }
    }
}

/// Adds the pieces of `other` that `table` lacks; returns the numbers of all of them in `table`.
fn add<const N: usize>(table: &mut Table<N>, other: &Table<N>) -> Vec<u32> {
    // Of equal ones the first counts: number 0 is the piece that an event lacks.
    let numbers = (0..table.len()).rev();
    let mut known: HashMap<[u32; N], u32> =
        numbers.map(|number| (*table.get(number), number)).collect();
    let codes = (0..other.len()).map(|number| *other.get(number));
    codes
        .map(|codes| *known.entry(codes).or_insert_with(|| table.add(codes)))
        .collect()
}
