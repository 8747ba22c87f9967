//! fw_cfg: firmware reads named blobs from here, by a data register or by DMA.
//!
//! Items are fixed when the board is made; no item can be written, so the device's state is the selected key, the position in the item and
//! the high half of a DMA address.

pub mod spec;
#[cfg(test)]
mod tests;

use crate::lock;
use emu_plugins_api::{Device, Host, Reader, Writer};
use spec::*;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock, RwLock};

/// What firmware can read.
#[derive(Clone, Default)]
pub struct Items(BTreeMap<u16, Arc<[u8]>>);

impl Items {
    /// The items that every machine has, and `files` by name (`etc/...`, `opt/...`, `bootorder`), sorted as their directory is.
    pub fn new(cpus: u16, max_cpus: u16, files: BTreeMap<String, Vec<u8>>) -> Items {
        let mut items = Items::default();
        items.set(key::SIGNATURE, SIGNATURE.to_vec());
        items.set(key::ID, ID.to_le_bytes().to_vec());
        items.set(key::NB_CPUS, cpus.to_le_bytes().to_vec());
        items.set(key::MAX_CPUS, max_cpus.to_le_bytes().to_vec());
        let mut dir = (files.len() as u32).to_be_bytes().to_vec();
        for (select, (name, content)) in (key::FILE_FIRST..).zip(files) {
            dir.extend((content.len() as u32).to_be_bytes());
            dir.extend(select.to_be_bytes());
            dir.extend([0; 2]);
            let name = &name.as_bytes()[..name.len().min(NAME_MAX)];
            dir.extend(name);
            dir.resize(dir.len() + NAME_MAX + 1 - name.len(), 0);
            items.set(select, content);
        }
        items.set(key::FILE_DIR, dir);
        items
    }
    /// Sets an item.
    pub fn set(&mut self, key: u16, content: Vec<u8>) {
        self.0.insert(key, content.into());
    }
}

/// The device.
pub struct FwCfg {
    name: String,
    items: RwLock<Items>,
    host: OnceLock<Host>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    key: u16,
    position: u64,
    dma_high: u32,
    /// A transfer is going on; it may reach this very device, which then ignores DMA.
    busy: bool,
}

impl FwCfg {
    /// A device with these items.
    pub fn new(name: &str, items: Items) -> FwCfg {
        FwCfg { name: name.into(), items: RwLock::new(items), host: OnceLock::new(), state: Mutex::default() }
    }
    /// Where DMA goes; only the first call counts. Without it DMA does nothing.
    pub fn connect(&self, host: Host) {
        let _ = self.host.set(host);
    }
    /// Replaces the items, between resets.
    pub fn set_items(&self, items: Items) {
        *self.items.write().unwrap_or_else(std::sync::PoisonError::into_inner) = items;
    }
    fn item(&self, key: u16) -> Option<Arc<[u8]>> {
        // Bit 14 of a key asks for writing, which has no effect on what is read.
        self.items.read().unwrap_or_else(std::sync::PoisonError::into_inner).0.get(&(key & 0xbfff)).cloned()
    }
    /// The next byte of the selected item; zero behind its end.
    fn next(&self, s: &mut State) -> u8 {
        let byte = self.item(s.key).and_then(|i| i.get(usize::try_from(s.position).ok()?).copied());
        s.position = s.position.saturating_add(u64::from(byte.is_some()));
        byte.unwrap_or(0)
    }
    /// A transfer by the descriptor at `at`. Runs without the lock but for looking at and setting the selection.
    fn transfer(&self, at: u64) {
        let Some(host) = self.host.get() else { return };
        let mut descriptor = [0; dma::DESCRIPTOR];
        if !host.read(at, &mut descriptor) {
            return;
        }
        let number = |range: std::ops::Range<usize>| descriptor[range].iter().fold(0u64, |v, b| v << 8 | u64::from(*b));
        let (control, len, address) = (number(0..4) as u32, number(4..8), number(8..16));
        let (key, position) = {
            let mut s = lock(&self.state);
            if control & dma::SELECT != 0 {
                s.key = (control >> 16) as u16;
                s.position = 0;
            }
            (s.key, s.position)
        };
        let item = self.item(key);
        let mut ok = true;
        if control & dma::READ != 0 {
            ok = self.copy_out(host, item.as_deref().unwrap_or(&[]), position, address, len);
        } else if control & dma::WRITE != 0 {
            ok = false;
        }
        if control & (dma::READ | dma::WRITE | dma::SKIP) != 0 {
            let end = item.map_or(0, |i| i.len() as u64);
            lock(&self.state).position = position.saturating_add(len).min(end.max(position));
        }
        // If the descriptor cannot be written there is nobody to tell.
        let _ = host.write(at, &if ok { 0 } else { dma::ERROR }.to_be_bytes());
    }
    /// Copies the item from `position`, then zeroes, in pieces, until something does not answer.
    fn copy_out(&self, host: &Host, item: &[u8], position: u64, address: u64, len: u64) -> bool {
        const PIECE: u64 = 1 << 16;
        let zeroes = [0; PIECE as usize];
        let rest = item.get(usize::try_from(position).unwrap_or(usize::MAX)..).unwrap_or(&[]);
        let have = rest.len().min(len as usize);
        if !rest[..have].chunks(PIECE as usize).zip(0..).all(|(piece, i)| host.write(address.wrapping_add(i * PIECE), piece)) {
            return false;
        }
        let mut at = have as u64;
        while at < len {
            let n = (len - at).min(PIECE);
            if !host.write(address.wrapping_add(at), &zeroes[..n as usize]) {
                return false;
            }
            at += n;
        }
        true
    }
}

impl Device for FwCfg {
    fn name(&self) -> &str {
        &self.name
    }
    fn read(&self, offset: u64, size: u32) -> Option<u64> {
        let mut s = lock(&self.state);
        Some(match offset {
            DATA..SELECTOR => {
                // Bytes come in memory order whatever the width.
                let mut bytes = [0; 8];
                bytes[..size as usize].iter_mut().for_each(|b| *b = self.next(&mut s));
                u64::from_le_bytes(bytes)
            }
            DMA..WINDOW => {
                let mut bytes = [0; 8];
                let start = (offset - DMA) as usize;
                let n = (size as usize).min(8 - start);
                bytes[..n].copy_from_slice(&DMA_SIGNATURE[start..start + n]);
                u64::from_le_bytes(bytes)
            }
            _ => 0,
        })
    }
    fn write(&self, offset: u64, size: u32, value: u64) -> bool {
        let mut s = lock(&self.state);
        let address = match (offset, size) {
            (SELECTOR, 2) => {
                s.key = (value as u16).swap_bytes();
                s.position = 0;
                return true;
            }
            (DMA, 4) => {
                s.dma_high = (value as u32).swap_bytes();
                return true;
            }
            (DMA_LOW, 4) => u64::from(std::mem::take(&mut s.dma_high)) << 32 | u64::from((value as u32).swap_bytes()),
            (DMA, 8) => value.swap_bytes(),
            _ => return true,
        };
        if std::mem::replace(&mut s.busy, true) {
            return true;
        }
        drop(s);
        self.transfer(address);
        lock(&self.state).busy = false;
        true
    }
    fn reset(&self) {
        let mut s = lock(&self.state);
        *s = State { busy: s.busy, ..State::default() };
    }
    fn save(&self) -> Vec<u8> {
        let s = lock(&self.state);
        let mut w = Writer::new(1);
        w.u32(s.key.into());
        w.u64(s.position);
        w.u32(s.dma_high);
        w.finish()
    }
    fn load(&self, saved: &[u8]) -> Result<(), String> {
        let parse = || {
            let mut r = Reader::new(saved, 1)?;
            let s = State { key: r.u32()? as u16, position: r.u64()?, dma_high: r.u32()?, busy: false };
            r.finish()?;
            Ok::<_, String>(s)
        };
        let loaded = parse().map_err(|e| format!("{}: {e}", self.name));
        let mut s = lock(&self.state);
        match loaded {
            Ok(l) => *s = State { busy: s.busy, ..l },
            Err(e) => {
                *s = State { busy: s.busy, ..State::default() };
                return Err(e);
            }
        }
        Ok(())
    }
}
