//! Order of time: exports hand events out newest first, or in the order of something else.

use std::cmp::Ordering;

use super::EventFrame;

impl EventFrame {
    /// Returns the time by which row `row_idx` has its place in the log, in microseconds: that of the stage, as the API server
    /// writes an event when a stage is over; 0 is null.
    pub fn place_in_time(&self, row_idx: usize) -> i64 {
        let [received, staged] = self.times.each_ref().map(|times| times[row_idx]);
        place_in_time(staged, received)
    }

    /// Puts the rows in order of time if they stand in none; returns whether they did not.
    ///
    /// An API server's own log has one event in fifty before its time, by fractions of a second, and stays as it is.
    pub fn put_in_order(&mut self) -> bool {
        let height = self.height();
        let steps = |way: Ordering| {
            let time = |row_idx| self.place_in_time(row_idx);
            let rows = (1..height).filter(|&row_idx| time(row_idx).cmp(&time(row_idx - 1)) == way);
            rows.count()
        };
        let descents = steps(Ordering::Less);
        if descents * 5 <= height + 4 {
            return false;
        }
        let mut rows: Vec<usize> = (0..height).collect();
        // Rows of one time stand as they did, but in an export that is turned round.
        if descents > steps(Ordering::Greater) {
            rows.reverse();
        }
        rows.sort_by_key(|&row_idx| self.place_in_time(row_idx));
        self.own.iter_mut().for_each(|codes| permute(codes, &rows));
        (self.pieces.iter_mut()).for_each(|numbers| permute(numbers, &rows));
        self.texts
            .iter_mut()
            .for_each(|spans| permute(spans, &rows));
        self.times
            .iter_mut()
            .for_each(|times| permute(times, &rows));
        permute(&mut self.lines, &rows);
        permute(&mut self.offsets, &rows);
        permute(&mut self.details, &rows);
        true
    }
}

/// Prefers the stage's time; 0 is null.
pub(crate) fn place_in_time(stage_time: i64, received: i64) -> i64 {
    if stage_time == 0 {
        received
    } else {
        stage_time
    }
}

fn permute<T: Copy>(values: &mut Vec<T>, rows: &[usize]) {
    *values = rows.iter().map(|&row_idx| values[row_idx]).collect();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::reading::Reading;
    use crate::frame::{Column, Vocabulary};

    fn frame(seconds: &[usize]) -> EventFrame {
        let lines = seconds.iter().enumerate().map(|(at, second)| {
            format!(
                r#"{{"kind":"Event","apiVersion":"audit.k8s.io/v1","level":"Metadata","auditID":"{at}","stage":"ResponseComplete","requestURI":"/{at}","verb":"get","user":{{"username":"u{at}"}},"requestReceivedTimestamp":"2026-11-22T04:55:{second:02}.000001Z","stageTimestamp":"2026-11-22T04:55:{second:02}.000002Z"}}"#
            )
        });
        let lines: Vec<String> = lines.collect();
        Reading::new(&Vocabulary::new()).chunk(&lines, true)
    }

    fn check(seconds: &[usize], expected: Option<&[usize]>) {
        let mut frame = frame(seconds);
        assert_eq!(frame.put_in_order(), expected.is_some(), "{seconds:?}");
        let as_read: Vec<usize> = (0..seconds.len()).collect();
        let order = expected.unwrap_or(&as_read);
        for (row_idx, at) in order.iter().enumerate() {
            // All of the row moves.
            assert_eq!(frame.text(Column::AuditId, row_idx), at.to_string());
            let username = frame.code(Column::Username, row_idx);
            assert_eq!(frame.vocabulary().text(username), format!("u{at}"));
            let record = frame.record(row_idx);
            assert!(record.contains(&format!(r#""requestURI":"/{at}""#)));
            assert!(record.contains(&format!("04:55:{:02}.000002Z", seconds[*at])));
        }
    }

    #[test]
    fn what_stands_in_no_order_of_time_is_sorted() {
        check(&[3, 2, 1], Some(&[2, 1, 0]));
        check(&[5, 4, 4, 1], Some(&[3, 2, 1, 0]));
        check(&[7, 1, 9, 2, 8, 3, 4, 0], Some(&[7, 1, 3, 5, 6, 0, 4, 2]));
    }

    #[test]
    fn what_an_api_server_writes_stays_as_it_is() {
        check(&[], None);
        check(&[1], None);
        check(&[2, 1], None);
        check(&[1, 2, 3, 5, 4, 6, 7, 8, 9, 10], None);
    }
}
