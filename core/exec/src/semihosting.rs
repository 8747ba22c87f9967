//! Semihosting calls of a CPU: the service behind the target, and the guest as [`emu_semihosting`] sees it.

use crate::machine::Machine;
use crate::memory::Running;
use crate::services::of;
use crate::vcpu::Vcpu;
use emu_ir::MemFlags;
use emu_plugins_api::{Access, AccessKind, CpuHeader, SemihostingCall, SystemEvent, fault};
use emu_semihosting::{Call, Guest, Semihosting};
use std::sync::{Mutex, OnceLock, PoisonError};

/// A machine's semihosting, if the user allows it, and what of its memory was loaded.
#[derive(Default)]
pub struct Slot {
    host: OnceLock<Semihosting>,
    /// What was written to memory before the guest ran: first address and the one behind.
    loaded: Mutex<Vec<(u64, u64)>>,
}

/// So many loaded pieces are kept apart; what comes after them counts as one with the last.
const LOADED_MAX: usize = 4096;

impl Slot {
    /// Notes that an image was loaded. A reset loads the same ones again.
    pub fn note_loaded(&self, pa: u64, len: u64) {
        let mut list = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let end = pa.saturating_add(len);
        if list.iter().any(|(a, b)| *a <= pa && end <= *b) {
            return;
        }
        let is_full = list.len() >= LOADED_MAX;
        match list.last_mut() {
            // A piece that goes on where the last one ended is part of it.
            Some(last) if is_full || (last.0 <= pa && pa <= last.1) => *last = (last.0.min(pa), last.1.max(end)),
            _ => list.push((pa, end)),
        }
    }
    /// True if the user allows semihosting.
    pub fn is_allowed(&self) -> bool {
        self.host.get().is_some()
    }
    /// Files are closed when the machine is reset.
    pub fn reset(&self) {
        if let Some(host) = self.host.get() {
            host.reset();
        }
    }
}

impl Machine {
    /// Allows semihosting calls. To be called before the machine runs.
    pub fn allow_semihosting(&self, semihosting: Semihosting) {
        let _ = self.semihosting.host.set(semihosting);
    }

    /// The largest part of the largest RAM that nothing was loaded to.
    fn free_ram(&self) -> Option<(u64, u64)> {
        let windows = self.space.windows();
        let ram = windows.iter().filter(|w| w.writable().is_some()).max_by_key(|w| w.size)?;
        let (start, end) = (ram.base, ram.base.saturating_add(ram.size));
        let mut loaded = self.semihosting.loaded.lock().unwrap_or_else(PoisonError::into_inner).clone();
        loaded.retain(|(a, b)| *a < end && *b > start);
        loaded.push((end, end));
        loaded.sort_unstable();
        let (mut best, mut at) = ((start, start), start);
        for (a, b) in loaded {
            if a > at && a - at > best.1 - best.0 {
                best = (at, a);
            }
            at = at.max(b);
        }
        // Allocators want their memory aligned.
        let (a, b) = (best.0.next_multiple_of(16), best.1 & !15);
        (a < b).then_some((a, b))
    }
}

/// The CPU that calls.
struct Caller<'a> {
    running: Running<'a>,
    machine: &'a Machine,
    vcpu: &'a Vcpu,
    view: u8,
    mem_flags: u32,
}

impl Caller<'_> {
    fn access(&mut self, address: u64, kind: AccessKind, data: *mut u8, len: usize) -> bool {
        let mut access = Access { va: address, size: 1, kind, view: self.view, reserved: 0, mem_flags: self.mem_flags, insn_info: 0 };
        self.running.bytes(&mut access, data, len) == fault::NONE
    }
}

impl Guest for Caller<'_> {
    fn read(&mut self, address: u64, data: &mut [u8]) -> bool {
        self.access(address, AccessKind::READ, data.as_mut_ptr(), data.len())
    }
    fn write(&mut self, address: u64, data: &[u8]) -> bool {
        // A write only reads `data`.
        self.access(address, AccessKind::WRITE, data.as_ptr().cast_mut(), data.len())
    }
    fn clock_ns(&self) -> u64 {
        self.machine.now()
    }
    fn wall_s(&self) -> u64 {
        self.machine.wall()
    }
    fn heap(&self) -> Option<(u64, u64)> {
        self.machine.free_ram()
    }
    fn exit(&mut self, code: u32) {
        self.machine.system_event(SystemEvent::POWER_OFF, code);
    }
    fn is_ending(&self) -> bool {
        self.machine.is_stopping()
    }
    fn waits(&mut self, waiting: bool) {
        if waiting {
            self.vcpu.pause();
        } else {
            self.vcpu.resume();
        }
    }
}

/// The service.
pub(crate) unsafe extern "C" fn service(cpu: *mut CpuHeader, call: *mut SemihostingCall) -> u32 {
    // SAFETY: the contract of the services table: a CPU of a machine on its thread, and a call that lives through this one.
    let ((machine, vcpu), call) = unsafe { (of(cpu), &mut *call) };
    let Some(host) = machine.semihosting.host.get().filter(|h| call.unprivileged == 0 || h.answers_unprivileged()) else { return 1 };
    // SAFETY: this is the CPU's thread.
    let insns = unsafe { (*cpu).insns };
    let running = Running { machine, vcpu, cpu, insns, block_insns: 1 };
    let mut caller = Caller { running, machine, vcpu, view: call.view as u8, mem_flags: call.mem_flags };
    let big_endian = MemFlags(call.mem_flags).has(MemFlags::BIG_ENDIAN);
    let word_bytes = if call.word_bytes == 4 { 4 } else { 8 };
    call.result = host.call(&mut caller, &Call { operation: call.operation, argument: call.argument, word_bytes, big_endian });
    machine.after_call(vcpu);
    0
}
