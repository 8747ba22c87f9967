//! Compiles text decode tables (`*.decode`) to Rust source, from a build script.
//!
//! A row says what the architecture says of one encoding: its name, its bits, the method that
//! translates it and the feature it needs. From the rows come a decoder, an operand struct and a
//! trait method per decode method, and a static table of the rows for listings and tests. The
//! syntax is in this package's `README.md`.
//!
//! Invariants: every error is found at build time and names `file:line`; two rows never match one
//! word unless the more general of them says `yields`; every row of a method supplies every
//! operand of that method; the generated code has no dependency.

mod emit;
mod gate;
mod parse;
mod table;
mod tree;

use std::fmt;
use std::path::Path;

pub use gate::Gate;
pub use table::{Action, Method, Operand, Piece, Row, Table};

/// How the generated source is to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// Path of the enum whose variants are the feature names without `FEAT_`, for example
    /// `crate::feature::Feature`. With `None` the generated source has its own `Feature`.
    pub feature: Option<String>,
    /// Name of the generated trait.
    pub trait_name: String,
}

impl Default for Options {
    fn default() -> Self {
        Options { feature: None, trait_name: "Decode".into() }
    }
}

/// A mistake in a table: where it is and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// `file:line`, or the file name if the file cannot be read.
    pub place: String,
    /// What is wrong and what to do.
    pub message: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.place, self.message)
    }
}

impl std::error::Error for Error {}

/// Reads and checks table files, in the order given.
pub fn load<P: AsRef<Path>>(paths: &[P]) -> Result<Table, Error> {
    let mut sources = Vec::new();
    for path in paths {
        let path = path.as_ref();
        let name = path.file_name().map_or_else(|| path.display().to_string(), |n| n.to_string_lossy().into_owned());
        let text = std::fs::read_to_string(path).map_err(|e| Error { place: path.display().to_string(), message: format!("cannot be read: {e}") })?;
        sources.push((name, text));
    }
    load_text(&sources)
}

/// Checks tables given as (file name, text).
pub fn load_text<N: AsRef<str>, T: AsRef<str>>(sources: &[(N, T)]) -> Result<Table, Error> {
    let mut parsed = parse::Source::default();
    for (name, text) in sources {
        parse::parse(name.as_ref(), text.as_ref(), &mut parsed)?;
    }
    table::check(parsed)
}

/// Compiles table files to Rust source: what a build script calls.
pub fn compile<P: AsRef<Path>>(paths: &[P], options: &Options) -> Result<String, Error> {
    Ok(emit(&load(paths)?, options))
}

/// The Rust source of a checked table.
pub fn emit(table: &Table, options: &Options) -> String {
    emit::emit(table, options)
}

/// The generated trait with its operand structs, for people: what a translator has to implement.
pub fn describe(table: &Table) -> String {
    emit::describe(table)
}
