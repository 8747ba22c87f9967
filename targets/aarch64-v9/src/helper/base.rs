//! Helpers of the base instructions.

crate::helper::helpers! { 0; }
