//! What the host's kernel says of how this process was started.
#![allow(unsafe_code)] // The auxiliary vector.

/// True if binfmt_misc started emu for another program and kept its argument 0: the words are emu's name, the program's path, the
/// program's argument 0, its other arguments (binfmt_misc's flag P; AT_FLAGS_PRESERVE_ARGV0 in linux/binfmts.h, since Linux 5.12).
pub fn for_another_program() -> bool {
    const AT_FLAGS_PRESERVE_ARGV0: u64 = 1;
    // SAFETY: reads the process's own vector.
    unsafe { libc::getauxval(libc::AT_FLAGS) & AT_FLAGS_PRESERVE_ARGV0 != 0 }
}
