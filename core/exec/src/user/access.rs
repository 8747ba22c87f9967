//! Accesses to guest memory that may fault on the host: a few leaf functions in assembly, whose faults the signal handler turns into an
//! answer. Each returns its value in rax and 0 in rdx, or a signal's number in rdx.

use std::ffi::c_void;

core::arch::global_asm!(
    ".globl emu_user_first",
    ".hidden emu_user_first",
    ".globl emu_user_load1",
    ".hidden emu_user_load1",
    ".globl emu_user_load2",
    ".hidden emu_user_load2",
    ".globl emu_user_load4",
    ".hidden emu_user_load4",
    ".globl emu_user_load8",
    ".hidden emu_user_load8",
    ".globl emu_user_load16",
    ".hidden emu_user_load16",
    ".globl emu_user_store1",
    ".hidden emu_user_store1",
    ".globl emu_user_store2",
    ".hidden emu_user_store2",
    ".globl emu_user_store4",
    ".hidden emu_user_store4",
    ".globl emu_user_store8",
    ".hidden emu_user_store8",
    ".globl emu_user_store16",
    ".hidden emu_user_store16",
    ".globl emu_user_cas1",
    ".hidden emu_user_cas1",
    ".globl emu_user_cas2",
    ".hidden emu_user_cas2",
    ".globl emu_user_cas4",
    ".hidden emu_user_cas4",
    ".globl emu_user_cas8",
    ".hidden emu_user_cas8",
    ".globl emu_user_cas16",
    ".hidden emu_user_cas16",
    ".globl emu_user_copy",
    ".hidden emu_user_copy",
    ".globl emu_user_copy_exactly",
    ".hidden emu_user_copy_exactly",
    ".globl emu_user_fill",
    ".hidden emu_user_fill",
    ".globl emu_user_last",
    ".hidden emu_user_last",
    ".globl emu_user_fault",
    ".hidden emu_user_fault",
    ".globl emu_user_fault16",
    ".hidden emu_user_fault16",
    ".globl emu_user_fault_copy",
    ".hidden emu_user_fault_copy",
    "emu_user_first:",
    "emu_user_load1: movzx eax, byte ptr [rdi]",
    "xor edx, edx",
    "ret",
    "emu_user_load2: movzx eax, word ptr [rdi]",
    "xor edx, edx",
    "ret",
    "emu_user_load4: mov eax, [rdi]",
    "xor edx, edx",
    "ret",
    "emu_user_load8: mov rax, [rdi]",
    "xor edx, edx",
    "ret",
    "emu_user_load16: movups xmm0, [rdi]",
    "movups [rsi], xmm0",
    "xor edx, edx",
    "ret",
    "emu_user_store1: mov [rdi], sil",
    "xor edx, edx",
    "ret",
    "emu_user_store2: mov [rdi], si",
    "xor edx, edx",
    "ret",
    "emu_user_store4: mov [rdi], esi",
    "xor edx, edx",
    "ret",
    "emu_user_store8: mov [rdi], rsi",
    "xor edx, edx",
    "ret",
    "emu_user_store16: movups xmm0, [rsi]",
    "movups [rdi], xmm0",
    "xor edx, edx",
    "ret",
    "emu_user_cas1: mov rax, rsi",
    "lock cmpxchg [rdi], dl",
    "xor edx, edx",
    "ret",
    "emu_user_cas2: mov rax, rsi",
    "lock cmpxchg [rdi], dx",
    "xor edx, edx",
    "ret",
    "emu_user_cas4: mov rax, rsi",
    "lock cmpxchg [rdi], edx",
    "xor edx, edx",
    "ret",
    "emu_user_cas8: mov rax, rsi",
    "lock cmpxchg [rdi], rdx",
    "xor edx, edx",
    "ret",
    // rsi: expected (replaced by what was found) and new value.
    "emu_user_cas16: mov r8, rbx",
    "mov rax, [rsi]",
    "mov rdx, [rsi + 8]",
    "mov rbx, [rsi + 16]",
    "mov rcx, [rsi + 24]",
    "lock cmpxchg16b [rdi]",
    "mov [rsi], rax",
    "mov [rsi + 8], rdx",
    "mov rbx, r8",
    "xor edx, edx",
    "ret",
    // rcx: what is left. rep movsb takes a hundred cycles to begin with unless both sides are aligned.
    "emu_user_copy: mov rcx, rdx",
    "2: cmp rcx, 64",
    "jb 3f",
    "movups xmm0, [rsi]",
    "movups xmm1, [rsi + 16]",
    "movups xmm2, [rsi + 32]",
    "movups xmm3, [rsi + 48]",
    "movups [rdi], xmm0",
    "movups [rdi + 16], xmm1",
    "movups [rdi + 32], xmm2",
    "movups [rdi + 48], xmm3",
    "add rsi, 64",
    "add rdi, 64",
    "sub rcx, 64",
    "jmp 2b",
    "3: cmp rcx, 8",
    "jb 4f",
    "mov rax, [rsi]",
    "mov [rdi], rax",
    "add rsi, 8",
    "add rdi, 8",
    "sub rcx, 8",
    "jmp 3b",
    "4: test ecx, ecx",
    "je 5f",
    "movzx eax, byte ptr [rsi]",
    "mov [rdi], al",
    "inc rsi",
    "inc rdi",
    "dec ecx",
    "jmp 4b",
    "5: xor eax, eax",
    "xor edx, edx",
    "ret",
    "emu_user_copy_exactly: mov rcx, rdx",
    "rep movsb",
    "xor eax, eax",
    "xor edx, edx",
    "ret",
    "emu_user_fill: mov rcx, rdx",
    "mov eax, esi",
    "rep stosb",
    "xor eax, eax",
    "xor edx, edx",
    "ret",
    "emu_user_last:",
    "emu_user_fault: ret",
    "emu_user_fault16: mov rbx, r8",
    "ret",
    "emu_user_fault_copy: mov rax, rcx",
    "ret",
);

/// Value and signal.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Answer {
    /// What was loaded or found.
    pub value: u64,
    /// The signal that the access made, or 0.
    pub signal: u64,
}

unsafe extern "C" {
    fn emu_user_first();
    fn emu_user_last();
    fn emu_user_cas16(p: *mut u8, values: *mut [u64; 4]) -> Answer;
    fn emu_user_copy(to: *mut u8, from: *const u8, len: usize) -> Answer;
    fn emu_user_copy_exactly(to: *mut u8, from: *const u8, len: usize) -> Answer;
    fn emu_user_fill(to: *mut u8, value: u64, len: usize) -> Answer;
    fn emu_user_fault();
    fn emu_user_fault16();
    fn emu_user_fault_copy();
    fn emu_user_load1(p: *const u8) -> Answer;
    fn emu_user_load2(p: *const u8) -> Answer;
    fn emu_user_load4(p: *const u8) -> Answer;
    fn emu_user_load8(p: *const u8) -> Answer;
    fn emu_user_load16(p: *const u8, out: *mut [u64; 2]) -> Answer;
    fn emu_user_store1(p: *mut u8, v: u64) -> Answer;
    fn emu_user_store2(p: *mut u8, v: u64) -> Answer;
    fn emu_user_store4(p: *mut u8, v: u64) -> Answer;
    fn emu_user_store8(p: *mut u8, v: u64) -> Answer;
    fn emu_user_store16(p: *mut u8, v: *const [u64; 2]) -> Answer;
    fn emu_user_cas1(p: *mut u8, old: u64, new: u64) -> Answer;
    fn emu_user_cas2(p: *mut u8, old: u64, new: u64) -> Answer;
    fn emu_user_cas4(p: *mut u8, old: u64, new: u64) -> Answer;
    fn emu_user_cas8(p: *mut u8, old: u64, new: u64) -> Answer;
}

fn at(f: unsafe extern "C" fn()) -> usize {
    f as *const c_void as usize
}

/// Where to go on after a fault at `rip`, if that is in one of these functions.
pub fn way_out(rip: usize) -> Option<usize> {
    if rip < at(emu_user_first) || rip >= at(emu_user_last) {
        return None;
    }
    Some(if rip >= emu_user_copy as *const c_void as usize {
        at(emu_user_fault_copy)
    } else if rip >= emu_user_cas16 as *const c_void as usize {
        at(emu_user_fault16)
    } else {
        at(emu_user_fault)
    })
}

/// Loads `size` bytes (a power of two to 16); the signal if that faults.
///
/// # Safety
/// Only guest memory may be at `p`, or nothing. (So for all functions here.)
pub unsafe fn load(p: *const u8, size: u32) -> Result<u128, u64> {
    // SAFETY: a fault comes back as an answer; the caller vouches for the rest.
    unsafe {
        let mut wide = [0; 2];
        let a = match size {
            1 => emu_user_load1(p),
            2 => emu_user_load2(p),
            4 => emu_user_load4(p),
            8 => emu_user_load8(p),
            _ => {
                let a = emu_user_load16(p, &mut wide);
                return if a.signal == 0 { Ok(u128::from(wide[0]) | u128::from(wide[1]) << 64) } else { Err(a.signal) };
            }
        };
        if a.signal == 0 { Ok(a.value.into()) } else { Err(a.signal) }
    }
}

/// Stores `size` bytes.
///
/// # Safety
/// See `load`.
pub unsafe fn store(p: *mut u8, size: u32, v: u128) -> Result<(), u64> {
    // SAFETY: see `load`.
    let a = unsafe {
        match size {
            1 => emu_user_store1(p, v as u64),
            2 => emu_user_store2(p, v as u64),
            4 => emu_user_store4(p, v as u64),
            8 => emu_user_store8(p, v as u64),
            _ => emu_user_store16(p, &[v as u64, (v >> 64) as u64]),
        }
    };
    if a.signal == 0 { Ok(()) } else { Err(a.signal) }
}

/// Compares and swaps `size` bytes; what was there.
///
/// # Safety
/// See `load`.
pub unsafe fn compare_exchange(p: *mut u8, size: u32, old: u128, new: u128) -> Result<u128, u64> {
    // SAFETY: see `load`.
    unsafe {
        let whole = |p: *mut u8, old: u128, new: u128| {
            let mut v = [old as u64, (old >> 64) as u64, new as u64, (new >> 64) as u64];
            let a = emu_user_cas16(p, &mut v);
            if a.signal == 0 { Ok(u128::from(v[0]) | u128::from(v[1]) << 64) } else { Err(a.signal) }
        };
        let offset = p as usize & 15;
        let a = match size {
            1 => emu_user_cas1(p, old as u64, new as u64),
            2 => emu_user_cas2(p, old as u64, new as u64),
            4 => emu_user_cas4(p, old as u64, new as u64),
            8 => emu_user_cas8(p, old as u64, new as u64),
            _ if offset == 0 => return whole(p, old, new),
            _ => {
                // Which the architecture lets tear.
                let seen = load(p, 16)?;
                if seen == old {
                    store(p, 16, new)?;
                }
                return Ok(seen);
            }
        };
        let mask = if size == 8 { u64::MAX } else { (1 << (size * 8)) - 1 };
        if a.signal == 0 { Ok((a.value & mask).into()) } else { Err(a.signal) }
    }
}

/// Copies between two places of the guest's memory that do not overlap; false if not all of it could be.
///
/// # Safety
/// See `load`.
pub unsafe fn copy_long(to: *mut u8, from: *const u8, len: usize) -> bool {
    /// From so many bytes on the host's own loop is the fastest.
    const LONG: usize = 512;
    // SAFETY: the caller says so.
    unsafe { if len >= LONG { emu_user_copy_exactly(to, from, len) } else { emu_user_copy(to, from, len) } }.value == 0
}

/// Sets bytes of the guest's memory; false if not all of it could be.
///
/// # Safety
/// See `load`.
pub unsafe fn fill(to: *mut u8, value: u8, len: usize) -> bool {
    // SAFETY: the caller says so.
    unsafe { emu_user_fill(to, value.into(), len) }.value == 0
}

/// Copies; the number of bytes that could not be.
///
/// # Safety
/// See `load`, for whichever of the two is not the caller's own memory.
pub unsafe fn copy(to: *mut u8, from: *const u8, len: usize) -> usize {
    // SAFETY: the caller says so.
    let left = unsafe { emu_user_copy(to, from, len) }.value as usize;
    if left == 0 {
        return 0;
    }
    // A piece faulted, of which the first bytes need not.
    let done = len - left;
    // SAFETY: the same memory from there on.
    unsafe { emu_user_copy_exactly(to.add(done), from.add(done), left) }.value as usize
}
