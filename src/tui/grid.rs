//! Grids: the cursor of a list or table, and what of it is on the screen.

/// Where the cursor is, and which row is at the top.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Grid {
    /// Row of the cursor.
    pub row: usize,
    /// Column of the cursor.
    pub column: usize,
    /// First row on the screen.
    pub top: usize,
}

/// Which way is searched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To the end, then from the beginning.
    Forward,
    /// To the beginning, then from the end.
    Backward,
}

impl Direction {
    /// Returns all of `n` places in the order in which they are looked at: that of the cursor comes last.
    pub fn round(self, from: usize, n: usize) -> impl Iterator<Item = usize> {
        (1..=n).map(move |step| match self {
            Self::Forward => (from + step) % n,
            Self::Backward => (from + n - step) % n,
        })
    }
}

impl Grid {
    /// Moves the cursor by rows.
    pub fn step(&mut self, by: i64) {
        let by_rows = usize::try_from(by.unsigned_abs()).unwrap_or(usize::MAX);
        self.row = if by < 0 {
            self.row.saturating_sub(by_rows)
        } else {
            self.row.saturating_add(by_rows)
        };
    }

    /// Moves the cursor by columns.
    pub fn side(&mut self, by: i32) {
        self.column = self.column.saturating_add_signed(by as isize);
    }

    /// Brings the cursor back into a grid of so many rows and columns, and the screen to the cursor.
    pub fn settle(&mut self, rows: usize, columns: usize, height: usize) {
        self.row = self.row.min(rows.saturating_sub(1));
        self.column = self.column.min(columns.saturating_sub(1));
        let height = height.max(1);
        let lowest = (self.row + 1).saturating_sub(height);
        self.top = self.top.clamp(lowest, self.row.max(lowest));
        // No empty lines at the end while there are rows above.
        self.top = self.top.min(rows.saturating_sub(height));
    }

    /// Returns the rows on a screen of `height` lines.
    pub fn visible(&self, rows: usize, height: usize) -> std::ops::Range<usize> {
        self.top.min(rows)..self.top.saturating_add(height).min(rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cursor_is_always_on_the_screen() {
        for rows in 0..12 {
            for height in 0..6 {
                let mut grid = Grid::default();
                for by in [3, -1, 100, -2, -100, 7, i64::MAX, i64::MIN] {
                    grid.step(by);
                    grid.settle(rows, 3, height);
                    let visible = grid.visible(rows, height.max(1));
                    assert!(
                        rows == 0 || visible.contains(&grid.row),
                        "{grid:?} {rows} {height}"
                    );
                    assert!(rows < height || visible.len() == height.max(1).min(rows));
                }
            }
        }
    }
}
