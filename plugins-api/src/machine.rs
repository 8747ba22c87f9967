//! Machines: what surrounds the CPUs.

use crate::services::Host;
use crate::{HostServices, KeyValue, Sink, Slice, Str};
use core::ffi::c_void;

/// What the host asks of a machine when it makes one.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct MachineConfig<'a> {
    /// Target name; of a machine with several, all of them as it was registered with ("a+b").
    pub target: Str<'a>,
    /// CPU model, or one for each target ("x+y").
    pub cpu: Str<'a>,
    /// Number of CPUs, of all targets together.
    pub cpus: u32,
    /// Size of this struct in bytes; 0 from hosts whose struct ends before `clusters`.
    pub bytes: u32,
    /// Size of RAM in bytes.
    pub ram_bytes: u64,
    /// Machine options (`-M virt,key=value`).
    pub options: Slice<'a, KeyValue<'a>>,
    /// What to start: "kernel", "initrd", "dtb", "append", "bios", "pflash0"...; values are paths or, for "append", text.
    pub images: Slice<'a, KeyValue<'a>>,
    /// The target's facts for firmware tables; the first target's, like the next two.
    pub cpu_properties: Slice<'a, KeyValue<'a>>,
    /// The target's input lines.
    pub inputs: Slice<'a, Str<'a>>,
    /// The target's output lines.
    pub outputs: Slice<'a, Str<'a>>,
    /// The CPUs by target, in the order in which the machine names these. Empty before the targets exist (in `cpu_options`).
    pub clusters: Slice<'a, Cluster<'a>>,
}

/// All CPUs of one target.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Cluster<'a> {
    /// Target name.
    pub target: Str<'a>,
    /// CPU model.
    pub cpu: Str<'a>,
    /// Number of the first of them; the others follow.
    pub first: u32,
    /// How many there are.
    pub cpus: u32,
    /// The target's facts for firmware tables.
    pub properties: Slice<'a, KeyValue<'a>>,
    /// The target's input lines.
    pub inputs: Slice<'a, Str<'a>>,
    /// The target's output lines.
    pub outputs: Slice<'a, Str<'a>>,
}

fn place(names: Slice<'_, Str<'_>>, name: &str) -> Option<u32> {
    names.get().iter().position(|n| n.get() == name).map(|i| i as u32)
}

impl<'a> Cluster<'a> {
    /// A fact about the CPUs.
    pub fn property(&self, key: &str) -> Option<&'a str> {
        MachineConfig::find(self.properties, key)
    }
    /// Number of the input line of that name.
    pub fn input(&self, name: &str) -> Option<u32> {
        place(self.inputs, name)
    }
    /// Number of the output line of that name.
    pub fn output(&self, name: &str) -> Option<u32> {
        place(self.outputs, name)
    }
}

impl<'a> MachineConfig<'a> {
    /// Size of the struct before anything was appended to it.
    const FIRST_BYTES: usize = core::mem::offset_of!(MachineConfig<'static>, clusters);

    /// What a host, older or newer than this, passed.
    ///
    /// # Safety
    /// `config` must be valid for the bytes that it says it has.
    unsafe fn received(config: *const MachineConfig<'a>) -> MachineConfig<'a> {
        // SAFETY: the caller vouches for the bytes that are read; all members are copied, but for the last, which is set where it is not.
        unsafe {
            let mut out = core::mem::MaybeUninit::<MachineConfig<'a>>::zeroed();
            let has_all = (&raw const (*config).bytes).read() as usize >= size_of::<MachineConfig<'_>>();
            let bytes = if has_all { size_of::<MachineConfig<'_>>() } else { Self::FIRST_BYTES };
            core::ptr::copy_nonoverlapping(config.cast::<u8>(), out.as_mut_ptr().cast::<u8>(), bytes);
            if !has_all {
                (&raw mut (*out.as_mut_ptr()).clusters).write(Slice::new(&[]));
            }
            out.assume_init()
        }
    }
    /// The CPUs of a target.
    pub fn cluster(&self, target: &str) -> Option<&'a Cluster<'a>> {
        self.clusters.get().iter().find(|c| c.target.get() == target)
    }
    fn find(list: Slice<'a, KeyValue<'a>>, key: &str) -> Option<&'a str> {
        list.get().iter().rev().find(|kv| kv.key.get() == key).map(|kv| kv.value.get())
    }
    /// A machine option; the last one given counts.
    pub fn option(&self, key: &str) -> Option<&'a str> {
        Self::find(self.options, key)
    }
    /// Something to start.
    pub fn image(&self, key: &str) -> Option<&'a str> {
        Self::find(self.images, key)
    }
    /// A fact about the CPU.
    pub fn cpu_property(&self, key: &str) -> Option<&'a str> {
        Self::find(self.cpu_properties, key)
    }
    /// Number of the CPU input line of that name.
    pub fn input(&self, name: &str) -> Option<u32> {
        place(self.inputs, name)
    }
    /// Number of the CPU output line of that name.
    pub fn output(&self, name: &str) -> Option<u32> {
        place(self.outputs, name)
    }
}

/// A machine that exists. The host calls it from any thread.
pub trait Board: Send + Sync + Sized + 'static {
    /// Builds the machine: maps RAM and devices, loads what is to be started, turns on the first CPU. The error is one sentence for the
    /// user.
    fn create(config: &MachineConfig<'_>, host: Host) -> Result<Self, String>;
    /// Options that the machine demands of the target, before it exists ("el3" = "off"). Of several targets it demands it of all, or of one
    /// ("TARGET.el3").
    fn cpu_options(config: &MachineConfig<'_>) -> Vec<(String, String)> {
        let _ = config;
        Vec::new()
    }
    /// After a system reset: devices have been reset and CPUs stopped; load again and start.
    fn restart(&self) -> Result<(), String>;
    /// A CPU register that the machine implements: true when it has it.
    fn bank(&self, cpu: u32, register: u32, value: &mut u64, write: bool) -> bool {
        let _ = (cpu, register, value, write);
        false
    }
    /// A firmware call; true when the machine answers such calls.
    fn firmware_call(&self, cpu: u32, args: &mut [u64; 8]) -> bool {
        let _ = (cpu, args);
        false
    }
    /// An output line of a CPU has changed.
    fn cpu_output(&self, cpu: u32, line: u32, level: bool) {
        let _ = (cpu, line, level);
    }
}

/// The C side of a machine.
#[repr(C)]
pub struct MachineVtable {
    create: unsafe extern "C" fn(*const MachineConfig<'_>, *const HostServices, *mut c_void, Sink) -> *mut c_void,
    cpu_options: unsafe extern "C" fn(*const MachineConfig<'_>, Sink),
    restart: unsafe extern "C" fn(*mut c_void, Sink) -> u32,
    bank: unsafe extern "C" fn(*mut c_void, u32, u32, *mut u64, u32) -> u32,
    firmware_call: unsafe extern "C" fn(*mut c_void, u32, *mut u64) -> u32,
    cpu_output: unsafe extern "C" fn(*mut c_void, u32, u32, u32),
}

struct Shims<B>(std::marker::PhantomData<B>);

// SAFETY (all shims): the object is the `Box<B>` that `create` leaked; other pointers are the caller's and valid for the call.
impl<B: Board> Shims<B> {
    const VTABLE: MachineVtable = MachineVtable {
        create: Self::create,
        cpu_options: Self::cpu_options,
        restart: Self::restart,
        bank: Self::bank,
        firmware_call: Self::firmware_call,
        cpu_output: Self::cpu_output,
    };
    unsafe extern "C" fn create(config: *const MachineConfig<'_>, services: *const HostServices, ctx: *mut c_void, error: Sink) -> *mut c_void {
        // SAFETY: see the impl; services and context live as long as the process.
        match B::create(&unsafe { MachineConfig::received(config) }, unsafe { Host::new(services, ctx) }) {
            Ok(b) => Box::into_raw(Box::new(b)).cast(),
            Err(e) => {
                error.write(e.as_bytes());
                core::ptr::null_mut()
            }
        }
    }
    unsafe extern "C" fn cpu_options(config: *const MachineConfig<'_>, out: Sink) {
        // SAFETY: see the impl.
        for (k, v) in B::cpu_options(&unsafe { MachineConfig::received(config) }) {
            out.write(format!("{k}={v}\n").as_bytes());
        }
    }
    unsafe extern "C" fn restart(b: *mut c_void, error: Sink) -> u32 {
        // SAFETY: see the impl.
        match unsafe { (*b.cast::<B>()).restart() } {
            Ok(()) => 0,
            Err(e) => {
                error.write(e.as_bytes());
                1
            }
        }
    }
    unsafe extern "C" fn bank(b: *mut c_void, cpu: u32, register: u32, value: *mut u64, write: u32) -> u32 {
        // SAFETY: see the impl.
        u32::from(!unsafe { (*b.cast::<B>()).bank(cpu, register, &mut *value, write != 0) })
    }
    unsafe extern "C" fn firmware_call(b: *mut c_void, cpu: u32, args: *mut u64) -> u32 {
        // SAFETY: see the impl; `args` has eight registers.
        u32::from(!unsafe { (*b.cast::<B>()).firmware_call(cpu, &mut *args.cast()) })
    }
    unsafe extern "C" fn cpu_output(b: *mut c_void, cpu: u32, line: u32, level: u32) {
        // SAFETY: see the impl.
        unsafe { (*b.cast::<B>()).cpu_output(cpu, line, level != 0) }
    }
}

/// A machine option as lists show it.
#[derive(Clone, Copy, Debug)]
pub struct OptionInfo {
    /// Name, left of the equals sign.
    pub name: &'static str,
    /// Values that it takes ("on|off").
    pub values: &'static str,
    /// What holds when it is not given.
    pub default: &'static str,
    /// One line.
    pub description: &'static str,
}

/// A registered machine. Made by [`crate::register_machine!`].
pub struct MachineRegistration {
    /// Name, as `--machine` takes it.
    pub name: &'static str,
    /// One line.
    pub description: &'static str,
    /// Targets whose CPUs it takes, the default one first. One that needs CPUs of several targets at the same time names them as one, in the
    /// order of their CPUs' numbers: "a+b".
    pub targets: &'static [&'static str],
    /// CPU model when none is asked for, of the first target ("x+y" for two); empty: the target's default.
    pub default_cpu: &'static str,
    /// Largest number of CPUs of a target.
    pub max_cpus: u32,
    /// RAM in bytes when no size is asked for.
    pub default_ram: u64,
    /// Options.
    pub options: &'static [OptionInfo],
    /// Device models on it: name and description.
    pub devices: &'static [(&'static str, &'static str)],
    #[doc(hidden)]
    pub vtable: &'static MachineVtable,
}
inventory::collect!(MachineRegistration);

impl MachineRegistration {
    /// The C side of a board type.
    pub const fn vtable_of<B: Board>() -> &'static MachineVtable {
        &Shims::<B>::VTABLE
    }
}

/// Registers a machine: `register_machine!(MachineRegistration { name: "virt", ..., vtable: MachineRegistration::vtable_of::<Virt>() })`.
#[macro_export]
macro_rules! register_machine {
    ($registration:expr) => {
        $crate::reexport::inventory::submit! { $registration }
    };
}

/// A machine as the host calls it.
#[derive(Clone, Copy)]
pub struct BoardHandle {
    object: *mut c_void,
    vtable: &'static MachineVtable,
}

// SAFETY: a `Board` is Send and Sync and never freed.
unsafe impl Send for BoardHandle {}
// SAFETY: as above.
unsafe impl Sync for BoardHandle {}

impl BoardHandle {
    /// What the machine demands of the target.
    ///
    /// # Safety
    /// `vtable` must be a machine's table and live as long as the process.
    pub unsafe fn cpu_options(vtable: *const MachineVtable, config: &MachineConfig<'_>) -> Vec<(String, String)> {
        let mut out = Vec::new();
        // SAFETY: the caller says so.
        unsafe { ((*vtable).cpu_options)(config, Sink::to(&mut out)) };
        let text = String::from_utf8_lossy(&out);
        text.lines().filter_map(|l| l.split_once('=')).map(|(k, v)| (k.to_owned(), v.to_owned())).collect()
    }
    /// Builds the machine; the error is its sentence.
    ///
    /// # Safety
    /// As `cpu_options`; `services` and `ctx` must belong together and live as long as the process.
    pub unsafe fn create(
        vtable: *const MachineVtable,
        config: &MachineConfig<'_>,
        services: *const HostServices,
        ctx: *mut c_void,
    ) -> Result<BoardHandle, String> {
        // SAFETY: the caller says so.
        let vtable = unsafe { &*vtable };
        let mut error = Vec::new();
        // SAFETY: the caller says so; `config` and `error` live through the call.
        let object = unsafe { (vtable.create)(config, services, ctx, Sink::to(&mut error)) };
        if object.is_null() { Err(String::from_utf8_lossy(&error).into_owned()) } else { Ok(BoardHandle { object, vtable }) }
    }
    /// Loads again and starts after a system reset.
    pub fn restart(&self) -> Result<(), String> {
        let mut error = Vec::new();
        // SAFETY: the object belongs to the table (as in every call below).
        match unsafe { (self.vtable.restart)(self.object, Sink::to(&mut error)) } {
            0 => Ok(()),
            _ => Err(String::from_utf8_lossy(&error).into_owned()),
        }
    }
    /// A CPU register that the machine implements.
    pub fn bank(&self, cpu: u32, register: u32, value: &mut u64, write: bool) -> bool {
        // SAFETY: see `restart`.
        unsafe { (self.vtable.bank)(self.object, cpu, register, value, u32::from(write)) == 0 }
    }
    /// A firmware call.
    pub fn firmware_call(&self, cpu: u32, args: &mut [u64; 8]) -> bool {
        // SAFETY: see `restart`.
        unsafe { (self.vtable.firmware_call)(self.object, cpu, args.as_mut_ptr()) == 0 }
    }
    /// An output line of a CPU has changed.
    pub fn cpu_output(&self, cpu: u32, line: u32, level: bool) {
        // SAFETY: see `restart`.
        unsafe { (self.vtable.cpu_output)(self.object, cpu, line, u32::from(level)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(target: &'static str, first: u32) -> Cluster<'static> {
        static INPUTS: [Str<'static>; 2] = [Str::new("a"), Str::new("b")];
        let none = Slice::new(&[]);
        Cluster {
            target: Str::new(target),
            cpu: Str::new("x"),
            first,
            cpus: 2,
            properties: none,
            inputs: Slice::new(&INPUTS),
            outputs: Slice::new(&[]),
        }
    }

    #[test]
    fn what_an_older_host_does_not_pass_is_empty() {
        let clusters = [cluster("one", 0), cluster("two", 2)];
        let mut config = MachineConfig {
            target: Str::new("one+two"),
            cpu: Str::new("x+x"),
            cpus: 4,
            bytes: size_of::<MachineConfig<'_>>() as u32,
            ram_bytes: 1 << 20,
            options: Slice::new(&[]),
            images: Slice::new(&[]),
            cpu_properties: Slice::new(&[]),
            inputs: Slice::new(&[]),
            outputs: Slice::new(&[]),
            clusters: Slice::new(&clusters),
        };
        // SAFETY: the struct is whole.
        let new = unsafe { MachineConfig::received(&config) };
        assert_eq!(new.cluster("two").map(|c| (c.first, c.input("b"), c.output("b"))), Some((2, Some(1), None)));
        assert!(new.cluster("three").is_none());
        config.bytes = 0;
        // SAFETY: as above; less is read.
        let old = unsafe { MachineConfig::received(&config) };
        assert_eq!((old.target.get(), old.cpus, old.ram_bytes, old.clusters.get().len()), ("one+two", 4, 1 << 20, 0));
        assert_eq!(MachineConfig::FIRST_BYTES % 8, 0);
    }
}
