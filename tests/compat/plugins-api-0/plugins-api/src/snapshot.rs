//! Saved state: little-endian numbers and byte strings, in a versioned section per device. A reader never panics; what does not fit is an
//! error that names the device.

/// Appends saved state.
#[derive(Default)]
pub struct Writer {
    bytes: Vec<u8>,
}

impl Writer {
    /// An empty section of the given version of its device's format.
    pub fn new(version: u32) -> Writer {
        let mut w = Writer::default();
        w.u32(version);
        w
    }
    /// Appends a byte.
    pub fn u8(&mut self, v: u8) {
        self.bytes.push(v);
    }
    /// Appends a truth value.
    pub fn bool(&mut self, v: bool) {
        self.bytes.push(u8::from(v));
    }
    /// Appends 32 bits.
    pub fn u32(&mut self, v: u32) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Appends 64 bits.
    pub fn u64(&mut self, v: u64) {
        self.bytes.extend_from_slice(&v.to_le_bytes());
    }
    /// Appends a byte string with its length.
    pub fn bytes(&mut self, v: &[u8]) {
        self.u64(v.len() as u64);
        self.bytes.extend_from_slice(v);
    }
    /// Appends an array of 32-bit numbers with its length.
    pub fn u32s(&mut self, v: &[u32]) {
        self.u64(v.len() as u64);
        v.iter().for_each(|x| self.u32(*x));
    }
    /// Appends an array of 64-bit numbers with its length.
    pub fn u64s(&mut self, v: &[u64]) {
        self.u64(v.len() as u64);
        v.iter().for_each(|x| self.u64(*x));
    }
    /// The section.
    pub fn finish(self) -> Vec<u8> {
        self.bytes
    }
}

/// Reads saved state in the order in which it was written.
pub struct Reader<'a> {
    rest: &'a [u8],
    version: u32,
}

impl<'a> Reader<'a> {
    /// Opens a section; an error when it is newer than `newest`.
    pub fn new(bytes: &'a [u8], newest: u32) -> Result<Reader<'a>, String> {
        let mut r = Reader { rest: bytes, version: 0 };
        r.version = r.u32()?;
        if r.version > newest {
            return Err(format!("saved state of version {} is newer than this build knows ({newest})", r.version));
        }
        Ok(r)
    }
    /// Version that the section was written with.
    pub fn version(&self) -> u32 {
        self.version
    }
    fn take(&mut self, n: usize) -> Result<&'a [u8], String> {
        if n > self.rest.len() {
            return Err("saved state is cut short".into());
        }
        let (head, rest) = self.rest.split_at(n);
        self.rest = rest;
        Ok(head)
    }
    /// Reads a byte.
    pub fn u8(&mut self) -> Result<u8, String> {
        Ok(self.take(1)?[0])
    }
    /// Reads a truth value.
    pub fn bool(&mut self) -> Result<bool, String> {
        Ok(self.u8()? != 0)
    }
    /// Reads 32 bits.
    pub fn u32(&mut self) -> Result<u32, String> {
        let b = self.take(4)?;
        Ok(u32::from_le_bytes([b[0], b[1], b[2], b[3]]))
    }
    /// Reads 64 bits.
    pub fn u64(&mut self) -> Result<u64, String> {
        Ok(u64::from(self.u32()?) | u64::from(self.u32()?) << 32)
    }
    /// Reads a byte string.
    pub fn bytes(&mut self) -> Result<&'a [u8], String> {
        let n = self.u64()?;
        self.take(usize::try_from(n).map_err(|_| "saved state is cut short")?)
    }
    fn count(&mut self, size: usize) -> Result<usize, String> {
        let n = usize::try_from(self.u64()?).unwrap_or(usize::MAX);
        if n > self.rest.len() / size { Err("saved state is cut short".into()) } else { Ok(n) }
    }
    /// Reads an array of 32-bit numbers.
    pub fn u32s(&mut self) -> Result<Vec<u32>, String> {
        let n = self.count(4)?;
        (0..n).map(|_| self.u32()).collect()
    }
    /// Reads an array of 64-bit numbers.
    pub fn u64s(&mut self) -> Result<Vec<u64>, String> {
        let n = self.count(8)?;
        (0..n).map(|_| self.u64()).collect()
    }
    /// An error when something is left over.
    pub fn finish(self) -> Result<(), String> {
        if self.rest.is_empty() { Ok(()) } else { Err(format!("saved state has {} bytes too many", self.rest.len())) }
    }
}
