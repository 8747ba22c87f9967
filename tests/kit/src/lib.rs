//! What the tests share: guests and oracles from Debian packages, the built `emu` binary and its
//! console, and seeded random numbers that can be replayed.
//!
//! - [`packages`]: Debian packages of any suite and architecture, unpacked into a cache outside the
//!   tree; nothing is installed.
//! - [`qemu`]: `qemu-system-aarch64` and `qemu-aarch64-static` from such packages, the oracles.
//! - [`emu`]: the `emu` binary of this build.
//! - [`process`]: run with a time limit and a capture, or talk to a console.
//! - [`rng`]: random numbers; `EMU_SEED` replays a run.
//!
//! | variable | meaning |
//! |---|---|
//! | `EMU_TEST_CACHE` | the cache folder, else `$XDG_CACHE_HOME/emu-tests`, else `~/.cache/emu-tests` |
//! | `EMU_TEST_MIRROR` | the URI of a Debian mirror, else the one of the host's own apt sources |
//! | `EMU_TEST_QEMU_SUITE` | the suite of the QEMU packages, else `bookworm-backports` |
//! | `EMU_TEST_QEMU_NEWEST` | the suite of the newest QEMU, else `sid` |
//! | `EMU_TEST_QEMU` | a `qemu-system-aarch64` to use as it is |
//! | `EMU_TEST_QEMU_RISCV64` | a `qemu-system-riscv64` to use as it is |
//! | `EMU_BIN` | the `emu` binary to test, else the one beside the test executable |
//! | `EMU_SEED` | the seed, in hex or decimal |

pub mod emu;
pub mod packages;
pub mod process;
pub mod qemu;
pub mod rng;

pub use process::{Console, Finished};
pub use rng::Rng;

use std::fmt;

/// Why something that a test needs is not to be had: one sentence.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// Results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

pub(crate) fn error<T>(message: impl Into<String>) -> Result<T> {
    Err(Error(message.into()))
}
