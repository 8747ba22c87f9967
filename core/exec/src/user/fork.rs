//! Forking: parent and child each go on with all of core in order.
//!
//! The calling thread holds every lock of core while the process forks, so that the child has none that a thread left behind which it does
//! not have. Generated code is in shared memory: both run what is there and leave it as it is, the child makes more in memory of its own. What it
//! had to make is there for the next child: see [`reports`](super::reports).
//!
//! A vfork is a process of the host in the same memory. The thread that asks for one waits in the host's kernel, so the child has its CPU
//! and what the host's C library keeps of a thread; only its stack is another.

use super::User;
use crate::machine::{Machine, lock};
use crate::vcpu::Vcpu;
use emu_plugins_api::CpuHeader;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::atomic::Ordering;

impl User {
    /// Forks. 0 in the child; else its process id, or an error number, negative.
    pub fn fork(&self, machine: &Machine, by: &Vcpu) -> i64 {
        for (pc, mode, again) in self.reports.take() {
            by.make_ready(machine, pc, mode, again);
        }
        self.reports.before_fork();
        let turn = lock(&self.changing);
        let mut idle = lock(&self.idle);
        let mut debug = machine.debug.state();
        let mut native = machine.native.as_ref().map(|n| n.hold());
        let code = machine.code.hold();
        let requests: Vec<_> = machine.cpus.iter().map(|c| c.hold()).collect();
        let error = std::io::stderr().lock();
        // SAFETY: the child has this thread only, and goes on with what it holds here.
        let pid = unsafe { libc::fork() };
        drop((error, requests, code));
        if let Some(n) = &mut native {
            n.forked(pid == 0);
        }
        drop(native);
        if pid == 0 {
            self.reports.forked();
            if let Some(kept) = machine.kept() {
                kept.forked();
            }
            idle.clear();
            machine.debug.forked(&mut debug);
            by.tid.store(super::own_tid(), Ordering::SeqCst);
            for cpu in machine.cpus.iter().filter(|c| c.index != by.index) {
                cpu.abandon();
                idle.push(cpu.index);
            }
        }
        drop((debug, idle, turn));
        match pid {
            -1 => -i64::from(std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN)),
            pid => pid.into(),
        }
    }

    /// A process in this one's memory. Its process id once it has ended or become another program, or an error number, negative.
    pub fn vfork(&self, machine: &Machine, by: &Vcpu, argument: u64) -> i64 {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
        // SAFETY: a fresh mapping; its first page is a guard.
        let stack = unsafe {
            let p = libc::mmap(null_mut(), STACK, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
            if p == libc::MAP_FAILED {
                return -i64::from(libc::ENOMEM);
            }
            libc::mprotect(p, 4096, libc::PROT_NONE);
            p
        };
        let kept = by.keep(machine);
        let child = Child { machine, by, argument };
        // SAFETY: the child's stack is its own, and everything else is as this thread left it, which does not run meanwhile.
        let pid = unsafe {
            let top = stack.cast::<u8>().add(STACK).cast();
            let pid = libc::clone(child_main, top, libc::CLONE_VM | libc::CLONE_VFORK | libc::SIGCHLD, core::ptr::from_ref(&child).cast_mut().cast());
            let pid = if pid < 0 { -std::io::Error::last_os_error().raw_os_error().unwrap_or(libc::EAGAIN) } else { pid };
            libc::munmap(stack, STACK);
            pid
        };
        by.put_back(machine, &kept);
        pid.into()
    }
}

/// Bytes of a child's stack.
const STACK: usize = 1 << 20;

/// What a child finds on its stack.
struct Child<'a> {
    machine: &'a Machine,
    by: &'a Vcpu,
    argument: u64,
}

extern "C" fn child_main(child: *mut c_void) -> i32 {
    // SAFETY: the parent waits, and has this on its stack.
    let c = unsafe { &*child.cast::<Child<'_>>() };
    // SAFETY: the CPU is this thread's now.
    unsafe { c.machine.user_of().kernel().thread(c.by.header(), c.argument) };
    c.by.user_loop(c.machine);
    0
}

/// What a child may change of its parent's CPU.
struct Kept {
    state: Vec<u64>,
    exchange: emu_x86_64::frame::Exchange,
}

impl Vcpu {
    fn keep(&self, machine: &Machine) -> Kept {
        let size = machine.arch().layout().size as usize;
        let mut state = vec![0u64; size.div_ceil(8)];
        // SAFETY: the CPU's state has this size, and this is its thread.
        unsafe {
            core::ptr::copy_nonoverlapping(self.header().cast::<u8>(), state.as_mut_ptr().cast(), size);
            Kept { state, exchange: self.exchange().read() }
        }
    }
    fn put_back(&self, machine: &Machine, kept: &Kept) {
        let (to, from, size) = (self.header(), kept.state.as_ptr(), machine.arch().layout().size as usize);
        let head = size_of::<CpuHeader>();
        // SAFETY: as above. Of the header only what the program sees; others may write the rest.
        unsafe {
            core::ptr::copy_nonoverlapping(from.cast::<u8>().add(head), to.cast::<u8>().add(head), size - head);
            let old = &*from.cast::<CpuHeader>();
            ((*to).pc, (*to).mode_key, (*to).fp_flags, (*to).halted) = (old.pc, old.mode_key, old.fp_flags, 0);
            (*to).monitor_size = 0;
            self.exchange().write(kept.exchange);
        }
        self.left_for_good.store(false, Ordering::Relaxed);
        self.running.store(true, Ordering::SeqCst);
        self.kick();
    }
}
