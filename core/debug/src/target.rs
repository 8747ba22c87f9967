//! The machine as the protocol crate sees it. CPU `n` is thread `n + 1`.

use crate::description::Description;
use crate::{monitor, signals};
use emu_exec::{Action, Machine, Points, WatchKind as Kind, Watchpoint};
use gdbstub::arch::{Arch, RegId, Registers};
use gdbstub::common::{Pid, Signal, Tid};
use gdbstub::target::ext::auxv::{Auxv, AuxvOps};
use gdbstub::target::ext::base::BaseOps;
use gdbstub::target::ext::base::multithread::{
    MultiThreadBase, MultiThreadRangeStepping, MultiThreadRangeSteppingOps, MultiThreadResume, MultiThreadResumeOps, MultiThreadSchedulerLocking,
    MultiThreadSchedulerLockingOps, MultiThreadSingleStep, MultiThreadSingleStepOps,
};
use gdbstub::target::ext::base::single_register_access::{SingleRegisterAccess, SingleRegisterAccessOps};
use gdbstub::target::ext::breakpoints::{
    Breakpoints, BreakpointsOps, HwBreakpoint, HwBreakpointOps, HwWatchpoint, HwWatchpointOps, SwBreakpoint, SwBreakpointOps, WatchKind,
};
use gdbstub::target::ext::exec_file::{ExecFile, ExecFileOps};
use gdbstub::target::ext::monitor_cmd::{ConsoleOutput, MonitorCmd, MonitorCmdOps, outputln};
use gdbstub::target::ext::target_description_xml_override::{TargetDescriptionXmlOverride, TargetDescriptionXmlOverrideOps};
use gdbstub::target::ext::thread_extra_info::{ThreadExtraInfo, ThreadExtraInfoOps};
use gdbstub::target::{Target, TargetError, TargetResult};
use std::convert::Infallible;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// Any architecture: addresses of 64 bits, registers as the description says.
pub struct AnyArch;

/// The registers that are read at every stop, one behind the other.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Block(Vec<u8>);

impl Registers for Block {
    type ProgramCounter = u64;
    fn pc(&self) -> u64 {
        0
    }
    fn gdb_serialize(&self, mut write_byte: impl FnMut(Option<u8>)) {
        self.0.iter().for_each(|b| write_byte(Some(*b)));
    }
    fn gdb_deserialize(&mut self, bytes: &[u8]) -> Result<(), ()> {
        self.0 = bytes.to_vec();
        Ok(())
    }
}

/// A register by its number.
#[derive(Clone, Copy, Debug)]
pub struct Number(usize);

impl RegId for Number {
    fn from_raw_id(id: usize) -> Option<(Number, Option<NonZeroUsize>)> {
        Some((Number(id), None))
    }
    fn to_raw_id(&self) -> Option<usize> {
        Some(self.0)
    }
}

impl Arch for AnyArch {
    type Usize = u64;
    type Registers = Block;
    type BreakpointKind = usize;
    type RegId = Number;
}

/// A machine and a debugger's intentions with it.
pub struct Debuggee {
    machine: Arc<Machine>,
    description: Arc<Description>,
    actions: Vec<Action>,
    chosen: Vec<bool>,
    /// What CPUs do that are not in these lists.
    others: Action,
    /// Signals that go on to their threads, by CPU.
    signals: Vec<(u32, u32)>,
    /// The program's file, if it is one.
    file: Option<String>,
    /// `monitor quit`.
    pub quit: bool,
}

/// The error of what cannot be done; gdb shows it as such and goes on.
const REFUSED: u8 = 1;

fn refused<T>() -> TargetResult<T, Debuggee> {
    Err(TargetError::Errno(REFUSED))
}

fn cpu(tid: Tid) -> u32 {
    u32::try_from(tid.get() - 1).unwrap_or(u32::MAX)
}

/// The thread of a CPU.
pub fn tid(cpu: u32) -> Tid {
    Tid::MIN.saturating_add(cpu as usize)
}

/// The protocol's word for a kind of watchpoint.
pub fn watch_kind(kind: Kind) -> WatchKind {
    match kind {
        Kind::Write => WatchKind::Write,
        Kind::Read => WatchKind::Read,
        Kind::Access => WatchKind::ReadWrite,
    }
}

impl Debuggee {
    pub fn new(machine: Arc<Machine>, description: Arc<Description>, file: Option<String>) -> Debuggee {
        let cpus = machine.cpus.len();
        let (actions, chosen) = (vec![Action::Run; cpus], vec![false; cpus]);
        Debuggee { machine, description, actions, chosen, others: Action::Run, signals: Vec::new(), file, quit: false }
    }
    /// The program counter of a CPU, with its number as a register.
    pub fn pc(&self, cpu: u32) -> Option<(Number, Vec<u8>)> {
        let number = self.description.pc;
        let mut value = vec![0; *self.description.sizes.get(number as usize)?];
        self.machine.debug_read_register(cpu, number, &mut value).then_some((Number(number as usize), value))
    }
    fn act(&mut self, tid: Tid, action: Action, signal: Option<Signal>) {
        let n = cpu(tid) as usize;
        if n < self.machine.cpus.len() && self.actions.len() < self.machine.cpus.len() {
            self.actions.resize(self.machine.cpus.len(), Action::Run);
            self.chosen.resize(self.machine.cpus.len(), false);
        }
        if let Some(signal) = signal.map(signals::meant).filter(|s| *s != 0) {
            self.signals.push((cpu(tid), signal));
        }
        if let (Some(a), Some(c)) = (self.actions.get_mut(n), self.chosen.get_mut(n)) {
            (*a, *c) = (action, true);
        }
    }
    fn points<R>(&self, change: impl FnOnce(&mut Points) -> R) -> TargetResult<R, Debuggee> {
        Ok(self.machine.debug_points(change))
    }
    fn add(&self, addr: u64, hardware: bool) -> TargetResult<bool, Debuggee> {
        self.points(|p| {
            if !p.breakpoints.contains(&(addr, hardware)) {
                p.breakpoints.push((addr, hardware));
            }
            true
        })
    }
    fn remove(&self, addr: u64, hardware: bool) -> TargetResult<bool, Debuggee> {
        self.points(|p| {
            let before = p.breakpoints.len();
            p.breakpoints.retain(|b| *b != (addr, hardware));
            p.breakpoints.len() != before
        })
    }
    fn watchpoint(addr: u64, len: u64, kind: WatchKind) -> Watchpoint {
        let kind = match kind {
            WatchKind::Write => Kind::Write,
            WatchKind::Read => Kind::Read,
            WatchKind::ReadWrite => Kind::Access,
        };
        Watchpoint { addr, len, kind }
    }
}

impl Target for Debuggee {
    type Arch = AnyArch;
    type Error = Infallible;
    fn base_ops(&mut self) -> BaseOps<'_, AnyArch, Infallible> {
        BaseOps::MultiThread(self)
    }
    fn support_breakpoints(&mut self) -> Option<BreakpointsOps<'_, Self>> {
        Some(self)
    }
    fn support_monitor_cmd(&mut self) -> Option<MonitorCmdOps<'_, Self>> {
        Some(self)
    }
    fn support_auxv(&mut self) -> Option<AuxvOps<'_, Self>> {
        if self.file.is_some() { Some(self) } else { None }
    }
    fn support_exec_file(&mut self) -> Option<ExecFileOps<'_, Self>> {
        if self.file.is_some() { Some(self) } else { None }
    }
    fn support_target_description_xml_override(&mut self) -> Option<TargetDescriptionXmlOverrideOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadBase for Debuggee {
    fn read_registers(&mut self, regs: &mut Block, tid: Tid) -> TargetResult<(), Self> {
        let sizes = &self.description.sizes[..self.description.eager];
        regs.0 = vec![0; sizes.iter().sum()];
        let mut at = 0;
        for (n, size) in sizes.iter().enumerate() {
            if !self.machine.debug_read_register(cpu(tid), n as u32, &mut regs.0[at..at + size]) {
                return refused();
            }
            at += size;
        }
        Ok(())
    }
    fn write_registers(&mut self, regs: &Block, tid: Tid) -> TargetResult<(), Self> {
        let mut at = 0;
        for (n, size) in self.description.sizes.iter().enumerate() {
            let Some(value) = regs.0.get(at..at + size) else { break };
            if !self.machine.debug_write_register(cpu(tid), n as u32, value) {
                return refused();
            }
            at += size;
        }
        Ok(())
    }
    fn support_single_register_access(&mut self) -> Option<SingleRegisterAccessOps<'_, Tid, Self>> {
        Some(self)
    }
    fn read_addrs(&mut self, addr: u64, data: &mut [u8], tid: Tid) -> TargetResult<usize, Self> {
        match self.machine.debug_read_memory(cpu(tid), addr, data) {
            0 if !data.is_empty() => refused(),
            n => Ok(n),
        }
    }
    fn write_addrs(&mut self, addr: u64, data: &[u8], tid: Tid) -> TargetResult<(), Self> {
        if self.machine.debug_write_memory(cpu(tid), addr, data) { Ok(()) } else { refused() }
    }
    fn list_active_threads(&mut self, thread_is_active: &mut dyn FnMut(Tid)) -> Result<(), Infallible> {
        self.machine.debug_cpus().filter(|n| self.machine.debug_lives(*n)).for_each(|n| thread_is_active(tid(n)));
        Ok(())
    }
    fn support_resume(&mut self) -> Option<MultiThreadResumeOps<'_, Self>> {
        Some(self)
    }
    fn support_thread_extra_info(&mut self) -> Option<ThreadExtraInfoOps<'_, Self>> {
        Some(self)
    }
}

impl SingleRegisterAccess<Tid> for Debuggee {
    fn read_register(&mut self, tid: Tid, reg: Number, buf: &mut [u8]) -> TargetResult<usize, Self> {
        let size = self.description.sizes.get(reg.0).copied();
        let Some(out) = size.and_then(|s| buf.get_mut(..s)) else { return refused() };
        if self.machine.debug_read_register(cpu(tid), reg.0 as u32, out) { Ok(out.len()) } else { refused() }
    }
    fn write_register(&mut self, tid: Tid, reg: Number, value: &[u8]) -> TargetResult<(), Self> {
        let fits = self.description.sizes.get(reg.0).is_some_and(|s| *s == value.len());
        if fits && self.machine.debug_write_register(cpu(tid), reg.0 as u32, value) { Ok(()) } else { refused() }
    }
}

impl MultiThreadResume for Debuggee {
    fn resume(&mut self) -> Result<(), Infallible> {
        self.machine.debug_resume(&self.actions, self.others, &self.signals);
        Ok(())
    }
    fn clear_resume_actions(&mut self) -> Result<(), Infallible> {
        self.actions.fill(Action::Run);
        self.chosen.fill(false);
        self.signals.clear();
        self.others = Action::Run;
        Ok(())
    }
    // Signals are a program's: a board's CPU has none.
    fn set_resume_action_continue(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), Infallible> {
        self.act(tid, Action::Run, signal);
        Ok(())
    }
    fn support_single_step(&mut self) -> Option<MultiThreadSingleStepOps<'_, Self>> {
        Some(self)
    }
    fn support_range_step(&mut self) -> Option<MultiThreadRangeSteppingOps<'_, Self>> {
        Some(self)
    }
    fn support_scheduler_locking(&mut self) -> Option<MultiThreadSchedulerLockingOps<'_, Self>> {
        Some(self)
    }
}

impl MultiThreadSingleStep for Debuggee {
    fn set_resume_action_step(&mut self, tid: Tid, signal: Option<Signal>) -> Result<(), Infallible> {
        self.act(tid, Action::Step(0, 0), signal);
        Ok(())
    }
}

impl MultiThreadRangeStepping for Debuggee {
    fn set_resume_action_range_step(&mut self, tid: Tid, start: u64, end: u64) -> Result<(), Infallible> {
        self.act(tid, Action::Step(start, end), None);
        Ok(())
    }
}

impl MultiThreadSchedulerLocking for Debuggee {
    fn set_resume_action_scheduler_lock(&mut self) -> Result<(), Infallible> {
        for (action, _) in self.actions.iter_mut().zip(&self.chosen).filter(|(_, chosen)| !**chosen) {
            *action = Action::Hold;
        }
        self.others = Action::Hold;
        Ok(())
    }
}

impl Breakpoints for Debuggee {
    fn support_sw_breakpoint(&mut self) -> Option<SwBreakpointOps<'_, Self>> {
        Some(self)
    }
    fn support_hw_breakpoint(&mut self) -> Option<HwBreakpointOps<'_, Self>> {
        Some(self)
    }
    fn support_hw_watchpoint(&mut self) -> Option<HwWatchpointOps<'_, Self>> {
        Some(self)
    }
}

impl SwBreakpoint for Debuggee {
    fn add_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        self.add(addr, false)
    }
    fn remove_sw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        self.remove(addr, false)
    }
}

impl HwBreakpoint for Debuggee {
    fn add_hw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        self.add(addr, true)
    }
    fn remove_hw_breakpoint(&mut self, addr: u64, _: usize) -> TargetResult<bool, Self> {
        self.remove(addr, true)
    }
}

impl HwWatchpoint for Debuggee {
    fn add_hw_watchpoint(&mut self, addr: u64, len: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        if len == 0 {
            return Ok(false);
        }
        self.points(|p| p.watchpoints.push(Debuggee::watchpoint(addr, len, kind)))?;
        Ok(true)
    }
    fn remove_hw_watchpoint(&mut self, addr: u64, len: u64, kind: WatchKind) -> TargetResult<bool, Self> {
        let gone = Debuggee::watchpoint(addr, len, kind);
        self.points(|p| p.watchpoints.iter().position(|w| *w == gone).map(|at| p.watchpoints.remove(at)).is_some())
    }
}

impl ThreadExtraInfo for Debuggee {
    fn thread_extra_info(&self, tid: Tid, buf: &mut [u8]) -> Result<usize, Infallible> {
        let text = match self.machine.debug_tid(cpu(tid)) {
            Some(id) => format!("thread {id}"),
            None => format!("CPU {}: {}", cpu(tid), monitor::status(&self.machine, cpu(tid))),
        };
        let n = text.len().min(buf.len());
        buf[..n].copy_from_slice(&text.as_bytes()[..n]);
        Ok(n)
    }
}

impl MonitorCmd for Debuggee {
    fn handle_monitor_cmd(&mut self, line: &[u8], mut out: ConsoleOutput<'_>) -> Result<(), Infallible> {
        let mut text = String::new();
        let wish = monitor::run(&self.machine, &String::from_utf8_lossy(line), &mut text);
        self.quit |= wish == monitor::Wish::Quit;
        for line in text.lines() {
            outputln!(out, "{line}");
        }
        Ok(())
    }
}

impl TargetDescriptionXmlOverride for Debuggee {
    fn target_description_xml(&self, annex: &[u8], offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        if annex != b"target.xml" {
            return refused();
        }
        let n = part(self.description.xml.as_bytes(), offset, length, buf);
        Ok(n)
    }
}

/// The part of some bytes that a packet asks for.
fn part(bytes: &[u8], offset: u64, length: usize, buf: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|o| bytes.get(o..)).unwrap_or_default();
    let n = rest.len().min(length).min(buf.len());
    buf[..n].copy_from_slice(&rest[..n]);
    n
}

impl Auxv for Debuggee {
    fn get_auxv(&self, offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        Ok(part(&self.machine.debug_auxv().unwrap_or_default(), offset, length, buf))
    }
}

impl ExecFile for Debuggee {
    fn get_exec_file(&self, _: Option<Pid>, offset: u64, length: usize, buf: &mut [u8]) -> TargetResult<usize, Self> {
        Ok(part(self.file.as_deref().unwrap_or_default().as_bytes(), offset, length, buf))
    }
}
