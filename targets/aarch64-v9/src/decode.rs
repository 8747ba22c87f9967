//! The decoder that `decode/*.decode` compiles to: operand structs, the traits that the translator implements, the table of rows.
#![allow(missing_docs, clippy::all, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/decode.rs"));
