//! User mode: the guest's memory is a window of the host's, a kernel answers its calls, and CPUs are threads that come and go.
//!
//! * The window is reserved once, with a guard behind it, at the very bottom of the host's address space: guest addresses are the host's own.
//!   Negative ones are those of the host's kernel, which nobody may use, and what is emu's begins tens of terabytes beyond the window. Where the
//!   host has no room there the window lies where the host wants it, and guest addresses are offsets in it.
//! * `pages` has a byte for each guest page: what the guest may do there, and whether code was made from it. Such a page is not writable on
//!   the host. A store to it faults, takes the slow way, and there the page's code is thrown away and the page becomes writable again. Only
//!   where the guest has shown that it asks for code to be forgotten by address after it has written does a page stay writable ([`Rewritten`]).
//! * Core alone handles SIGSEGV and SIGBUS. Where the instruction pointer is says what it means: an access of generated code goes on in
//!   the way beside it; one of `access` returns an answer; what came from elsewhere is the kernel's; all else is a mistake of emu's.

pub mod access;
pub mod debug;
mod fork;
mod reports;
mod signal;

use crate::machine::{Machine, lock};
use crate::vcpu::Vcpu;
use emu_mem::PAGE_SIZE;
use emu_plugins_api::{LinuxAbi, Onward, UserKernelHandle, UserMemory, attr, fault, page};
use emu_x86_64::direct::Direct;
use std::ptr::null_mut;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Mutex, OnceLock};

/// The largest window, as a power of two.
const BITS_MAX: u32 = 46;
/// The smallest that is any good.
const BITS_MIN: u32 = 32;
/// Room before and behind it where nothing is.
const GUARD: usize = 1 << 30;
/// What a window at the bottom does not reserve: the host keeps it free for everybody (vm.mmap_min_addr), and so does the kernel that programs see.
const LOWEST: usize = 1 << 16;
/// The smallest window there: from address 0 to where the host puts programs at the lowest there is room for more.
const LOW_BITS_MIN: u32 = 44;
/// CPUs, and so threads, that there can be at a time.
pub const CPUS_MAX: usize = 1 << 14;

/// What a machine in user mode has besides.
pub struct User {
    base: usize,
    size: u64,
    pages: *const AtomicU8,
    kernel: OnceLock<UserKernelHandle>,
    /// What generated code knows.
    pub direct: &'static Direct,
    /// The target's addresses have tags.
    tagged: bool,
    /// Orders changes of the code bits and of the host's protection that goes with them.
    changing: Mutex<Rewritten>,
    /// CPUs whose threads have ended.
    idle: Mutex<Vec<u32>>,
    /// Where the program's auxiliary vector lies, for debuggers.
    pub auxv: AtomicU64,
    /// What forked children make code for.
    pub(crate) reports: reports::Reports,
}

// SAFETY: `pages` points to atomics that live as long as the process.
unsafe impl Send for User {}
// SAFETY: as above.
unsafe impl Sync for User {}

/// Pages that the guest has written after code was made from them.
///
/// An architecture with instructions that forget code by address lets code be stale until then. A guest that has kept to that on a page a few
/// times (a compiler at run time, mostly) need not fault for each of its stores there: the page stays writable, its bit says that there is code,
/// and the guest's instruction throws that away. An architecture without such instructions never comes to it.
#[derive(Default)]
struct Rewritten(std::collections::HashMap<u64, (u32, u32)>);

impl Rewritten {
    /// Pages that are remembered.
    const MAX: usize = 1024;
    /// Stores that are seen before the guest's word is taken.
    const OFTEN: u32 = 3;

    /// A store to a page with code was seen.
    fn written(&mut self, page: u64) {
        if self.0.len() >= Self::MAX && !self.0.contains_key(&page) {
            self.0.clear();
        }
        self.0.entry(page).or_default().0 += 1;
    }
    /// The guest asks that code of a page be forgotten.
    fn maintained(&mut self, page: u64) {
        if let Some(counts) = self.0.get_mut(&page) {
            counts.1 = counts.1.saturating_add(1);
        }
    }
    /// The guest asks whenever it has written.
    fn trusted(&self, page: u64) -> bool {
        self.0.get(&page).is_some_and(|(written, maintained)| *written >= Self::OFTEN && maintained >= written)
    }
}

/// Reserves address space without memory behind it.
fn reserve(len: usize, prot: i32) -> Option<usize> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a fresh mapping at an address of the kernel's choice.
    let p = unsafe { libc::mmap(null_mut(), len, prot, flags, -1, 0) };
    (p != libc::MAP_FAILED).then_some(p as usize)
}

/// Reserves it at an address, if nothing is there.
fn reserve_at(at: usize, len: usize) -> bool {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_FIXED_NOREPLACE;
    // SAFETY: a fresh mapping, or none.
    unsafe {
        let p = libc::mmap(at as *mut libc::c_void, len, libc::PROT_NONE, flags, -1, 0);
        if p != libc::MAP_FAILED && p as usize != at {
            // A kernel that does not know the flag takes the address for a wish.
            libc::munmap(p, len);
            return false;
        }
        p != libc::MAP_FAILED
    }
}

impl User {
    /// Reserves the window; the error is a sentence.
    pub fn new(abi: Option<LinuxAbi>) -> Result<User, String> {
        let elsewhere = std::env::var_os("EMU_WINDOW").is_some_and(|v| v == "elsewhere");
        let low = |bits: u32| (!elsewhere && reserve_at(LOWEST, (1usize << bits) + GUARD - LOWEST)).then_some((0, 1u64 << bits));
        let anywhere = |bits: u32| Some((reserve((1usize << bits) + 2 * GUARD, libc::PROT_NONE)? + GUARD, 1u64 << bits));
        let window = (LOW_BITS_MIN..=BITS_MAX).rev().find_map(low).or_else(|| (BITS_MIN..=BITS_MAX).rev().find_map(anywhere));
        let Some((base, size)) = window else {
            return Err("the host has no room in its address space for the guest's; raise the limit (ulimit -v)".into());
        };
        let Some(pages) = reserve((size / PAGE_SIZE) as usize, libc::PROT_READ | libc::PROT_WRITE) else {
            return Err("the host has no room for a byte for each of the guest's pages; allow overcommitment (vm.overcommit_memory)".into());
        };
        Ok(User {
            base,
            size,
            pages: pages as *const AtomicU8,
            kernel: OnceLock::new(),
            direct: Box::leak(Box::new(Direct { segment: base != 0, ..Direct::default() })),
            tagged: abi.is_some_and(|a| a.flags & LinuxAbi::TAGGED != 0),
            changing: Mutex::default(),
            idle: Mutex::default(),
            reports: reports::Reports::default(),
            auxv: AtomicU64::new(0),
        })
    }
    /// The kernel attaches itself.
    pub fn attach(&self, machine: &Machine, kernel: UserKernelHandle) {
        let _ = self.kernel.set(kernel);
        signal::install(machine);
    }
    /// What the kernel is told.
    pub fn memory(&self, machine: &Machine) -> UserMemory {
        UserMemory { base: self.base as u64, size: self.size, pages: self.pages.cast(), first: machine.cpus[0].header() }
    }
    /// The kernel; every machine in user mode has one before a CPU runs.
    #[inline]
    pub fn kernel(&self) -> &UserKernelHandle {
        match self.kernel.get() {
            Some(k) => k,
            None => panic!("a program runs without a kernel"),
        }
    }
    /// An address without its tag.
    #[inline]
    pub fn untagged(&self, va: u64) -> u64 {
        if self.tagged { va << 8 >> 8 } else { va }
    }
    fn page(&self, va: u64) -> Option<&AtomicU8> {
        // SAFETY: there is a byte for each page of the window.
        (va < self.size).then(|| unsafe { &*self.pages.add((va / PAGE_SIZE) as usize) })
    }
    /// `page::` bits of an address.
    pub fn bits(&self, va: u64) -> u8 {
        self.page(va).map_or(0, |p| p.load(Ordering::SeqCst))
    }
    /// Host address of a guest address (of the guard, or beyond, if it is none).
    #[inline]
    pub fn host(&self, va: u64) -> *mut u8 {
        let va = self.untagged(va);
        self.base.wrapping_add(if va < self.size { va as usize } else { usize::try_from(self.size).unwrap_or(0) }) as *mut u8
    }
    fn protect(&self, va: u64, bits: u8) {
        let mut prot = libc::PROT_NONE;
        if bits & (page::READ | page::WRITE | page::EXEC) != 0 {
            prot |= libc::PROT_READ;
        }
        if bits & page::WRITE != 0 && bits & page::CODE == 0 {
            prot |= libc::PROT_WRITE;
        }
        // SAFETY: a page of the window, whose protection is core's and the kernel's to change.
        unsafe { libc::mprotect(self.host(va).cast(), PAGE_SIZE as usize, prot) };
    }
    /// Code is about to be made from a page: stores to it are seen from now on.
    pub fn set_code(&self, va: u64) {
        let Some(p) = self.page(va) else { return };
        if p.load(Ordering::SeqCst) & page::CODE != 0 {
            return;
        }
        let turn = lock(&self.changing);
        let before = p.fetch_or(page::CODE, Ordering::SeqCst);
        if before & page::WRITE != 0 && !turn.trusted(va & !(PAGE_SIZE - 1)) {
            self.protect(va & !(PAGE_SIZE - 1), before | page::CODE);
        }
    }
    /// True while stores to a page are seen.
    pub fn has_code(&self, va: u64) -> bool {
        self.bits(va) & page::CODE != 0
    }
    /// True if the guest has written to a page some times after code was made from it.
    pub fn is_rewritten(&self, va: u64) -> bool {
        lock(&self.changing).0.get(&(va & !(PAGE_SIZE - 1))).is_some_and(|(written, _)| *written >= Rewritten::OFTEN)
    }
    /// Code of pages has changed, or is about to: it is forgotten, and stores to them are not seen any more.
    pub fn clear_code(&self, machine: &Machine, first: u64, bytes: u64) {
        let end = first.saturating_add(bytes).min(self.size);
        let mut at = first & !(PAGE_SIZE - 1);
        while at < end {
            if self.has_code(at) {
                // Only what is forgotten everywhere may be written to: who has written asks next that all be forgotten, and finds nothing to do.
                let _turn = lock(&self.changing);
                let Some(p) = self.page(at) else { return };
                let before = p.fetch_and(!page::CODE, Ordering::SeqCst);
                machine.invalidate(at);
                if before & page::WRITE != 0 {
                    self.protect(at, before & !page::CODE);
                }
            }
            at += PAGE_SIZE;
        }
    }
    /// The guest asks that code be forgotten (IC IVAU): it is, also what others are about to forget.
    pub fn synchronise_code(&self, machine: &Machine, first: u64, bytes: u64) {
        {
            // Nobody reads old bytes and notes that there is code behind this: what the guest has written is in memory first.
            let mut turn = lock(&self.changing);
            std::sync::atomic::fence(Ordering::SeqCst);
            let end = first.saturating_add(bytes).min(self.size);
            (first & !(PAGE_SIZE - 1)..end).step_by(PAGE_SIZE as usize).take(Rewritten::MAX).for_each(|page| turn.maintained(page));
        }
        self.clear_code(machine, first, bytes);
        drop(lock(&self.changing));
    }
    /// A store comes to a page with code.
    fn clear_for_store(&self, machine: &Machine, va: u64) {
        lock(&self.changing).written(va & !(PAGE_SIZE - 1));
        self.clear_code(machine, va, 1);
    }
    /// The kernel has changed pages.
    pub fn set_pages(&self, machine: &Machine, first: u64, bytes: u64, bits: u8) {
        let end = first.saturating_add(bytes).min(self.size);
        let (mut had_code, mut lost) = (false, false);
        let mut turn = lock(&self.changing);
        turn.0.retain(|page, _| !(first..end).contains(page));
        {
            let (from, to) = ((first / PAGE_SIZE) as usize, end.div_ceil(PAGE_SIZE) as usize);
            const MANY: usize = 1 << 22;
            if bits & !page::MAPPED == 0 && to.saturating_sub(from) > MANY {
                // Nothing there, or nothing that may be accessed yet: nothing here either, without touching it all. (An access to such a
                // reservation is said to be to nothing, not to something forbidden.)
                let (a, b) = (from.next_multiple_of(4096), to & !4095);
                self.forget_range(from, a);
                self.forget_range(b, to);
                // SAFETY: whole pages of the map, which become zeroes.
                unsafe { libc::madvise(self.pages.add(a).cast_mut().cast(), b - a, libc::MADV_DONTNEED) };
                // It was not looked at.
                had_code = true;
            } else {
                for i in from..to {
                    // SAFETY: there is a byte for each page of the window, and `to` is not beyond it.
                    let page = unsafe { &*self.pages.add(i) };
                    let written = page.load(Ordering::SeqCst) & (page::WRITE | page::WRITTEN) != 0 && bits & page::MAPPED != 0;
                    let before = page.swap(if written { bits | page::WRITTEN } else { bits }, Ordering::SeqCst);
                    lost |= i == from && before & !bits & page::EXEC != 0;
                    if before & page::CODE != 0 {
                        had_code = true;
                        // Whoever noted the code may have been between the kernel's change on the host and this.
                        self.protect((i as u64) * PAGE_SIZE, bits);
                    }
                }
            }
        }
        // An instruction that begins in the page before may end in this one; code of it looks at the bytes, not at whether they may be executed.
        if let Some(before) = first.checked_sub(PAGE_SIZE).filter(|before| lost && self.has_code(*before))
            && machine.arch().layout().insn_bytes < 4
        {
            // Its bit stays: stores to it are looked at for nothing until the next one.
            machine.drop_code(before & !(PAGE_SIZE - 1));
        }
        if had_code {
            if bytes / PAGE_SIZE <= 4096 {
                for at in (first & !(PAGE_SIZE - 1)..end).step_by(PAGE_SIZE as usize) {
                    machine.invalidate(at);
                }
            } else {
                machine.forget_all_code();
            }
        }
    }
    fn forget_range(&self, from: usize, to: usize) {
        // SAFETY: as in `set_pages`.
        (from..to).for_each(|i| unsafe { (*self.pages.add(i)).store(0, Ordering::SeqCst) });
    }
    /// What a fetch at `va` meets: page attributes, or a fault.
    pub fn fetch(&self, va: u64) -> Result<u8, u64> {
        let bits = self.bits(va);
        if bits & page::EXEC != 0 {
            return Ok(if bits & page::GUARDED != 0 { attr::GUARDED } else { 0 });
        }
        Err(if bits & page::MAPPED != 0 { fault::PROTECTED } else { fault::UNMAPPED })
    }
    /// Whether an access would succeed, as far as the page goes; else the fault.
    pub fn allows(&self, va: u64, fetch: bool, write: bool) -> Result<(), u64> {
        if fetch {
            return self.fetch(va).map(|_| ());
        }
        let bits = self.bits(self.untagged(va));
        let want = if write { page::WRITE } else { page::READ | page::WRITE | page::EXEC };
        if bits & want != 0 { Ok(()) } else { Err(if bits & page::MAPPED != 0 { fault::PROTECTED } else { fault::UNMAPPED }) }
    }
    /// Reads a page of code.
    pub fn read_page(&self, va: u64, out: &mut [u8]) -> bool {
        // SAFETY: `out` is writable; faults on the other side come back as an answer.
        unsafe { access::copy(out.as_mut_ptr(), self.host(va), out.len()) == 0 }
    }
    /// An access has made a signal. `Ok`: it may be tried again, for the reason is gone.
    fn failed(&self, machine: &Machine, va: u64, size: u32, write: bool, signal: u64, tries: &mut u32) -> Result<(), (u64, u64)> {
        let va = self.untagged(va);
        *tries += 1;
        for at in [va, va.wrapping_add(u64::from(size.max(1) - 1))] {
            let bits = self.bits(at);
            if bits & page::MAPPED == 0 {
                return Err((if at == va { va } else { at & !(PAGE_SIZE - 1) }, fault::UNMAPPED));
            }
            let want = if write { page::WRITE } else { page::READ | page::WRITE | page::EXEC };
            if bits & want == 0 {
                return Err((if at == va { va } else { at & !(PAGE_SIZE - 1) }, fault::PROTECTED));
            }
            if write && bits & page::CODE != 0 {
                self.clear_for_store(machine, at);
                return Ok(());
            }
        }
        if signal == libc::SIGBUS as u64 || *tries > 1000 {
            return Err((va, fault::BUS));
        }
        if *tries > 1 {
            // Somebody changed what the guest may do while somebody else noted or forgot code: what the bits say holds.
            let _turn = lock(&self.changing);
            for at in [va, va.wrapping_add(u64::from(size.max(1) - 1))] {
                self.protect(at & !(PAGE_SIZE - 1), self.bits(at));
            }
        }
        Ok(())
    }
    /// A store comes that code was made from, for all that is known: it is forgotten first, or the store would fault to say so.
    #[inline]
    fn clear_before(&self, machine: &Machine, va: u64, size: u32) {
        let va = self.untagged(va);
        for at in [va, va.wrapping_add(u64::from(size.max(1) - 1))] {
            if self.bits(at) & (page::CODE | page::WRITE) == page::CODE | page::WRITE {
                self.clear_for_store(machine, at);
            }
        }
    }
    /// Repeats an access until it has an answer. The fault comes with its address.
    #[inline]
    pub fn with<T>(&self, machine: &Machine, va: u64, size: u32, write: bool, f: impl Fn(*mut u8) -> Result<T, u64>) -> Result<T, (u64, u64)> {
        let mut tries = 0;
        if write {
            self.clear_before(machine, va, size);
        }
        loop {
            match f(self.host(va)) {
                Ok(v) => return Ok(v),
                Err(signal) => self.failed(machine, va, size, write, signal, &mut tries)?,
            }
        }
    }
    /// Copies to or from the guest, for helpers.
    pub fn bytes(&self, machine: &Machine, va: u64, data: *mut u8, len: usize, write: bool) -> Result<(), (u64, u64)> {
        let mut done = 0;
        while done < len {
            let at = va.wrapping_add(done as u64);
            let n = (len - done).min((PAGE_SIZE - at % PAGE_SIZE) as usize);
            self.with(machine, at, 1, write, |p| {
                // SAFETY: `data` has `len` bytes by the caller's word; guest memory answers for itself.
                let left = unsafe { if write { access::copy(p, data.add(done), n) } else { access::copy(data.add(done), p, n) } };
                if left == 0 { Ok(()) } else { Err(libc::SIGSEGV as u64) }
            })?;
            done += n;
        }
        Ok(())
    }

    /// Copies or sets bytes within a page; false if it cannot be done so. Of what has been done then, all can be done again.
    pub fn move_bytes(&self, from: Option<u64>, value: u8, to: u64, n: usize) -> bool {
        // Tags are seen by `bytes`, and what overlaps could not be done again.
        if to >> 56 != 0 || from.is_some_and(|f| f >> 56 != 0 || f.abs_diff(to) < n as u64) {
            return false;
        }
        let to = self.host(to);
        // SAFETY: faults come back as an answer, and the two do not overlap.
        unsafe {
            match from {
                Some(from) => access::copy_long(to, self.host(from), n),
                None => access::fill(to, value, n),
            }
        }
    }

    /// A tagged address was seen: code takes tags off from now on.
    pub fn note_tag(&self, machine: &Machine, va: u64) {
        if self.tagged && va >> 56 != 0 && !self.direct.tagged.swap(true, Ordering::SeqCst) {
            machine.forget_all_code();
        }
    }

    /// No other process sees the guest's memory, and there is no other thread yet.
    pub fn begin_alone(&self, machine: &Machine) {
        let locked = std::env::var_os("EMU_ATOMICS").is_some_and(|v| v == "locked");
        if machine.cpus.len() == 1 && !locked {
            self.direct.alone.store(true, Ordering::SeqCst);
        }
    }
    /// Another thread or process will see the guest's memory: code whose accesses are plain for that is forgotten, with its page. The one thread that there is has
    /// asked its kernel for that; it comes back by the dispatcher, and finds none of that code and no way back into it.
    pub fn share(&self, machine: &Machine) {
        if self.direct.alone.swap(false, Ordering::SeqCst) {
            machine.forget_code_of_one();
        }
    }

    /// Code that was made for that is right now.
    pub fn may_use(&self, made: &crate::kept::Made) -> bool {
        let is = |flag: &std::sync::atomic::AtomicBool| flag.load(Ordering::SeqCst);
        (!made.alone || is(&self.direct.alone)) && made.tagged == is(&self.direct.tagged) && made.segment == self.direct.segment
    }
    /// True if a page is none that the program can write, or could.
    pub fn may_keep_page(&self, va: u64) -> bool {
        self.bits(va) & (page::WRITE | page::WRITTEN) == 0
    }

    /// A CPU for a new thread.
    fn cpu<'m>(&self, machine: &'m Machine) -> Option<&'m std::sync::Arc<Vcpu>> {
        let mut idle = lock(&self.idle);
        match idle.pop() {
            Some(n) => machine.cpus.get(n as usize),
            None => machine.cpus.add(|n| std::sync::Arc::new(Vcpu::new(n, 0, 0, *machine.arch()))),
        }
    }

    /// Makes a CPU with a copy of this one's state and a thread that runs it. False if the host has none.
    pub fn thread(&self, machine: &Machine, parent: &Vcpu, argument: u64) -> bool {
        self.share(machine);
        let Some(cpu) = self.cpu(machine).cloned() else { return false };
        cpu.reset(machine);
        cpu.copy_state(parent, machine);
        machine.debug_comes(&cpu);
        // SAFETY: machines live as long as the process.
        let machine: &'static Machine = unsafe { &*core::ptr::from_ref(machine) };
        let n = cpu.index;
        let body = move || {
            // SAFETY: this is the CPU's thread.
            unsafe { machine.user_of().kernel().thread(cpu.header(), argument) };
            cpu.user_loop(machine);
            machine.debug_gone(&cpu);
            lock(&machine.user_of().idle).push(n);
        };
        let made = std::thread::Builder::new().stack_size(1 << 20).spawn(body).is_ok();
        if !made {
            if let Some(cpu) = machine.cpus.get(n as usize) {
                machine.debug_gone(cpu);
            }
            lock(&self.idle).push(n);
        }
        made
    }
    /// The host's segment that the guest's memory begins at, for this thread.
    pub fn enter_thread(&self) {
        const ARCH_SET_GS: i32 = 0x1001;
        // SAFETY: nothing else on this host uses that segment register.
        unsafe { libc::syscall(libc::SYS_arch_prctl, ARCH_SET_GS, self.base) };
    }
}

impl Vcpu {
    /// The state of another CPU, whose thread this is.
    fn copy_state(&self, other: &Vcpu, machine: &Machine) {
        let (to, from, size) = (self.header(), other.header(), machine.arch().layout().size as usize);
        // SAFETY: both are CPUs of this machine's layout; the new one has no thread yet, the other is this thread's.
        unsafe {
            let head = size_of::<emu_plugins_api::CpuHeader>();
            core::ptr::copy_nonoverlapping(from.cast::<u8>().add(head), to.cast::<u8>().add(head), size - head);
            (*to).pc = (*from).pc;
            (*to).mode_key = (*from).mode_key;
            (*to).fp_flags = (*from).fp_flags;
            (*to).halted = 0;
        }
    }
    /// Runs a thread of the program until it ends.
    pub fn user_loop(&self, machine: &Machine) {
        let user = machine.user_of();
        user.enter_thread();
        let tid = self.tid.swap(own_tid(), Ordering::SeqCst);
        loop {
            self.exit_request().store(0, Ordering::SeqCst);
            self.serve();
            if machine.debug.is_engaged() {
                machine.debug_wait_to_run(self);
            }
            // SAFETY: this is the CPU's thread.
            if unsafe { user.kernel().attend(self.header()) } == Onward::ENDED {
                break;
            }
            self.run(machine, u64::MAX);
            if self.left_for_good.load(Ordering::Relaxed) {
                break;
            }
        }
        self.code_seen.store(u64::MAX, Ordering::SeqCst);
        // (The CPU of a vforked process was its parent's, and is again.)
        self.tid.store(tid, Ordering::SeqCst);
    }
    /// The program calls its kernel: true if the thread has ended.
    pub fn call_kernel(&self, machine: &Machine) -> bool {
        let Some(user) = &machine.user else { return false };
        // Whatever it waits for, this CPU is in no generated code meanwhile, and comes back by the dispatcher.
        self.code_seen.store(u64::MAX, Ordering::SeqCst);
        // SAFETY: this is the CPU's thread.
        unsafe { user.kernel().syscall(self.header()) == Onward::ENDED }
    }
}

impl Machine {
    /// What user mode has besides. Only in user mode.
    pub(crate) fn user_of(&self) -> &User {
        match &self.user {
            Some(u) => u,
            None => panic!("this machine is not in user mode"),
        }
    }
    /// Runs the program on this thread, which is its first. Comes back only when that thread has ended and others have not.
    pub(crate) fn run_user(&self) {
        if let Some(cpu) = self.cpus.get(0) {
            // SAFETY: this is the CPU's thread.
            unsafe { (*cpu.header()).halted = 0 };
            cpu.user_loop(self);
            self.debug_gone(cpu);
        }
    }
}

/// The host's id of this thread.
fn own_tid() -> i32 {
    // SAFETY: touches no memory.
    unsafe { libc::gettid() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guest_is_trusted_when_it_has_asked_after_each_store() {
        let mut r = Rewritten::default();
        r.maintained(0x1000);
        for n in 1..=Rewritten::OFTEN {
            assert!(!r.trusted(0x1000), "{n}");
            r.written(0x1000);
            assert!(!r.trusted(0x1000), "{n} not asked yet");
            r.maintained(0x1000);
        }
        assert!(r.trusted(0x1000) && !r.trusted(0x2000));
        r.written(0x1000);
        assert!(!r.trusted(0x1000), "a store that nothing was asked after");
        for page in 0..Rewritten::MAX as u64 + 10 {
            r.written(page << 12);
        }
        assert!(r.0.len() <= Rewritten::MAX);
    }
}
