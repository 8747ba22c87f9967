//! A program with a debugger: its threads stop where their state is whole, between instructions and before or behind system calls, never in
//! one that waits.
//!
//! A thread that waits in the host's kernel is sent SIGSEGV, which core handles and no thread ever blocks; the handler has the call end as if it
//! had not been made, and the thread makes it again when it goes on. One that was just before its call does not notice, so it is sent another
//! one a little later.

use super::User;
use crate::debug::{ProgramEnd, State, Stop};
use crate::machine::{Machine, lock};
use crate::vcpu::Vcpu;
use emu_mem::PAGE_SIZE;
use emu_plugins_api::page;
use std::sync::atomic::Ordering;

impl User {
    /// Reads guest memory for a debugger; the number of bytes up to the first that is not there.
    pub fn debug_read(&self, va: u64, data: &mut [u8]) -> usize {
        let mut done = 0;
        while done < data.len() {
            let at = va.wrapping_add(done as u64);
            let n = (data.len() - done).min((PAGE_SIZE - at % PAGE_SIZE) as usize);
            // SAFETY: `data` is writable; guest memory answers for itself.
            let left = unsafe { super::access::copy(data[done..].as_mut_ptr(), self.host(at), n) };
            done += n - left;
            if left != 0 {
                break;
            }
        }
        done
    }
    /// Writes guest memory for a debugger, also where the guest may not; false if something is not there.
    pub fn debug_write(&self, machine: &Machine, va: u64, data: &[u8]) -> bool {
        let mut done = 0;
        while done < data.len() {
            let at = self.untagged(va.wrapping_add(done as u64));
            let n = (data.len() - done).min((PAGE_SIZE - at % PAGE_SIZE) as usize);
            if self.bits(at) & page::MAPPED == 0 {
                return false;
            }
            // Code made from it is forgotten whether or not the page was the guest's to write.
            self.clear_code(machine, at, 1);
            let _turn = lock(&self.changing);
            let start = at & !(PAGE_SIZE - 1);
            // SAFETY: a page of the window, whose protection is core's and the kernel's to change; no thread of the guest's runs.
            let left = unsafe {
                libc::mprotect(self.host(start).cast(), PAGE_SIZE as usize, libc::PROT_READ | libc::PROT_WRITE);
                super::access::copy(self.host(at), data[done..].as_ptr(), n)
            };
            self.protect(start, self.bits(start));
            if left != 0 {
                return false;
            }
            done += n;
        }
        true
    }
}

impl Machine {
    /// Has threads that are to stop, and may wait in the host's kernel, come out.
    pub(crate) fn debug_nudge(&self, s: &State) {
        for cpu in self.cpus.iter().filter(|c| !s.waits(c.index)) {
            let tid = cpu.tid.load(Ordering::SeqCst);
            if tid != 0 && tid != super::own_tid() {
                cpu.nudged.store(true, Ordering::SeqCst);
                // SAFETY: touches no memory; core's handler takes it.
                unsafe { libc::syscall(libc::SYS_tkill, tid, libc::SIGSEGV) };
            }
        }
    }
    /// The same, for whoever waits for a stop.
    pub fn debug_hurry(&self) {
        if self.user.is_some() && self.debug.is_engaged() {
            let s = self.debug.state();
            if s.stopping && !s.stopped {
                self.debug_nudge(&s);
            }
        }
    }
    /// In the handler of a signal that a thread sent: true if it was `debug_nudge`, to this thread.
    pub(crate) fn was_nudge(&self) -> bool {
        let tid = super::own_tid();
        self.debug.is_engaged() && self.cpus.iter().any(|c| c.tid.load(Ordering::SeqCst) == tid && c.nudged.swap(false, Ordering::SeqCst))
    }
    /// Waits until this thread may run.
    pub(crate) fn debug_wait_to_run(&self, cpu: &Vcpu) {
        while self.debug_holds(cpu) {
            let s = self.debug.state();
            if s.waits(cpu.index) {
                drop(self.debug.wait(s));
            }
        }
    }
    /// A thread is about to be given a signal: the debugger says which one it is to be, 0 for none.
    pub(crate) fn debug_signal(&self, cpu: &Vcpu, signal: u32) -> u32 {
        if !self.debug.is_engaged() {
            return signal;
        }
        loop {
            // Others' stops come first.
            self.debug_wait_to_run(cpu);
            let mut s = self.debug.state();
            if s.sink.is_none() {
                return signal;
            }
            if !s.stopping {
                self.debug_begin_stop(&mut s, Stop::Signal { cpu: cpu.index, signal });
                break;
            }
        }
        self.debug_wait_to_run(cpu);
        let s = self.debug.state();
        if s.sink.is_none() {
            return signal;
        }
        s.passed.iter().find(|(n, _)| *n == cpu.index).map_or(0, |(_, signal)| *signal)
    }
    /// The program ends by a signal.
    pub(crate) fn debug_dies(&self, signal: u32) {
        self.debug_program_ends(ProgramEnd::Signal(signal));
    }
    /// The host's id of the thread of a CPU, where CPUs are a program's threads.
    pub fn debug_tid(&self, cpu: u32) -> Option<i32> {
        self.user.as_ref().and(self.cpus.get(cpu as usize)).map(|c| c.tid.load(Ordering::SeqCst))
    }
    /// The auxiliary vector of the program, as its kernel made it; `None` on a board.
    pub fn debug_auxv(&self) -> Option<Vec<u8>> {
        let user = self.user.as_ref()?;
        let (mut out, mut at) = (Vec::new(), user.auxv.load(Ordering::SeqCst));
        let mut pair = [0; 16];
        while out.len() < 4096 && user.debug_read(at, &mut pair) == pair.len() {
            out.extend(pair);
            if pair[..8] == [0; 8] {
                break;
            }
            at += 16;
        }
        Some(out)
    }
    /// True if it runs a program.
    pub fn runs_program(&self) -> bool {
        self.user.is_some()
    }
}

/// Does something with all signals blocked on this thread, above all making threads that shall have them blocked too.
pub fn without_signals<R>(f: impl FnOnce() -> R) -> R {
    // SAFETY: both sets are this function's; the mask is this thread's and as it was afterwards.
    unsafe {
        let mut all: libc::sigset_t = core::mem::zeroed();
        let mut before: libc::sigset_t = core::mem::zeroed();
        libc::sigfillset(&mut all);
        libc::sigdelset(&mut all, libc::SIGSEGV);
        libc::sigdelset(&mut all, libc::SIGBUS);
        libc::pthread_sigmask(libc::SIG_SETMASK, &all, &mut before);
        let r = f();
        libc::pthread_sigmask(libc::SIG_SETMASK, &before, core::ptr::null_mut());
        r
    }
}
