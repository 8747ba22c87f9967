//! Kernels of which the host's own code is not much faster than QEMU's: the same work done by it, to see how much is possible. Others have sisters in C
//! (`programs/kernels.c`), or are so far from it that it does not matter.

#![allow(unsafe_code)] // code for what this host has

use crate::guest::random;
use crate::kernels::{ICALL_FUNCTIONS, Kernel, TLB_BYTES};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// The host's code for a kernel, by name: repeats to checksum.
const ALL: &[(&str, fn(u64) -> u64)] = &[("fpmix", fpmix), ("acqrel", acqrel), ("tlb", tlb), ("icall", icall), ("syscall", syscall)];

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

/// In memory as a process gets it, without large pages, as the emulator's has none. What it takes is the host's: page faults for memory that is
/// touched for the first time, its own walks, and misses of its caches; emu takes about as long.
fn tlb(repeats: u64) -> u64 {
    use rustix::mm::{Advice, MapFlags, ProtFlags, madvise, mmap_anonymous, munmap};
    let bytes = TLB_BYTES as usize;
    // SAFETY: a fresh mapping, which nobody else knows and which is gone at the end.
    unsafe {
        let memory = mmap_anonymous(std::ptr::null_mut(), bytes, ProtFlags::READ | ProtFlags::WRITE, MapFlags::PRIVATE)
            .unwrap_or_else(|e| panic!("no memory for the host's own tlb: {e}"));
        // A host without large pages has none to refuse.
        let _ = madvise(memory, bytes, Advice::LinuxNoHugepage);
        let words = std::slice::from_raw_parts_mut(memory.cast::<u64>(), bytes / 8);
        let (mut state, mut sum) = (53, 0u64);
        for n in (1..=repeats).rev() {
            state = random(state);
            // 28 bits of place, but for three.
            let word = &mut words[(state >> 39) as usize];
            *word = word.wrapping_add(n);
            sum = word.wrapping_add(sum << 1);
        }
        let _ = munmap(memory, bytes);
        sum
    }
}

fn syscall(repeats: u64) -> u64 {
    use rustix::process::{getpid, getppid};
    let (me, parent) = (getpid(), getppid());
    (0..repeats).map(|_| u64::from(getpid() == me) + 2 * u64::from(getppid() == parent)).sum()
}

/// Through a table that the compiler does not see into, as the guest's.
fn icall(repeats: u64) -> u64 {
    let functions = black_box(ICALL_FUNCTIONS);
    let (mut state, mut x) = (11, 0);
    for _ in 0..repeats {
        state = random(state);
        x = functions[(state >> 60) as usize](x);
    }
    x
}
