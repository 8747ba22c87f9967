//! SHA-256 by the host's own instructions (SHA extensions), where it has them; what they compute is what [`super::crypto`] says in Rust.
#![allow(unsafe_code)] // Instructions that not every host has.

use std::arch::x86_64::*;

/// True if the host has them.
pub fn on_host() -> bool {
    is_x86_feature_detected!("sha") && is_x86_feature_detected!("ssse3")
}

fn vector(v: u128) -> __m128i {
    // SAFETY: both are 16 bytes without rules.
    unsafe { std::mem::transmute(v) }
}
fn number(v: __m128i) -> u128 {
    // SAFETY: as above.
    unsafe { std::mem::transmute(v) }
}

/// Four rounds on (abcd, efgh). The host's instruction does two, on (abef, cdgh) with the first letter in the highest word.
#[target_feature(enable = "sha,ssse3")]
fn rounds(abcd: u128, efgh: u128, work: u128) -> (u128, u128) {
    let (x, y) = (_mm_castsi128_ps(vector(abcd)), _mm_castsi128_ps(vector(efgh)));
    let abef = _mm_castps_si128(_mm_shuffle_ps::<0x11>(y, x));
    let cdgh = _mm_castps_si128(_mm_shuffle_ps::<0xbb>(y, x));
    let work = vector(work);
    let first = _mm_sha256rnds2_epu32(cdgh, abef, work);
    let second = _mm_sha256rnds2_epu32(abef, first, _mm_srli_si128::<8>(work));
    let (first, second) = (_mm_castsi128_ps(first), _mm_castsi128_ps(second));
    let (abcd, efgh) = (_mm_shuffle_ps::<0xbb>(second, first), _mm_shuffle_ps::<0x11>(second, first));
    (number(_mm_castps_si128(abcd)), number(_mm_castps_si128(efgh)))
}

#[target_feature(enable = "sha,ssse3")]
fn schedule0(vd: u128, vn: u128) -> u128 {
    number(_mm_sha256msg1_epu32(vector(vd), vector(vn)))
}

#[target_feature(enable = "sha,ssse3")]
fn schedule1(vd: u128, vn: u128, vm: u128) -> u128 {
    let middle = _mm_alignr_epi8::<4>(vector(vm), vector(vn));
    number(_mm_sha256msg2_epu32(_mm_add_epi32(vector(vd), middle), vector(vm)))
}

/// SHA256hash. Only where [`on_host`] says so.
pub fn hash(x: u128, y: u128, work: u128) -> (u128, u128) {
    debug_assert!(on_host());
    // SAFETY: the caller has asked `on_host`.
    unsafe { rounds(x, y, work) }
}

/// SHA256SU0, likewise.
pub fn su0(vd: u128, vn: u128) -> u128 {
    // SAFETY: the caller has asked `on_host`.
    unsafe { schedule0(vd, vn) }
}

/// SHA256SU1, likewise.
pub fn su1(vd: u128, vn: u128, vm: u128) -> u128 {
    // SAFETY: the caller has asked `on_host`.
    unsafe { schedule1(vd, vn, vm) }
}
