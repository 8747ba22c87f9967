//! Architectural features: which exist, and which bits of the ID registers say so.

include!(concat!(env!("OUT_DIR"), "/feature_names.rs"));
