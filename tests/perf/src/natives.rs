//! Kernels of which the host's own code is not much faster than QEMU's: the same work done by it, to see how much is possible. Others have sisters in C
//! (`programs/kernels.c`), or are so far from it that it does not matter.

#![allow(unsafe_code)] // code for what this host has

use crate::kernels::Kernel;
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// The host's code for a kernel, by name: repeats to checksum.
const ALL: &[(&str, fn(u64) -> u64)] = &[("fpmix", fpmix), ("acqrel", acqrel)];

/// CPU seconds that the host's own code takes, if there is such. Its checksum is the model's.
///
/// # Panics
/// If it is not.
pub fn seconds(kernel: &Kernel, repeats: u64) -> Option<f64> {
    let run = ALL.iter().find(|n| n.0 == kernel.name)?.1;
    let before = cpu_time();
    let sum = black_box(run(black_box(repeats)));
    let seconds = (cpu_time() - before).as_secs_f64();
    assert!(kernel.model.is_none_or(|model| model(repeats) == sum), "the host's own {} computes something else", kernel.name);
    Some(seconds)
}

/// CPU time of this thread.
fn cpu_time() -> Duration {
    let t = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(t.tv_sec.cast_unsigned(), t.tv_nsec as u32)
}

/// With the host's fused multiplications, if it has them.
fn fpmix(repeats: u64) -> u64 {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("fma") && std::arch::is_x86_feature_detected!("sse4.1") {
        #[target_feature(enable = "fma,sse4.1")]
        fn fused(repeats: u64) -> u64 {
            crate::kernels::mix_model(repeats)
        }
        // SAFETY: the host has both.
        return unsafe { fused(repeats) };
    }
    crate::kernels::mix_model(repeats)
}

fn acqrel(repeats: u64) -> u64 {
    let both = [AtomicU64::new(0), AtomicU64::new(0)];
    let [flag, data] = black_box(&both);
    let mut sum = 0u64;
    for _ in 0..repeats {
        let n = flag.load(Ordering::Acquire).wrapping_add(5);
        data.store(n, Ordering::Relaxed);
        fence(Ordering::Release);
        flag.store(n, Ordering::Release);
        fence(Ordering::SeqCst);
        let seen = data.load(Ordering::Relaxed);
        fence(Ordering::Acquire);
        sum = seen ^ sum << 1;
    }
    sum
}
