//! The physical address space.
#![allow(unsafe_code)]

use crate::{PAGE_SIZE, Ram};
use emu_plugins_api::{DeviceHandle, fault};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock};

/// A device window or RAM at a physical address.
pub struct Window {
    /// Name, for listings.
    pub name: String,
    /// First physical address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
    /// RAM, or the RAM behind a device.
    pub ram: Option<Arc<Ram>>,
    /// The guest cannot write the RAM.
    pub read_only: bool,
    /// The device.
    pub device: Option<DeviceHandle>,
    /// Reads are served from the RAM behind the device.
    pub direct: AtomicBool,
}

impl Window {
    /// The RAM that loads come from now, if any.
    pub fn readable(&self) -> Option<&Ram> {
        match &self.ram {
            Some(ram) if self.device.is_none() || self.direct.load(Ordering::Acquire) => Some(ram),
            _ => None,
        }
    }
    /// The RAM that stores go to, if any.
    pub fn writable(&self) -> Option<&Ram> {
        if self.device.is_none() && !self.read_only { self.ram.as_deref() } else { None }
    }
}

/// What lies at a physical address.
#[derive(Clone, Copy)]
pub struct Hit<'a> {
    /// The window.
    pub window: &'a Window,
    /// Byte offset in it.
    pub offset: u64,
}

/// Why something could not be mapped.
#[derive(Debug, PartialEq, Eq)]
pub enum MapError {
    /// It overlaps this window, wraps, or is not a multiple of the page size where it has to be.
    Overlap(String),
    /// The host has no memory for it.
    Memory(String),
    /// The machine runs already.
    Frozen,
}

/// A machine's physical address space.
#[derive(Default)]
pub struct AddressSpace {
    building: Mutex<Vec<Arc<Window>>>,
    frozen: OnceLock<Frozen>,
    /// Accesses to addresses where nothing is.
    pub unassigned: AtomicU64,
}

/// Windows in order of address, once no more come.
struct Frozen {
    list: Box<[Arc<Window>]>,
    /// Base, size and number of the largest window with RAM, which is asked for most.
    largest: (u64, u64, usize),
}

type CodeWritten<'a> = &'a dyn Fn(&Window, u64);

impl AddressSpace {
    /// An empty address space.
    pub fn new() -> AddressSpace {
        AddressSpace::default()
    }
    fn insert(&self, window: Window) -> Result<(), MapError> {
        let mut list = self.building.lock().unwrap_or_else(|e| e.into_inner());
        if self.frozen.get().is_some() {
            return Err(MapError::Frozen);
        }
        let last = window.base.checked_add(window.size - 1).ok_or_else(|| MapError::Overlap("the end of the address space".into()))?;
        if let Some(other) = list.iter().find(|w| w.base <= last && window.base <= w.base + (w.size - 1)) {
            return Err(MapError::Overlap(other.name.clone()));
        }
        list.push(Arc::new(window));
        list.sort_by_key(|w| w.base);
        Ok(())
    }
    /// Maps RAM.
    pub fn map_ram(&self, name: &str, base: u64, size: u64, read_only: bool) -> Result<(), MapError> {
        if size == 0 || !size.is_multiple_of(PAGE_SIZE) || !base.is_multiple_of(PAGE_SIZE) {
            return Err(MapError::Overlap("an address that is not a multiple of the page size".into()));
        }
        let ram = Some(Arc::new(Ram::new(size).map_err(MapError::Memory)?));
        self.insert(Window { name: name.into(), base, size, ram, read_only, device: None, direct: AtomicBool::new(false) })
    }
    /// Maps a device; with `backed`, RAM of the window's size lies behind it.
    pub fn map_device(&self, base: u64, size: u64, device: DeviceHandle, backed: bool) -> Result<(), MapError> {
        let ram = if backed { Some(Arc::new(Ram::new(size).map_err(MapError::Memory)?)) } else { None };
        let name = device.name().to_owned();
        self.insert(Window { name, base, size, ram, read_only: false, device: Some(device), direct: AtomicBool::new(backed) })
    }
    /// Nothing is mapped any more from now on; look-ups need no lock.
    pub fn freeze(&self) {
        let list = self.building.lock().unwrap_or_else(|e| e.into_inner());
        let with_ram = list.iter().enumerate().filter(|(_, w)| w.ram.is_some());
        let largest = with_ram.max_by_key(|(_, w)| w.size).map_or((0, 0, 0), |(i, w)| (w.base, w.size, i));
        let _ = self.frozen.set(Frozen { list: list.iter().cloned().collect(), largest });
    }
    /// The largest window, if it is plain RAM that loads always come from; only after `freeze`.
    pub fn plain_ram(&self) -> Option<(u64, &Ram)> {
        let Frozen { list, largest: (base, _, number) } = self.frozen.get()?;
        let window = list.get(*number).filter(|w| w.base == *base && w.device.is_none())?;
        Some((*base, window.ram.as_deref()?))
    }
    /// All windows in order of address.
    pub fn windows(&self) -> Vec<Arc<Window>> {
        match self.frozen.get() {
            Some(f) => f.list.to_vec(),
            None => self.building.lock().unwrap_or_else(|e| e.into_inner()).clone(),
        }
    }
    /// What lies at a physical address; only after `freeze`.
    #[inline]
    pub fn find(&self, pa: u64) -> Option<Hit<'_>> {
        let Frozen { list, largest: (base, size, number) } = self.frozen.get()?;
        if pa.wrapping_sub(*base) < *size {
            return list.get(*number).map(|window| Hit { window, offset: pa - base });
        }
        let i = list.partition_point(|w| w.base <= pa).checked_sub(1)?;
        let window = &list[i];
        let offset = pa - window.base;
        (offset < window.size).then_some(Hit { window, offset })
    }

    /// Reads physical memory, devices included: 0 or a fault.
    pub fn read(&self, pa: u64, data: &mut [u8]) -> u64 {
        // Mostly it is an entry of a translation table.
        if let Ok(word) = <&mut [u8; 8]>::try_from(&mut *data)
            && let Some(Hit { window, offset }) = self.find(pa)
            && let Some(ram) = window.readable()
            && let Some(value) = ram.read_word(offset)
        {
            *word = value;
            return fault::NONE;
        }
        self.each(pa, data.len(), |window, offset, at, n| {
            let part = &mut data[at..at + n];
            if let Some(ram) = window.readable() {
                ram.read(offset, part);
                return fault::NONE;
            }
            let Some(device) = window.device else { return fault::BUS };
            for (o, chunk) in device_chunks(offset, n) {
                match device.read(o, chunk as u32) {
                    Ok(v) => {
                        let start = (o - offset) as usize;
                        part[start..start + chunk].copy_from_slice(&v.to_le_bytes()[..chunk]);
                    }
                    Err(f) => return f,
                }
            }
            fault::NONE
        })
    }
    /// Writes physical memory, devices included: 0 or a fault. `code_written` is called for pages that hold code.
    pub fn write(&self, pa: u64, data: &[u8], code_written: CodeWritten<'_>) -> u64 {
        self.each(pa, data.len(), |window, offset, at, n| {
            let part = &data[at..at + n];
            if let Some(ram) = window.writable() {
                ram.write(offset, part);
                note_range(window, ram, offset, n as u64, code_written);
                return fault::NONE;
            }
            let Some(device) = window.device else {
                // Stores to read-only memory are ignored, as a ROM does.
                return if window.read_only { fault::NONE } else { fault::BUS };
            };
            for (o, chunk) in device_chunks(offset, n) {
                let start = (o - offset) as usize;
                let mut v = [0; 8];
                v[..chunk].copy_from_slice(&part[start..start + chunk]);
                if let Err(f) = device.write(o, chunk as u32, u64::from_le_bytes(v)) {
                    return f;
                }
            }
            fault::NONE
        })
    }
    /// Writes memory as a loader does: read-only memory and the RAM behind devices too.
    pub fn load(&self, pa: u64, data: &[u8], code_written: CodeWritten<'_>) -> u64 {
        self.each(pa, data.len(), |window, offset, at, n| match &window.ram {
            Some(ram) => {
                ram.write(offset, &data[at..at + n]);
                note_range(window, ram, offset, n as u64, code_written);
                fault::NONE
            }
            None => fault::BUS,
        })
    }
    fn each(&self, pa: u64, len: usize, mut f: impl FnMut(&Window, u64, usize, usize) -> u64) -> u64 {
        let mut at = 0;
        while at < len {
            let Some(here) = pa.checked_add(at as u64) else { return fault::BUS };
            let built;
            let hit = if self.frozen.get().is_some() {
                self.find(here)
            } else {
                built = self.find_building(here);
                built.as_ref().map(|(window, offset)| Hit { window, offset: *offset })
            };
            let Some(Hit { window, offset }) = hit else {
                self.unassigned.fetch_add(1, Ordering::Relaxed);
                return fault::BUS;
            };
            let n = (len - at).min(usize::try_from(window.size - offset).unwrap_or(usize::MAX));
            let result = f(window, offset, at, n);
            if result != fault::NONE {
                return result;
            }
            at += n;
        }
        fault::NONE
    }
    /// `find` while the machine is being made.
    fn find_building(&self, pa: u64) -> Option<(Arc<Window>, u64)> {
        let list = self.building.lock().unwrap_or_else(|e| e.into_inner());
        let w = list.iter().find(|w| w.base <= pa && pa - w.base < w.size)?;
        Some((w.clone(), pa - w.base))
    }
    /// Atomically replaces 8 aligned bytes of RAM: 0 done, 1 not equal, 2 no RAM there.
    pub fn compare_exchange(&self, pa: u64, expected: u64, new: u64, code_written: CodeWritten<'_>) -> u32 {
        let Some(hit) = self.find(pa).filter(|_| pa.is_multiple_of(8)) else { return 2 };
        let Some(ram) = hit.window.writable() else { return 2 };
        // SAFETY: 8 aligned bytes inside the RAM block; guest RAM is only accessed by atomic or racy-by-design accesses.
        let word = unsafe { AtomicU64::from_ptr(ram.pointer(hit.offset).cast()) };
        match word.compare_exchange(expected, new, Ordering::SeqCst, Ordering::SeqCst) {
            Ok(_) => {
                note_range(hit.window, ram, hit.offset, 8, code_written);
                0
            }
            Err(_) => 1,
        }
    }
    /// What a CPU does before its first store to a page: marks it dirty and, if it holds code, reports that.
    pub fn note_write(&self, window: &Window, ram: &Ram, offset: u64, code_written: CodeWritten<'_>) {
        note_range(window, ram, offset, 1, code_written);
    }
}

fn note_range(window: &Window, ram: &Ram, offset: u64, len: u64, code_written: CodeWritten<'_>) {
    if len == 0 {
        return;
    }
    let first = offset & !(PAGE_SIZE - 1);
    for page in (first..offset + len).step_by(PAGE_SIZE as usize) {
        ram.set_dirty(page);
        if ram.has_code(page) {
            code_written(window, page);
        }
    }
}

/// Splits a range into naturally aligned accesses of 8, 4, 2 or 1 bytes.
fn device_chunks(offset: u64, len: usize) -> impl Iterator<Item = (u64, usize)> {
    let end = offset + len as u64;
    let mut at = offset;
    std::iter::from_fn(move || {
        let left = end - at;
        let size = [8u64, 4, 2, 1].into_iter().find(|s| *s <= left && at.is_multiple_of(*s))?;
        let item = (at, size as usize);
        at += size;
        Some(item)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;

    struct Echo(Mutex<Vec<(u64, u32, u64)>>);
    impl emu_plugins_api::Device for Echo {
        fn name(&self) -> &str {
            "echo"
        }
        fn read(&self, offset: u64, size: u32) -> Option<u64> {
            (offset < 0x20).then_some(offset << 8 | u64::from(size))
        }
        fn write(&self, offset: u64, size: u32, value: u64) -> bool {
            self.0.lock().unwrap().push((offset, size, value));
            offset < 0x20
        }
        fn reset(&self) {}
        fn save(&self) -> Vec<u8> {
            Vec::new()
        }
        fn load(&self, _: &[u8]) -> Result<(), String> {
            Ok(())
        }
    }

    #[test]
    fn ram_behind_a_device_is_not_plain() {
        let space = AddressSpace::new();
        assert!(space.plain_ram().is_none());
        space.map_device(0, 0x1000, DeviceHandle::local(Arc::new(Echo(Mutex::default()))), true).unwrap();
        space.freeze();
        assert!(space.plain_ram().is_none());
    }

    #[test]
    fn maps_and_splits() {
        let space = AddressSpace::new();
        space.map_ram("ram", 0x4000, 0x2000, false).unwrap();
        let echo = Arc::new(Echo(Mutex::default()));
        space.map_device(0x6000, 0x1000, DeviceHandle::local(echo.clone()), false).unwrap();
        assert_eq!(space.map_ram("more", 0x5000, 0x1000, false), Err(MapError::Overlap("ram".into())));
        assert_eq!(space.load(0x4ffe, &[1, 2, 3, 4], &|_, _| ()), 0);
        space.freeze();
        assert_eq!(space.map_ram("late", 0x9000, 0x1000, false), Err(MapError::Frozen));
        let mut b = [0; 4];
        assert_eq!((space.read(0x4ffe, &mut b), b), (0, [1, 2, 3, 4]));
        // A device sees naturally aligned accesses.
        assert_eq!(space.write(0x6002, &[0xff; 6], &|_, _| ()), 0);
        assert_eq!(*echo.0.lock().unwrap(), [(2, 2, 0xffff), (4, 4, 0xffff_ffff)]);
        assert_eq!(space.read(0x6020, &mut b), fault::BUS);
        assert_eq!(space.read(0x5ffe, &mut b), 0, "an access may run from RAM into a device");
        assert_eq!(space.read(0x9000, &mut b), fault::BUS);
        assert_eq!(space.read(u64::MAX, &mut b), fault::BUS);
        assert_eq!(space.plain_ram().map(|(base, ram)| (base, ram.size())), Some((0x4000, 0x2000)));
        // Writes to code are reported once per page.
        let hits = RefCell::new(Vec::new());
        let hit = space.find(0x4000).unwrap();
        hit.window.ram.as_ref().unwrap().set_code(0x1000);
        space.write(0x4ff0, &[0; 0x20], &|_, page| hits.borrow_mut().push(page));
        assert_eq!(*hits.borrow(), [0x1000]);
        assert_eq!(space.compare_exchange(0x4000, 0, 7, &|_, _| ()), 0);
        assert_eq!(space.compare_exchange(0x4000, 0, 7, &|_, _| ()), 1);
        assert_eq!(space.compare_exchange(0x6000, 0, 7, &|_, _| ()), 2);
    }
}
