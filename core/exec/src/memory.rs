//! Guest memory accesses of a running block.
//!
//! The fast path is a look-up in the view's [`Tlb`] and a host access. Everything else is here too: alignment rules, accesses that cross a
//! page (translated on both sides before anything is read or written), devices, first writes to clean pages and to pages with code, atomics.

use crate::machine::Machine;
use crate::user::{User, access};
use crate::vcpu::Vcpu;
use emu_interp::{Env, Fault, combine};
use emu_mem::{Entry, Lookup, PAGE_BITS, PAGE_SIZE, Window, slow};
use emu_plugins_api::ir::MemFlags;
use emu_plugins_api::{Access, AccessKind, CpuHeader, Translation, attr, effect, fault, perm};
use std::sync::atomic::{AtomicU8, AtomicU16, AtomicU32, AtomicU64, Ordering, fence};

/// A CPU while it runs blocks.
pub struct Running<'a> {
    pub machine: &'a Machine,
    pub vcpu: &'a Vcpu,
    pub cpu: *mut CpuHeader,
    /// Instructions retired before the current block.
    pub insns: u64,
    /// Instructions of the current block begun so far.
    pub block_insns: u32,
}

/// Where an access goes.
enum Place<'a> {
    Host(*mut u8),
    Device(&'a Window, u64),
}

const PAGE_MASK: u64 = PAGE_SIZE - 1;

impl<'a> Running<'a> {
    fn fail(&self, va: u64, size: u32, kind: AccessKind, flags: MemFlags, fault: u64) -> Fault {
        Fault { va, size, kind: kind.0, flags, fault }
    }

    /// Checks what can be checked without translation.
    fn check_alignment(&self, va: u64, size: u32, kind: AccessKind, flags: MemFlags) -> Result<(), Fault> {
        let unit = flags.aligned_unit(size);
        let bad =
            flags.has(MemFlags::ALIGNED) && va & u64::from(unit - 1) != 0 || flags.has(MemFlags::WITHIN16) && va & 15 > 16 - u64::from(size.min(16));
        if bad { Err(self.fail(va, size, kind, flags, fault::ALIGNMENT)) } else { Ok(()) }
    }

    /// Translates the page of `va` for an access that does not leave it.
    fn translate(&self, va: u64, size: u32, kind: AccessKind, flags: MemFlags) -> Result<Place<'a>, Fault> {
        self.translate_run(va, size, size, kind, flags)
    }
    /// The same for several accesses of `size` bytes, `bytes` in all.
    fn translate_run(&self, va: u64, size: u32, bytes: u32, kind: AccessKind, flags: MemFlags) -> Result<Place<'a>, Fault> {
        let view = flags.view_index();
        let write = kind == AccessKind::WRITE || kind == AccessKind::READ_WRITE;
        let read = kind != AccessKind::WRITE;
        let tlb = self.vcpu.tlb(view);
        let cached = (!write || tlb.entry(va, true).is_some()) && (!read || tlb.entry(va, false).is_some());
        if !cached {
            self.fill(va, size, kind, flags)?;
        }
        let tlb = self.vcpu.tlb(view);
        let Some(entry) = tlb.entry(va, write).copied() else {
            // The walk gave no such permission although it reported no fault: a plugin's mistake; a fault is the safe reading.
            return Err(self.fail(va, size, kind, flags, fault::BUS));
        };
        let tag = entry.tag(write);
        if tag & slow::DEVICE != 0 {
            let unit = flags.aligned_unit(size);
            if va & u64::from(unit - 1) != 0 {
                return Err(self.fail(va, size, kind, flags, fault::ALIGNMENT));
            }
        }
        let pa = entry.pa() | va & PAGE_MASK;
        if tag & slow::MMIO != 0 || (write && entry.tag(false) & slow::MMIO != 0) {
            return match self.machine.space.find(pa) {
                Some(hit) if write && hit.window.read_only => Ok(Place::Device(hit.window, hit.offset)),
                Some(hit) if write => match hit.window.writable() {
                    Some(ram) => Ok(Place::Host(ram.pointer(hit.offset))),
                    None => Ok(Place::Device(hit.window, hit.offset)),
                },
                Some(hit) => match hit.window.readable() {
                    Some(ram) => Ok(Place::Host(ram.pointer(hit.offset))),
                    None => Ok(Place::Device(hit.window, hit.offset)),
                },
                None => Err(self.fail(va, size, kind, flags, fault::BUS)),
            };
        }
        if write && tag & slow::TRACKED != 0 {
            self.note_first_write(va, bytes, view, &entry);
        }
        Ok(Place::Host((va as usize).wrapping_add(entry.addend) as *mut u8))
    }

    /// Whether the guest's tables permit an access, as far as a byte of it goes.
    pub(crate) fn probe(&self, va: u64, kind: AccessKind, flags: MemFlags) -> Result<(), Fault> {
        if let Some(user) = &self.machine.user {
            return user.allows(va, kind == AccessKind::FETCH, kind != AccessKind::READ).map_err(|f| self.fail(va, 1, kind, flags, f));
        }
        self.translate(va, 1, kind, flags).map(|_| ())
    }

    /// Walks the guest's tables and enters the answer.
    fn fill(&self, va: u64, size: u32, kind: AccessKind, flags: MemFlags) -> Result<(), Fault> {
        let access = Access { va, size, kind, view: flags.view_index() as u8, reserved: 0, mem_flags: flags.0, insn_info: 0 };
        let mut out = Translation::default();
        crate::vcpu::count(&self.vcpu.counters.walks);
        let failed = self.machine.walk(self.vcpu, &access, &mut out);
        if failed != fault::NONE {
            return Err(self.fail(va, size, kind, flags, failed));
        }
        let page = va & !PAGE_MASK;
        let pa = out.pa & !PAGE_MASK;
        let mut low = if out.attrs & attr::DEVICE != 0 { slow::DEVICE } else { 0 };
        let (mut addend, mut write_low) = (0usize, 0);
        match self.machine.space.find(pa) {
            Some(hit) => {
                match hit.window.readable() {
                    Some(ram) => {
                        ram.back(hit.offset);
                        addend = (ram.pointer(hit.offset & !PAGE_MASK) as usize).wrapping_sub(page as usize);
                    }
                    None => low |= slow::MMIO,
                }
                match hit.window.writable() {
                    // Whoever makes code from the page marks it first, and then asks for entries like this one to be revoked.
                    Some(ram) if ram.is_plain(hit.offset) && hit.window.device.is_none() => {}
                    Some(_) => write_low |= slow::TRACKED,
                    None => write_low |= slow::MMIO,
                }
                // A window that RAM does not serve as a whole page (or that can change its mind) is looked up every time.
                if hit.window.device.is_some() {
                    low |= slow::MMIO;
                }
            }
            None => low |= slow::MMIO,
        }
        low |= self.machine.debug.page_bits(self.vcpu, page);
        let tag = |p: u8, more: u64| page | low | more | if out.perms & p == 0 { slow::ABSENT } else { 0 };
        let entry = Entry::new(tag(perm::READ, 0), tag(perm::WRITE, write_low), addend, pa, out.attrs, out.global != 0);
        self.vcpu.tlb(flags.view_index()).fill(page, entry, u32::from(out.page_bits).max(PAGE_BITS));
        Ok(())
    }

    /// A store to a page that is clean, or that code was made from.
    fn note_first_write(&self, va: u64, size: u32, view: usize, entry: &Entry) {
        let Some(hit) = self.machine.space.find(entry.pa()) else { return };
        let Some(ram) = hit.window.writable() else { return };
        let (at, len) = (va & PAGE_MASK, u64::from(size).min(PAGE_SIZE - (va & PAGE_MASK)));
        self.machine.space.note_write(hit.window, ram, hit.offset, &|w, page| {
            if self.machine.change_code(self.vcpu, w.base + page + at, len) {
                // The code that stores may be what has changed.
                self.vcpu.kick();
            }
        });
        if !ram.has_code(hit.offset) {
            self.vcpu.tlb(view).allow_write(va);
        }
    }

    fn device_read(&self, w: &Window, offset: u64, va: u64, size: u32, flags: MemFlags) -> Result<u64, Fault> {
        let Some(device) = w.device else { return Err(self.fail(va, size, AccessKind::READ, flags, fault::BUS)) };
        self.sync();
        let r = device.read(offset, size).map_err(|f| self.fail(va, size, AccessKind::READ, flags, f));
        self.machine.after_device(&device);
        r
    }

    fn device_write(&self, w: &Window, offset: u64, va: u64, size: u32, value: u64, flags: MemFlags) -> Result<(), Fault> {
        let Some(device) = w.device else {
            return if w.read_only { Ok(()) } else { Err(self.fail(va, size, AccessKind::WRITE, flags, fault::BUS)) };
        };
        self.sync();
        let r = device.write(offset, size, value).map_err(|f| self.fail(va, size, AccessKind::WRITE, flags, f));
        self.machine.after_device(&device);
        r
    }

    /// Makes the instruction count exact for code outside that looks at it.
    fn sync(&self) {
        // SAFETY: this thread runs the CPU.
        unsafe { (*self.cpu).insns = self.insns + u64::from(self.block_insns.saturating_sub(1)) };
    }

    /// Places of the two parts of an access that crosses a page: both are translated before either is touched.
    fn split(&self, va: u64, size: u32, kind: AccessKind, flags: MemFlags) -> Result<[(Place<'a>, u64, u32); 2], Fault> {
        let first = (PAGE_SIZE - (va & PAGE_MASK)) as u32;
        let second = va.wrapping_add(u64::from(first));
        let a = self.translate(va, 1, kind, flags).map_err(|f| Fault { size, ..f })?;
        let b = self.translate(second, 1, kind, flags).map_err(|f| Fault { size, ..f })?;
        // A part that is device memory by the guest's tables faults if the access is misaligned; a pair of aligned halves is not.
        let unit = if flags.has(MemFlags::PAIR) { size / 2 } else { size };
        let misaligned = va & u64::from(unit - 1) != 0;
        for v in [va, second] {
            let t = self.vcpu.tlb(flags.view_index());
            if misaligned && t.entry(v, kind == AccessKind::WRITE).is_some_and(|e| e.attrs() & attr::DEVICE != 0) {
                return Err(self.fail(v, size, kind, flags, fault::ALIGNMENT));
            }
        }
        Ok([(a, va, first), (b, second, size - first)])
    }

    #[cold]
    #[inline(never)]
    fn load_slow(&self, va: u64, size: u32, flags: MemFlags) -> Result<u128, Fault> {
        self.check_alignment(va, size, AccessKind::READ, flags)?;
        self.mind_watchpoints(va, size, AccessKind::READ, flags)?;
        if (va & PAGE_MASK) + u64::from(size) > PAGE_SIZE {
            let mut bytes = [0u8; 16];
            let mut at = 0;
            for (place, va, n) in self.split(va, size, AccessKind::READ, flags)? {
                for i in 0..n {
                    bytes[at] = match place {
                        // SAFETY: `translate` answered for this page, and the byte lies in it.
                        Place::Host(p) => unsafe { p.add(i as usize).read_volatile() },
                        Place::Device(w, o) => self.device_read(w, o + u64::from(i), va, 1, flags)? as u8,
                    };
                    at += 1;
                }
            }
            return Ok(u128::from_le_bytes(bytes));
        }
        match self.translate(va, size, AccessKind::READ, flags)? {
            Place::Host(p) => Ok(read_host(p, size)),
            Place::Device(w, o) => {
                let unit = device_unit(size, flags);
                (0..size / unit).try_fold(0, |v, i| {
                    let part = self.device_read(w, o + u64::from(i * unit), va, unit, flags)?;
                    Ok(v | u128::from(part) << (i * unit * 8))
                })
            }
        }
    }

    #[cold]
    #[inline(never)]
    fn store_slow(&self, va: u64, size: u32, value: u128, flags: MemFlags) -> Result<(), Fault> {
        self.check_alignment(va, size, AccessKind::WRITE, flags)?;
        self.mind_watchpoints(va, size, AccessKind::WRITE, flags)?;
        if (va & PAGE_MASK) + u64::from(size) > PAGE_SIZE {
            let bytes = value.to_le_bytes();
            let mut at = 0;
            for (place, va, n) in self.split(va, size, AccessKind::WRITE, flags)? {
                for i in 0..n {
                    match place {
                        // SAFETY: `translate` answered for this page, and the byte lies in it.
                        Place::Host(p) => unsafe { p.add(i as usize).write_volatile(bytes[at]) },
                        Place::Device(w, o) => self.device_write(w, o + u64::from(i), va, 1, bytes[at].into(), flags)?,
                    }
                    at += 1;
                }
            }
            return Ok(());
        }
        match self.translate(va, size, AccessKind::WRITE, flags)? {
            Place::Host(p) => write_host(p, size, value),
            Place::Device(w, o) => {
                let unit = device_unit(size, flags);
                for i in 0..size / unit {
                    let part = (value >> (i * unit * 8)) as u64 & u64::MAX >> (64 - unit * 8);
                    self.device_write(w, o + u64::from(i * unit), va, unit, part, flags)?;
                }
            }
        }
        Ok(())
    }

    /// Host address for an atomic access, which must be RAM.
    fn atomic_place(&self, va: u64, size: u32, flags: MemFlags) -> Result<*mut u8, Fault> {
        self.check_alignment(va, size, AccessKind::READ_WRITE, flags)?;
        self.mind_watchpoints(va, size, AccessKind::READ_WRITE, flags)?;
        if (va & PAGE_MASK) + u64::from(size) > PAGE_SIZE {
            return Err(self.fail(va, size, AccessKind::READ_WRITE, flags, fault::ALIGNMENT));
        }
        match self.translate(va, size, AccessKind::READ_WRITE, flags)? {
            Place::Host(p) => Ok(p),
            Place::Device(..) => Err(self.fail(va, size, AccessKind::READ_WRITE, flags, fault::UNSUPPORTED)),
        }
    }

    /// Copies between two places of virtual memory for a helper, or sets one, where both are RAM and lie in one page each; false, with nothing
    /// done that matters, if it has to be done by [`Running::bytes`].
    pub fn move_bytes(&self, from: Option<&Access>, value: u8, to: &Access) -> bool {
        let n = to.size as usize;
        let in_page = |va: u64| (va & PAGE_MASK) as usize + n <= PAGE_SIZE as usize;
        if !in_page(to.va) || from.is_some_and(|f| !in_page(f.va) || f.size != to.size) {
            return false;
        }
        let done = match &self.machine.user {
            Some(user) => user.move_bytes(from.map(|f| f.va), value, to.va, n),
            None => self.move_ram(from, value, to),
        };
        if done {
            for (access, kind) in from.map(|f| (f, AccessKind::READ)).into_iter().chain([(to, AccessKind::WRITE)]) {
                self.note_watchpoints(&Access { kind, ..*access }, access.va, n);
            }
        }
        done
    }

    /// The same for a machine's CPU, once it is known that no page is crossed.
    fn move_ram(&self, from: Option<&Access>, value: u8, to: &Access) -> bool {
        let place = |a: &Access, kind| {
            let flags = MemFlags(a.mem_flags & !15 | u32::from(a.view) & 15);
            match self.translate_run(a.va, 1, a.size, kind, flags) {
                Ok(Place::Host(p)) => Some(p),
                _ => None,
            }
        };
        let from = from.map(|f| place(f, AccessKind::READ));
        let (None | Some(Some(_)), n) = (from, to.size as usize) else { return false };
        let Some(to) = place(to, AccessKind::WRITE) else { return false };
        match from.flatten() {
            // SAFETY: the n bytes lie in the pages that `translate_run` answered for.
            Some(from) => unsafe { std::ptr::copy(from, to, n) },
            // SAFETY: as above.
            None => unsafe { std::ptr::write_bytes(to, value, n) },
        }
        true
    }

    /// Reads or writes virtual memory for a helper, whole or not at all.
    pub fn bytes(&self, access: &mut Access, data: *mut u8, len: usize) -> u64 {
        if let Some(user) = &self.machine.user {
            if access.kind == AccessKind::FETCH
                && let Err(fault) = user.fetch(access.va)
            {
                return fault;
            }
            self.note_watchpoints(access, access.va, len);
            return user.bytes(self.machine, access.va, data, len, access.kind == AccessKind::WRITE).map_or_else(
                |(va, fault)| {
                    access.va = va;
                    fault
                },
                |()| fault::NONE,
            );
        }
        let flags = MemFlags(access.mem_flags & !15 | u32::from(access.view) & 15);
        let (mut places, mut at) = (Vec::new(), 0usize);
        while at < len {
            let va = access.va.wrapping_add(at as u64);
            let n = (len - at).min((PAGE_SIZE - (va & PAGE_MASK)) as usize);
            match self.translate_run(va, 1, n as u32, access.kind, flags) {
                Ok(place) => places.push((place, va, at, n)),
                Err(f) => {
                    access.va = f.va;
                    return f.fault;
                }
            }
            at += n;
        }
        self.note_watchpoints(access, access.va, len);
        let write = access.kind == AccessKind::WRITE;
        for (place, va, at, n) in places {
            // SAFETY: `data` has `len` bytes (the caller's promise), and at + n <= len.
            let part = unsafe { data.add(at) };
            match place {
                // SAFETY: the n bytes lie in the page that `translate` answered for.
                Place::Host(p) if write => unsafe { std::ptr::copy(part, p, n) },
                // SAFETY: as above.
                Place::Host(p) => unsafe { std::ptr::copy(p, part, n) },
                Place::Device(w, o) => {
                    for i in 0..n {
                        let done = if write {
                            // SAFETY: i < n.
                            self.device_write(w, o + i as u64, va, 1, unsafe { *part.add(i) }.into(), flags)
                        } else {
                            // SAFETY: i < n.
                            self.device_read(w, o + i as u64, va, 1, flags).map(|v| unsafe { *part.add(i) = v as u8 })
                        };
                        if let Err(f) = done {
                            access.va = f.va;
                            return f.fault;
                        }
                    }
                }
            }
        }
        fault::NONE
    }

    /// A load of a program.
    fn user_load(&self, user: &User, va: u64, size: u32, flags: MemFlags) -> Result<u128, Fault> {
        self.check_alignment(va, size, AccessKind::READ, flags)?;
        self.mind_watchpoints(va, size, AccessKind::READ, flags)?;
        // SAFETY: the address is one of the guest's.
        user.with(self.machine, va, size, false, |p| unsafe { access::load(p, size) })
            .map_err(|(at, f)| Fault { va: at, ..self.fail(va, size, AccessKind::READ, flags, f) })
    }
    /// A store of a program.
    fn user_store(&self, user: &User, va: u64, size: u32, value: u128, flags: MemFlags) -> Result<(), Fault> {
        self.check_alignment(va, size, AccessKind::WRITE, flags)?;
        self.mind_watchpoints(va, size, AccessKind::WRITE, flags)?;
        // SAFETY: as above.
        user.with(self.machine, va, size, true, |p| unsafe { access::store(p, size, value) })
            .map_err(|(at, f)| Fault { va: at, ..self.fail(va, size, AccessKind::WRITE, flags, f) })?;
        if flags.has(MemFlags::RELEASE) {
            fence(Ordering::SeqCst);
        }
        Ok(())
    }
    /// A compare and swap of a program.
    fn user_cas(&self, user: &User, va: u64, size: u32, expected: u128, new: u128, flags: MemFlags) -> Result<u128, Fault> {
        self.check_alignment(va, size, AccessKind::READ_WRITE, flags)?;
        self.mind_watchpoints(va, size, AccessKind::READ_WRITE, flags)?;
        // SAFETY: as above.
        user.with(self.machine, va, size, true, |p| unsafe { access::compare_exchange(p, size, expected, new) })
            .map_err(|(at, f)| Fault { va: at, ..self.fail(va, size, AccessKind::READ_WRITE, flags, f) })
    }

    /// Physical address of a virtual one for reading, without effect on anything but caches.
    pub fn physical_of(&self, va: u64, view: u32) -> Option<u64> {
        let flags = MemFlags::view(view);
        if self.vcpu.tlb(view as usize).entry(va, false).is_none() {
            self.fill(va, 1, AccessKind::READ, flags).ok()?;
        }
        self.vcpu.tlb(view as usize).entry(va, false).map(|e| e.pa() | va & PAGE_MASK)
    }
}

/// What a device sees of an access: pairs and structures in their elements, at most 8 bytes at once.
fn device_unit(size: u32, flags: MemFlags) -> u32 {
    flags.aligned_unit(size).min(8)
}

fn read_host(p: *mut u8, size: u32) -> u128 {
    // SAFETY: the caller translated `size` bytes at p. x86-64 loads each size with one instruction.
    unsafe {
        match size {
            1 => p.read_volatile().into(),
            2 => p.cast::<u16>().read_unaligned().into(),
            4 => p.cast::<u32>().read_unaligned().into(),
            8 => p.cast::<u64>().read_unaligned().into(),
            _ => read16(p),
        }
    }
}

fn write_host(p: *mut u8, size: u32, v: u128) {
    // SAFETY: as in `read_host`.
    unsafe {
        match size {
            1 => p.write_volatile(v as u8),
            2 => p.cast::<u16>().write_unaligned(v as u16),
            4 => p.cast::<u32>().write_unaligned(v as u32),
            8 => p.cast::<u64>().write_unaligned(v as u64),
            _ => write16(p, v),
        }
    }
}

/// 16 bytes, single-copy atomic where aligned (Intel and AMD guarantee that for aligned 16-byte vector moves on hosts with AVX). The move is
/// written out, since a compiler is free to make two moves of 8 bytes of an intrinsic whose result goes to general registers, and does.
///
/// # Safety
/// 16 bytes at `p` must be readable.
unsafe fn read16(p: *mut u8) -> u128 {
    let v: core::arch::x86_64::__m128i;
    // SAFETY: the caller says so; a u128 and a vector register have the same size, and movaps is for aligned addresses only.
    unsafe {
        if p as usize & 15 == 0 {
            core::arch::asm!("movaps {v}, [{p}]", p = in(reg) p, v = out(xmm_reg) v, options(nostack, preserves_flags, readonly));
        } else {
            core::arch::asm!("movups {v}, [{p}]", p = in(reg) p, v = out(xmm_reg) v, options(nostack, preserves_flags, readonly));
        }
        core::mem::transmute::<_, u128>(v)
    }
}

/// See `read16`.
///
/// # Safety
/// 16 bytes at `p` must be writable.
unsafe fn write16(p: *mut u8, v: u128) {
    // SAFETY: the caller says so; otherwise as in `read16`.
    unsafe {
        let v = core::mem::transmute::<u128, core::arch::x86_64::__m128i>(v);
        if p as usize & 15 == 0 {
            core::arch::asm!("movaps [{p}], {v}", p = in(reg) p, v = in(xmm_reg) v, options(nostack, preserves_flags));
        } else {
            core::arch::asm!("movups [{p}], {v}", p = in(reg) p, v = in(xmm_reg) v, options(nostack, preserves_flags));
        }
    }
}

/// `lock cmpxchg16b`: the old value. Every x86-64 host since 2008 has it (x86-64-v2).
fn exchange16(p: *mut u128, old: u128, new: u128) -> u128 {
    let (low, high): (u64, u64);
    // SAFETY: the callers pass 16-byte-aligned guest RAM. rbx, which the compiler keeps for itself, is saved in rsi around the instruction.
    unsafe {
        core::arch::asm!(
            "xchg rsi, rbx",
            "lock cmpxchg16b [rdi]",
            "mov rbx, rsi",
            in("rdi") p,
            inout("rsi") new as u64 => _,
            in("rcx") (new >> 64) as u64,
            inout("rax") old as u64 => low,
            inout("rdx") (old >> 64) as u64 => high,
            options(nostack)
        );
    }
    u128::from(low) | u128::from(high) << 64
}

/// Compare and swap of `size` bytes at any address inside one 16-byte block, or (misaligned across blocks, which the architecture lets tear)
/// across two: the old value.
fn compare_exchange(p: *mut u8, size: u32, expected: u128, new: u128) -> u128 {
    let aligned = (p as usize).is_multiple_of(size as usize);
    let order = Ordering::SeqCst;
    // SAFETY: the caller translated `size` bytes of RAM at p; the pointers made of it are aligned where an atomic type asks for it.
    unsafe {
        match size {
            1 => AtomicU8::from_ptr(p).compare_exchange(expected as u8, new as u8, order, order).unwrap_or_else(|v| v).into(),
            2 if aligned => AtomicU16::from_ptr(p.cast()).compare_exchange(expected as u16, new as u16, order, order).unwrap_or_else(|v| v).into(),
            4 if aligned => AtomicU32::from_ptr(p.cast()).compare_exchange(expected as u32, new as u32, order, order).unwrap_or_else(|v| v).into(),
            8 if aligned => AtomicU64::from_ptr(p.cast()).compare_exchange(expected as u64, new as u64, order, order).unwrap_or_else(|v| v).into(),
            16 if aligned => exchange16(p.cast(), expected, new),
            _ if (p as usize & 15) + size as usize <= 16 => {
                // Inside one 16-byte block: exchange the block.
                let block = ((p as usize & !15) as *mut u8).cast::<u128>();
                let shift = (p as usize & 15) * 8;
                let mask = ((1u128 << (size * 8)) - 1) << shift;
                let mut seen = read16(block.cast());
                loop {
                    let old = (seen & mask) >> shift;
                    if old != expected {
                        return old;
                    }
                    let found = exchange16(block, seen, seen & !mask | new << shift);
                    if found == seen {
                        return old;
                    }
                    seen = found;
                }
            }
            _ => {
                let old = read_host(p, size);
                if old == expected {
                    write_host(p, size, new);
                }
                // Callers rely on an atomic access being a fence.
                fence(Ordering::SeqCst);
                old
            }
        }
    }
}

impl Env for Running<'_> {
    #[inline(always)]
    fn load(&mut self, va: u64, size: u32, flags: MemFlags) -> Result<u64, Fault> {
        if let Some(user) = &self.machine.user {
            return self.user_load(user, va, size, flags).map(|v| v as u64);
        }
        const SPECIAL: u32 = MemFlags::ALIGNED.0 | MemFlags::WITHIN16.0;
        if (flags.0 & SPECIAL == 0 || va & 15 & u64::from(size - 1) == 0)
            && let Lookup::Host(p) = self.vcpu.tlb(flags.view_index()).load(va, size.into())
        {
            return Ok(read_host(p, size) as u64);
        }
        self.load_slow(va, size, flags).map(|v| v as u64)
    }
    fn load128(&mut self, va: u64, flags: MemFlags) -> Result<u128, Fault> {
        if let Some(user) = &self.machine.user {
            return self.user_load(user, va, 16, flags);
        }
        self.check_alignment(va, 16, AccessKind::READ, flags)?;
        if let Lookup::Host(p) = self.vcpu.tlb(flags.view_index()).load(va, 16) {
            return Ok(read_host(p, 16));
        }
        self.load_slow(va, 16, flags)
    }
    #[inline(always)]
    fn store(&mut self, va: u64, size: u32, value: u64, flags: MemFlags) -> Result<(), Fault> {
        if let Some(user) = &self.machine.user {
            return self.user_store(user, va, size, value.into(), flags);
        }
        const SPECIAL: u32 = MemFlags::ALIGNED.0 | MemFlags::WITHIN16.0 | MemFlags::RELEASE.0;
        if flags.0 & SPECIAL == 0
            && let Lookup::Host(p) = self.vcpu.tlb(flags.view_index()).store(va, size.into())
        {
            write_host(p, size, value.into());
            return Ok(());
        }
        self.store_slow(va, size, value.into(), flags)?;
        if flags.has(MemFlags::RELEASE) {
            // x86 orders everything but a store before a later load: the one order that a store-release before a load-acquire adds.
            fence(Ordering::SeqCst);
        }
        Ok(())
    }
    fn store128(&mut self, va: u64, value: u128, flags: MemFlags) -> Result<(), Fault> {
        if let Some(user) = &self.machine.user {
            return self.user_store(user, va, 16, value, flags);
        }
        self.check_alignment(va, 16, AccessKind::WRITE, flags)?;
        match self.vcpu.tlb(flags.view_index()).store(va, 16) {
            Lookup::Host(p) => write_host(p, 16, value),
            Lookup::Slow => self.store_slow(va, 16, value, flags)?,
        }
        if flags.has(MemFlags::RELEASE) {
            fence(Ordering::SeqCst);
        }
        Ok(())
    }
    fn cas(&mut self, va: u64, size: u32, expected: u128, new: u128, flags: MemFlags) -> Result<u128, Fault> {
        if let Some(user) = &self.machine.user {
            return self.user_cas(user, va, size, expected, new, flags);
        }
        let p = self.atomic_place(va, size, flags)?;
        Ok(compare_exchange(p, size, expected, new))
    }
    fn rmw(&mut self, va: u64, size: u32, kind: u64, value: u128, flags: MemFlags) -> Result<u128, Fault> {
        if let Some(user) = &self.machine.user {
            // For writing from the start, as the fault is a write's.
            let mut old = self.user_cas(user, va, size, 0, combine(kind, size, 0, value), flags)?;
            if old == 0 {
                return Ok(0);
            }
            loop {
                let found = self.user_cas(user, va, size, old, combine(kind, size, old, value), flags)?;
                if found == old {
                    return Ok(old);
                }
                old = found;
            }
        }
        let p = self.atomic_place(va, size, flags)?;
        let mut old = read_host(p, size);
        loop {
            let found = compare_exchange(p, size, old, combine(kind, size, old, value));
            if found == old {
                return Ok(old);
            }
            old = found;
        }
    }
    fn load_exclusive(&mut self, va: u64, size: u32, flags: MemFlags) -> Result<u128, Fault> {
        self.check_alignment(va, size, AccessKind::READ, flags)?;
        let v = match &self.machine.user {
            Some(user) => self.user_load(user, va, size, flags)?,
            None => self.load_slow(va, size, flags)?,
        };
        // SAFETY: this thread runs the CPU.
        let h = unsafe { &mut *self.cpu };
        (h.monitor_addr, h.monitor_size, h.monitor_value) = (va, size, [v as u64, (v >> 64) as u64]);
        Ok(v)
    }
    fn store_exclusive(&mut self, va: u64, size: u32, value: u128, flags: MemFlags) -> Result<bool, Fault> {
        self.check_alignment(va, size, AccessKind::WRITE, flags)?;
        self.mind_watchpoints(va, size, AccessKind::WRITE, flags)?;
        // SAFETY: this thread runs the CPU.
        let h = unsafe { &mut *self.cpu };
        let (addr, open, [low, high]) = (h.monitor_addr, h.monitor_size, h.monitor_value);
        h.monitor_size = 0;
        if open != size || addr != va {
            return Ok(true);
        }
        // Generated code notes no more of the value than was loaded.
        let expected = (u128::from(low) | u128::from(high) << 64) & u128::MAX >> (128 - size.clamp(1, 16) * 8);
        if let Some(user) = &self.machine.user {
            return Ok(self.user_cas(user, va, size, expected, value, flags)? != expected);
        }
        let p = match self.translate(va, size, AccessKind::WRITE, flags)? {
            Place::Host(p) => p,
            Place::Device(..) => return Err(self.fail(va, size, AccessKind::WRITE, flags, fault::UNSUPPORTED)),
        };
        Ok(compare_exchange(p, size, expected, value) != expected)
    }
    fn clear_exclusive(&mut self) {
        // SAFETY: this thread runs the CPU.
        unsafe { (*self.cpu).monitor_size = 0 };
    }
    fn fence(&mut self, bits: u32) {
        use emu_plugins_api::ir::fence as f;
        if bits & f::ST_LD != 0 {
            fence(Ordering::SeqCst);
        }
        // Programs broadcast nothing that has to be complete anywhere: other threads look at what was posted before they synchronise.
        if bits & f::COMPLETION != 0 && self.machine.user.is_none() {
            self.machine.wait_for_requests(self.vcpu);
        }
    }
    #[inline(always)]
    fn begin(&mut self, insns: u32) {
        self.block_insns = insns;
    }
    fn call(&mut self, helper: u32, args: [u64; 3], imm: u64, pc: u64) -> Result<u64, ()> {
        let h = &self.vcpu.arch.layout().helpers.get()[helper as usize];
        if h.effects & (effect::NEEDS_PC | effect::MAY_EXIT | effect::IO) != 0 {
            // SAFETY: this thread runs the CPU.
            unsafe { (*self.cpu).pc = pc };
            self.sync();
        }
        // SAFETY: a helper of this target, called with a CPU of its layout on the CPU's thread.
        let r = unsafe { (h.func)(self.cpu, args[0], args[1], args[2], imm) };
        if r.exit == 0 { Ok(r.value) } else { Err(()) }
    }
    #[inline(always)]
    fn state_read(&self, offset: u32, bytes: u32) -> u64 {
        // SAFETY: the verifier checked that the field lies inside the CPU's state; this thread runs the CPU.
        unsafe {
            let p = self.cpu.cast::<u8>().add(offset as usize);
            match bytes {
                8 => p.cast::<u64>().read_unaligned(),
                4 => p.cast::<u32>().read_unaligned().into(),
                2 => p.cast::<u16>().read_unaligned().into(),
                1 => p.read().into(),
                n => (0..n).fold(0, |v, i| v | u64::from(p.add(i as usize).read()) << (i * 8)),
            }
        }
    }
    #[inline(always)]
    fn state_write(&mut self, offset: u32, bytes: u32, value: u64) {
        // SAFETY: as in `state_read`.
        unsafe {
            let p = self.cpu.cast::<u8>().add(offset as usize);
            match bytes {
                8 => p.cast::<u64>().write_unaligned(value),
                4 => p.cast::<u32>().write_unaligned(value as u32),
                2 => p.cast::<u16>().write_unaligned(value as u16),
                1 => p.write(value as u8),
                n => (0..n).for_each(|i| p.add(i as usize).write((value >> (i * 8)) as u8)),
            }
        }
    }
    fn fp_flags(&mut self) -> &mut u32 {
        // SAFETY: this thread runs the CPU.
        unsafe { &mut (*self.cpu).fp_flags }
    }
}
