//! The decoder generated from `decode/*.decode`.
#![allow(clippy::all, missing_docs, unused_parens)]

include!(concat!(env!("OUT_DIR"), "/decode.rs"));
