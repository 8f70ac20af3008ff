//! Every shape by its pair of files, and what cannot be shown by files.

mod pairs;
mod records;
