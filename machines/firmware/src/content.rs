//! What is to be loaded: bytes, or a file that stays on the host's disk until it goes where it belongs.
//!
//! A kernel and an initial RAM disk are many megabytes. To read them whole before they are copied into RAM costs their size in host memory, and the
//! time that it takes the host to give it, which is more than that of the copies. So a large file is read in pieces that stay in the host's caches.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::FileExt;

/// Files up to so many bytes are read at once.
const SMALL: u64 = 1 << 20;
/// What is read of others at first, to see what they are.
const HEAD: usize = 1 << 16;
/// They are copied in pieces of so many bytes.
const PIECE: usize = 1 << 18;

/// Bytes to load.
#[derive(Debug)]
pub struct Content(Kind);

#[derive(Debug)]
enum Kind {
    Bytes(Vec<u8>),
    File { file: File, len: u64, head: Vec<u8>, path: String, option: String },
}

impl From<Vec<u8>> for Content {
    fn from(bytes: Vec<u8>) -> Content {
        Content(Kind::Bytes(bytes))
    }
}

/// The sentence about a file that an option names.
fn unreadable(path: &str, option: &str, e: &io::Error) -> String {
    let reason = match e.kind() {
        ErrorKind::NotFound => "there is no such file".into(),
        ErrorKind::PermissionDenied => "permission denied".into(),
        ErrorKind::IsADirectory => "it is a directory".into(),
        ErrorKind::UnexpectedEof => "it became shorter while it was read".into(),
        _ => e.to_string(),
    };
    format!("cannot read '{path}': {reason}; check the path after {option}")
}

impl Content {
    /// The content of a file that an option names. The error is a sentence that names file and option.
    pub fn open(path: &str, option: &str) -> Result<Content, String> {
        let open = || {
            let mut file = File::open(path)?;
            let about = file.metadata()?;
            let mut head = Vec::new();
            // A pipe cannot be read twice, and some files do not know their length.
            if !about.is_file() || about.len() <= SMALL {
                file.read_to_end(&mut head)?;
                return Ok(Kind::Bytes(head));
            }
            head.resize(HEAD, 0);
            file.read_exact_at(&mut head, 0)?;
            Ok(Kind::File { file, len: about.len(), head, path: path.into(), option: option.into() })
        };
        open().map(Content).map_err(|e| unreadable(path, option, &e))
    }
    /// Length in bytes.
    pub fn len(&self) -> u64 {
        match &self.0 {
            Kind::Bytes(bytes) => bytes.len() as u64,
            Kind::File { len, .. } => *len,
        }
    }
    /// True if there is nothing.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The first bytes: 64 KiB, or all that there are.
    pub fn head(&self) -> &[u8] {
        match &self.0 {
            Kind::Bytes(bytes) => bytes,
            Kind::File { head, .. } => head,
        }
    }
    /// All of it in memory. The error is a sentence.
    pub fn bytes(self) -> Result<Vec<u8>, String> {
        if let Kind::Bytes(bytes) = self.0 {
            return Ok(bytes);
        }
        let mut all = Vec::with_capacity(self.len() as usize);
        self.copy(|_, piece| {
            all.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(all)
    }
    /// Gives it to `to`, piece by piece, each with its offset. The error is that of `to`, or a sentence.
    pub fn copy(&self, mut to: impl FnMut(u64, &[u8]) -> Result<(), String>) -> Result<(), String> {
        let (file, len, path, option) = match &self.0 {
            Kind::Bytes(bytes) => return to(0, bytes),
            Kind::File { file, len, path, option, .. } => (file, *len, path, option),
        };
        let mut room = vec![0; PIECE];
        for at in (0..len).step_by(PIECE) {
            let piece = &mut room[..(len - at).min(PIECE as u64) as usize];
            file.read_exact_at(piece, at).map_err(|e| unreadable(path, option, &e))?;
            to(at, piece)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file of the host that goes when the test ends.
    struct Temporary(std::path::PathBuf);

    impl Temporary {
        fn new(name: &str, bytes: &[u8]) -> Temporary {
            let path = std::env::temp_dir().join(format!("emu-content-{}-{name}", std::process::id()));
            std::fs::write(&path, bytes).unwrap();
            Temporary(path)
        }
        fn path(&self) -> &str {
            self.0.to_str().unwrap()
        }
    }

    impl Drop for Temporary {
        fn drop(&mut self) {
            let _ = std::fs::remove_file(&self.0);
        }
    }

    #[test]
    fn files_of_any_size_are_what_they_are() {
        for len in [0, 1, SMALL as usize, SMALL as usize + 1, 3 * PIECE + PIECE / 2 + 5 * HEAD] {
            let bytes: Vec<u8> = (0..len).map(|i| (i * 7 + i / 251) as u8).collect();
            let file = Temporary::new(&len.to_string(), &bytes);
            let content = Content::open(file.path(), "-kernel").unwrap();
            assert_eq!((content.len(), content.is_empty()), (len as u64, len == 0));
            assert!(bytes.starts_with(content.head()) && content.head().len() >= len.min(HEAD));
            let mut copied = Vec::new();
            content
                .copy(|at, piece| {
                    assert_eq!(at, copied.len() as u64);
                    copied.extend_from_slice(piece);
                    Ok(())
                })
                .unwrap();
            assert!(copied == bytes && content.bytes().unwrap() == bytes);
        }
    }

    #[test]
    fn a_file_that_is_cut_meanwhile_is_a_sentence() {
        let file = Temporary::new("cut", &vec![1; 2 * SMALL as usize]);
        let content = Content::open(file.path(), "-initrd").unwrap();
        std::fs::OpenOptions::new().write(true).open(file.path()).unwrap().set_len(SMALL).unwrap();
        let want = format!("cannot read '{}': it became shorter while it was read; check the path after -initrd", file.path());
        assert_eq!(content.copy(|_, _| Ok(())).unwrap_err(), want);
        assert_eq!(content.bytes().unwrap_err(), want);
        assert_eq!(Content::from(vec![1]).copy(|_, _| Err("no".into())), Err("no".into()));
    }
}
