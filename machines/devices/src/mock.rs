//! A host for tests: RAM, device dispatch, and records of everything that a machine asks for. No CPU and no time of its own.
#![allow(unsafe_code)] // FFI: the mock is the other side of the services table.

use emu_plugins_api::testing::NOTHING;
use emu_plugins_api::{DeviceHandle, DeviceVtable, Host, HostServices, KeyValue, MachineConfig, Power, Slice, Str, SystemEvent, fault};
use std::collections::BTreeMap;
use std::ffi::c_void;
use std::sync::{Mutex, MutexGuard, PoisonError};

const PAGE: u64 = 4096;

/// A device window as it was mapped.
#[derive(Clone)]
pub struct Window {
    /// First address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// The device.
    pub device: DeviceHandle,
    /// The RAM behind it, if it is backed.
    pub backing: Option<BTreeMap<u64, Vec<u8>>>,
    /// Reads come from the RAM.
    pub direct: bool,
}

/// What the mock has been told and what it answers.
#[derive(Default)]
pub struct Records {
    /// RAM regions: name, base, size.
    pub ram: Vec<(String, u64, u64)>,
    pages: BTreeMap<u64, Vec<u8>>,
    /// Device windows in the order of mapping; a `DeviceId` is the index plus one.
    pub windows: Vec<Window>,
    /// Levels of CPU input lines.
    pub lines: BTreeMap<(u32, u32), bool>,
    /// CPUs that are on, with entry and argument.
    pub on: BTreeMap<u32, (u64, u64)>,
    /// Number of CPUs that exist.
    pub cpus: u32,
    /// System events and their codes.
    pub events: Vec<(SystemEvent, u32)>,
    /// Armed device timers.
    pub timers: BTreeMap<(u64, u32), u64>,
    /// Streams: name, device, what was written.
    pub streams: Vec<(String, u64, Vec<u8>)>,
    /// What `clock` answers.
    pub clock_ns: u64,
    /// What `wall_clock` answers.
    pub wall_s: u64,
    /// State of `random`.
    pub random: u64,
    /// Log records: level and text.
    pub log: Vec<(u32, String)>,
}

/// The mock. It lives as long as the process, as the contract demands.
pub struct MockHost(Mutex<Records>);

impl MockHost {
    /// A host with so many CPUs.
    pub fn new(cpus: u32) -> (&'static MockHost, Host) {
        let mock: &'static MockHost =
            Box::leak(Box::new(MockHost(Mutex::new(Records { cpus, random: 1, wall_s: 1_700_000_000, ..Records::default() }))));
        // SAFETY: table and context live as long as the process.
        let host = unsafe { Host::new(&SERVICES, core::ptr::from_ref(mock).cast_mut().cast()) };
        (mock, host)
    }
    /// The records. Do not hold them while a device is called.
    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    /// The window that has this address.
    pub fn window(&self, pa: u64) -> Option<(usize, Window)> {
        let r = self.records();
        r.windows.iter().position(|w| pa >= w.base && pa - w.base < w.size).map(|i| (i, r.windows[i].clone()))
    }
    /// A load of the guest.
    pub fn load(&self, pa: u64, size: u32) -> Option<u64> {
        let mut bytes = [0; 8];
        if let Some((_, w)) = self.window(pa) {
            return match &w.backing {
                Some(pages) if w.direct => {
                    peek(pages, pa - w.base, &mut bytes[..size as usize]);
                    Some(u64::from_le_bytes(bytes))
                }
                _ => w.device.read(pa - w.base, size).ok(),
            };
        }
        let r = self.records();
        in_ram(&r, pa, u64::from(size)).then(|| {
            peek(&r.pages, pa, &mut bytes[..size as usize]);
            u64::from_le_bytes(bytes)
        })
    }
    /// A store of the guest; false: bus error.
    pub fn store(&self, pa: u64, size: u32, value: u64) -> bool {
        if let Some((_, w)) = self.window(pa) {
            return w.device.write(pa - w.base, size, value).is_ok();
        }
        let mut r = self.records();
        let ok = in_ram(&r, pa, u64::from(size));
        if ok {
            poke(&mut r.pages, pa, &value.to_le_bytes()[..size as usize]);
        }
        ok
    }
    /// Resets every device, as the host does before `restart`.
    pub fn reset(&self) {
        let windows = self.records().windows.clone();
        self.records().on.clear();
        windows.iter().for_each(|w| w.device.reset());
    }
    /// Moves time and fires what has become due.
    pub fn advance(&self, ns: u64) {
        let due: Vec<((u64, u32), DeviceHandle)> = {
            let mut r = self.records();
            r.clock_ns += ns;
            r.wall_s += ns / 1_000_000_000;
            let now = r.clock_ns;
            let keys: Vec<_> = r.timers.iter().filter(|(_, at)| **at <= now).map(|(k, _)| *k).collect();
            keys.into_iter()
                .map(|k| {
                    (k, {
                        r.timers.remove(&k);
                        r.windows[k.0 as usize - 1].device
                    })
                })
                .collect()
        };
        due.iter().for_each(|((_, id), device)| device.timer(*id));
    }
    /// What was written to the stream of that name.
    pub fn output(&self, stream: &str) -> String {
        let r = self.records();
        r.streams.iter().filter(|s| s.0 == stream).map(|s| String::from_utf8_lossy(&s.2).into_owned()).collect()
    }
}

/// A machine configuration from plain strings; leaked.
pub fn config(cpus: u32, ram_bytes: u64, options: &[(&str, &str)], images: &[(&str, &str)], properties: &[(&str, &str)]) -> MachineConfig<'static> {
    config_of(&["irq", "fiq"], cpus, ram_bytes, options, images, properties)
}

/// The same for CPUs with these input lines.
pub fn config_of(
    inputs: &[&'static str],
    cpus: u32,
    ram_bytes: u64,
    options: &[(&str, &str)],
    images: &[(&str, &str)],
    properties: &[(&str, &str)],
) -> MachineConfig<'static> {
    fn leak(list: &[(&str, &str)]) -> Slice<'static, KeyValue<'static>> {
        let text = |s: &str| Str::new(Box::leak(s.to_owned().into_boxed_str()));
        let list: Vec<_> = list.iter().map(|(k, v)| KeyValue { key: text(k), value: text(v) }).collect();
        Slice::new(Box::leak(list.into_boxed_slice()))
    }
    let inputs: Vec<Str<'static>> = inputs.iter().map(|name| Str::new(name)).collect();
    static OUTPUTS: [Str<'static>; 3] = [Str::new("timer-phys"), Str::new("timer-virt"), Str::new("pmu")];
    MachineConfig {
        target: Str::new("aarch64"),
        cpu: Str::new("max"),
        cpus,
        bytes: size_of::<MachineConfig<'_>>() as u32,
        ram_bytes,
        options: leak(options),
        images: leak(images),
        cpu_properties: leak(properties),
        inputs: Slice::new(Box::leak(inputs.into_boxed_slice())),
        outputs: Slice::new(&OUTPUTS),
        clusters: Slice::new(&[]),
    }
}

fn in_ram(r: &Records, pa: u64, len: u64) -> bool {
    r.ram.iter().any(|(_, base, size)| pa >= *base && pa - base < *size && len <= size - (pa - base))
}

fn peek(pages: &BTreeMap<u64, Vec<u8>>, at: u64, out: &mut [u8]) {
    let mut done = 0;
    while done < out.len() {
        let pa = at + done as u64;
        let (page, start) = (pa / PAGE, (pa % PAGE) as usize);
        let n = (out.len() - done).min(PAGE as usize - start);
        match pages.get(&page) {
            Some(bytes) => out[done..done + n].copy_from_slice(&bytes[start..start + n]),
            None => out[done..done + n].fill(0),
        }
        done += n;
    }
}

fn poke(pages: &mut BTreeMap<u64, Vec<u8>>, at: u64, data: &[u8]) {
    let mut done = 0;
    while done < data.len() {
        let pa = at + done as u64;
        let (page, start) = (pa / PAGE, (pa % PAGE) as usize);
        let n = (data.len() - done).min(PAGE as usize - start);
        pages.entry(page).or_insert_with(|| vec![0; PAGE as usize])[start..start + n].copy_from_slice(&data[done..done + n]);
        done += n;
    }
}

fn mock(ctx: *mut c_void) -> &'static MockHost {
    // SAFETY: `ctx` is the leaked mock that `new` put beside the table.
    unsafe { &*ctx.cast::<MockHost>() }
}

unsafe extern "C" fn clock(ctx: *mut c_void) -> u64 {
    mock(ctx).records().clock_ns
}
unsafe extern "C" fn physical(ctx: *mut c_void, pa: u64, data: *mut u8, len: usize, write: u32) -> u64 {
    let m = mock(ctx);
    if m.window(pa).is_some() {
        for i in 0..len {
            // `data` has `len` bytes (contract of the service), readable or writable as `write` says.
            let ok = if write != 0 {
                // SAFETY: one of those.
                let byte = unsafe { *data.add(i) };
                m.store(pa + i as u64, 1, byte.into())
            } else {
                match m.load(pa + i as u64, 1) {
                    Some(v) => {
                        // SAFETY: one of those.
                        unsafe { *data.add(i) = v as u8 };
                        true
                    }
                    None => false,
                }
            };
            if !ok {
                return fault::BUS;
            }
        }
        return fault::NONE;
    }
    let mut r = m.records();
    if !in_ram(&r, pa, len as u64) {
        return fault::BUS;
    }
    // SAFETY: as above.
    unsafe {
        if write != 0 {
            poke(&mut r.pages, pa, core::slice::from_raw_parts(data, len));
        } else {
            peek(&r.pages, pa, core::slice::from_raw_parts_mut(data, len));
        }
    }
    fault::NONE
}
unsafe extern "C" fn random(ctx: *mut c_void) -> u64 {
    // splitmix64: any well-mixed sequence will do.
    let mut r = mock(ctx).records();
    r.random = r.random.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = r.random;
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}
unsafe extern "C" fn map_ram(ctx: *mut c_void, name: Str<'_>, base: u64, size: u64, _read_only: u32) -> u64 {
    mock(ctx).records().ram.push((name.get().to_owned(), base, size));
    0
}
unsafe extern "C" fn map_device(ctx: *mut c_void, base: u64, size: u64, object: *mut c_void, vtable: *const DeviceVtable, backed: u32) -> u64 {
    // SAFETY: the two come from `Host::map_device`, which made them together.
    let device = unsafe { DeviceHandle::from_raw(object, vtable) };
    let mut r = mock(ctx).records();
    r.windows.push(Window { base, size, device, backing: (backed != 0).then(BTreeMap::new), direct: backed != 0 });
    r.windows.len() as u64
}
unsafe extern "C" fn device_direct(ctx: *mut c_void, device: u64, direct: u32) {
    mock(ctx).records().windows[device as usize - 1].direct = direct != 0;
}
unsafe extern "C" fn device_backing(ctx: *mut c_void, device: u64, offset: u64, data: *mut u8, len: usize, write: u32) -> u64 {
    let mut r = mock(ctx).records();
    let w = &mut r.windows[device as usize - 1];
    let Some(pages) = w.backing.as_mut().filter(|_| offset <= w.size && len as u64 <= w.size - offset) else { return fault::BUS };
    // SAFETY: `data` has `len` bytes (contract of the service).
    unsafe {
        if write != 0 {
            poke(pages, offset, core::slice::from_raw_parts(data, len));
        } else {
            peek(pages, offset, core::slice::from_raw_parts_mut(data, len));
        }
    }
    fault::NONE
}
unsafe extern "C" fn cpu_line(ctx: *mut c_void, cpu: u32, line: u32, level: u32) {
    mock(ctx).records().lines.insert((cpu, line), level != 0);
}
unsafe extern "C" fn cpu_power(ctx: *mut c_void, cpu: u32, request: Power, pc: u64, arg: u64) -> Power {
    let mut r = mock(ctx).records();
    if cpu >= r.cpus {
        return Power::NO_CPU;
    }
    let before = if r.on.contains_key(&cpu) { Power::ON } else { Power::OFF };
    match request {
        Power::ON if before == Power::OFF => drop(r.on.insert(cpu, (pc, arg))),
        Power::OFF => drop(r.on.remove(&cpu)),
        _ => (),
    }
    before
}
unsafe extern "C" fn system_event(ctx: *mut c_void, event: SystemEvent, code: u32) {
    mock(ctx).records().events.push((event, code));
}
unsafe extern "C" fn device_timer(ctx: *mut c_void, device: u64, id: u32, deadline_ns: u64) {
    let mut r = mock(ctx).records();
    if deadline_ns == u64::MAX {
        r.timers.remove(&(device, id));
    } else {
        r.timers.insert((device, id), deadline_ns);
    }
}
unsafe extern "C" fn stream_open(ctx: *mut c_void, device: u64, name: Str<'_>) -> u64 {
    let mut r = mock(ctx).records();
    r.streams.push((name.get().to_owned(), device, Vec::new()));
    r.streams.len() as u64
}
unsafe extern "C" fn stream_write(ctx: *mut c_void, stream: u64, data: *const u8, len: usize) {
    // SAFETY: `data` has `len` bytes (contract of the service).
    let data = unsafe { core::slice::from_raw_parts(data, len) };
    mock(ctx).records().streams[stream as usize - 1].2.extend_from_slice(data);
}
unsafe extern "C" fn wall_clock(ctx: *mut c_void) -> u64 {
    mock(ctx).records().wall_s
}

static SERVICES: HostServices = HostServices {
    clock,
    physical,
    random,
    map_ram,
    map_device,
    device_direct,
    device_backing,
    cpu_line,
    cpu_power,
    system_event,
    device_timer,
    stream_open,
    stream_write,
    wall_clock,
    ..NOTHING
};
