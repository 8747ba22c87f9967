//! Calls about the CPU itself: what it has, and code that has changed. Which of them an architecture has, its table of calls says.

use crate::Call;

const EINVAL: i64 = -(libc::EINVAL as i64);

/// riscv_hwprobe: pairs of a question's number, and the answer to it; a question that is not known becomes -1.
pub fn hwprobe(c: &mut Call<'_>) -> i64 {
    let [pairs, count, set_bytes, set, flags, _] = c.a;
    if flags != 0 || (set == 0) != (set_bytes == 0) {
        return EINVAL;
    }
    for n in 0..count {
        let at = pairs.wrapping_add(n.wrapping_mul(16));
        let done = c.k.space.get::<u64>(at).and_then(|key| match c.k.host.linux_probe(key) {
            Some(value) => c.k.space.put(at.wrapping_add(8), value),
            None => c.k.space.put(at, [u64::MAX, 0]),
        });
        if let Err(e) = done {
            return e;
        }
    }
    0
}
/// riscv_flush_icache: no code is left that was made from what has been written since.
pub fn flush_icache(c: &mut Call<'_>) -> i64 {
    let [start, end, flags, ..] = c.a;
    if flags & !1 != 0 {
        return EINVAL;
    }
    // Stores to where code was made from are seen by themselves; what was written through another mapping is not.
    let map = c.k.space.map();
    for (first, area) in map.areas.iter().filter(|(_, a)| a.prot & libc::PROT_EXEC as u32 != 0) {
        let (from, to) = (start.max(*first), end.min(area.end));
        if from < to {
            c.k.host.user_writes(from, to - from);
        }
    }
    0
}
