//! The C99 integer types that softfloat-sys names, as the x86-64 System V ABI (glibc) has them.
#![no_std]
#![allow(non_camel_case_types, missing_docs)]

pub type int_fast32_t = i64;
pub type int_fast64_t = i64;
pub type uint_fast8_t = u8;
pub type uint_fast32_t = u64;
pub type uint_fast64_t = u64;
