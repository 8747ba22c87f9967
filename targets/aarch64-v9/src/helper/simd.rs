//! Helpers of the SIMD and floating-point instructions.

crate::helper::helpers! { super::base::COUNT; }
