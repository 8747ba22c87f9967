//! What `-d` shows of a running CPU: its registers before a block, and page walks.

use crate::machine::{Machine, TraceOptions};
use crate::vcpu::Vcpu;
use emu_plugins_api::{Access, AccessKind, CpuHeader, Field, FieldClass, Translation, attr, perm};
use std::fmt::Write;

impl TraceOptions {
    /// True if every block that is entered has to be seen.
    pub(crate) fn each_block(&self) -> bool {
        (self.exec || self.cpu || self.fpu) && self.sink.is_some()
    }
    /// True if an address is one that the user wants to see.
    pub(crate) fn wants(&self, address: u64) -> bool {
        self.filter.is_empty() || self.filter.iter().any(|(a, b)| *a <= address && address <= *b)
    }
}

/// More elements than this and a field is no register file but storage.
const COUNT_MAX: u32 = 64;
/// Columns of a line of registers.
const WIDTH: usize = 120;

impl Machine {
    /// A block is about to be entered.
    #[cold]
    pub(crate) fn trace_block(&self, vcpu: &Vcpu) {
        let cpu = vcpu.header();
        // SAFETY: this is the CPU's thread, and nothing of the CPU is borrowed.
        let (index, pc, mode) = unsafe { ((*cpu).index, (*cpu).pc, (*cpu).mode_key) };
        if !self.trace.wants(pc) {
            return;
        }
        let mut text = String::new();
        if self.trace.exec {
            let _ = writeln!(text, "exec: cpu {index} pc {pc:#018x} mode {mode:#x}");
        }
        if self.trace.cpu || self.trace.fpu {
            let _ = writeln!(text, "cpu: cpu {index} pc {pc:#018x}");
            self.registers(vcpu, &mut text);
        }
        self.trace(&text);
    }

    /// The registers by the target's declared fields, several a line.
    fn registers(&self, vcpu: &Vcpu, text: &mut String) {
        let wanted = |f: &Field| match f.class {
            FieldClass::GPR | FieldClass::FLAG => self.trace.cpu,
            FieldClass::SYSTEM => self.trace.cpu && f.count == 1,
            FieldClass::VECTOR | FieldClass::PREDICATE => self.trace.fpu,
            _ => false,
        };
        let (cpu, layout) = (vcpu.header(), *vcpu.arch.layout());
        let (mut line, mut class) = (String::new(), FieldClass::GPR);
        for field in layout.fields.get().iter().filter(|f| wanted(f) && f.count <= COUNT_MAX) {
            for n in 0..field.count {
                let name = if field.count > 1 { format!("{}{n}", field.name.get()) } else { field.name.get().to_owned() };
                // In columns where there are many.
                let width = if field.count > 9 { field.name.get().len() + 2 } else { 0 };
                let cell = format!(" {name:>width$}={}", value(cpu, layout.size as usize, field, n));
                if (line.len() + cell.len() > WIDTH || class != field.class) && !line.is_empty() {
                    let _ = writeln!(text, " {line}");
                    line.clear();
                }
                class = field.class;
                line += &cell;
            }
        }
        if !line.is_empty() {
            let _ = writeln!(text, " {line}");
        }
    }

    /// Translates an address by the target's tables, and tells of it.
    #[inline]
    pub(crate) fn walk(&self, vcpu: &Vcpu, access: &Access, out: &mut Translation) -> u64 {
        // SAFETY: every caller is on the CPU's thread.
        let failed = unsafe { vcpu.arch.walk(vcpu.header(), access, out) };
        if self.trace.mmu {
            self.trace_walk(vcpu.header(), access, out, failed);
        }
        failed
    }

    #[cold]
    fn trace_walk(&self, cpu: *mut CpuHeader, access: &Access, out: &Translation, failed: u64) {
        if !self.trace.wants(access.va) {
            return;
        }
        // SAFETY: as in `walk`.
        let (index, pc) = unsafe { ((*cpu).index, (*cpu).pc) };
        let kind = match access.kind {
            AccessKind::READ => "read",
            AccessKind::WRITE => "write",
            AccessKind::FETCH => "fetch",
            _ => "read and write",
        };
        let mut text = format!("mmu: cpu {index} pc {pc:#x} {kind} va {:#018x} view {}: ", access.va, access.view);
        let _ = if failed != 0 {
            writeln!(text, "fault {failed:#x}")
        } else {
            let letter = |set: bool, c: char| if set { c } else { '-' };
            let p = |bit: u8| out.perms & bit != 0;
            let attributes: String = [(attr::DEVICE, " device"), (attr::GUARDED, " guarded"), (attr::TAGGED, " tagged")]
                .iter()
                .filter(|(bit, _)| out.attrs & bit != 0)
                .map(|(_, name)| *name)
                .collect();
            writeln!(
                text,
                "pa {:#x} page 2^{} {}{}{}{}{attributes}",
                out.pa,
                out.page_bits,
                letter(p(perm::READ), 'r'),
                letter(p(perm::WRITE), 'w'),
                letter(p(perm::EXEC), 'x'),
                if out.global != 0 { " global" } else { "" },
            )
        };
        self.trace(&text);
    }
}

/// Element `n` of a field of a state of `size` bytes: a flag as a digit, all else in hexadecimal with the most significant digit first.
fn value(cpu: *mut CpuHeader, size: usize, field: &Field, n: u32) -> String {
    let bytes = field.ty.bytes() as usize;
    let at = field.offset as usize + n as usize * field.stride as usize;
    if at + bytes > size {
        return "?".to_owned();
    }
    // SAFETY: the bytes lie in the CPU's allocation, which has `size` bytes and more; this is its thread.
    let bytes = (0..bytes).rev().map(|i| unsafe { *cpu.cast::<u8>().add(at + i) });
    match field.class {
        FieldClass::FLAG => bytes.map(|b| b.to_string()).collect(),
        _ => bytes.map(|b| format!("{b:02x}")).collect(),
    }
}
