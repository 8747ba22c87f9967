//! Look-ups that calls share, in code that is run a lot and in which calls are part of the code (`inline`).
//!
//! A function that pushes and pops looks up a page of the stack twice, and so does what it calls, just below. Where calls are part of the code the
//! first one looks up the frames of all of them: the distance from guest to host addresses stays in a register of its own ([`STACK`]) while control
//! goes into what is called and comes back, and accesses off the stack pointer only look whether it is there, as those of a group do
//! (`groups`, where it is said for how long a distance is valid; none of that differs between units). What is known is how far from the stack
//! pointer the distance holds. It goes into a [`Version`](crate::deferred::Version) with the jump there.
//!
//! Where the frames are not all in one page there is no distance, and each group looks up its own bytes out of the way, with a copy of its
//! accesses: about what it costs without any of this.
//!
//! A stack pointer is the pinned field that is most often written with a sum of itself and a constant.

use crate::asm::{Gpr, Label, Mem, reg};
use crate::cold::Cold;
use crate::control::CALL;
use crate::frame::{PINS, TEMPS};
use crate::groups::Member;
use crate::inline::DEPTH;
use crate::lower::{Lowering, Region};
use crate::memory::moved;
use emu_ir::{Code, Op, Shape, Ty};

/// The register of the distance. Nothing else is in it in a region that shares, which has those before it for values.
pub(crate) const STACK: Gpr = reg::RSI;
/// Registers for values then.
const TEMPS_LEFT: usize = 3;
const _: () = assert!(TEMPS[TEMPS_LEFT] == STACK);

/// Bytes that are looked up together at most. The more, the more often the end of a page lies in them.
const SPAN: i64 = 512;

/// The bytes for which the distance is right, if there is one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Reach {
    /// From the stack pointer to the first, and to the one behind the last.
    low: i64,
    high: i64,
    view: usize,
}

impl Reach {
    /// True if it is right for another's bytes too.
    pub(crate) fn covers(&self, other: &Reach) -> bool {
        self.view == other.view && self.low <= other.low && self.high >= other.high
    }
    /// The bytes of both; `None` if there are none.
    pub(crate) fn meet(&self, other: &Reach) -> Option<Reach> {
        let (low, high) = (self.low.max(other.low), self.high.min(other.high));
        (self.view == other.view && low < high).then_some(Reach { low, high, view: self.view })
    }
}

/// What calls share in the region.
#[derive(Default)]
pub(crate) struct Shared {
    /// The stack pointer, and the size in bytes of the largest frame.
    stack: Option<(u8, i64)>,
    /// What is known at the current op.
    pub reach: Option<Reach>,
    /// A value of the unit, and how far from it the stack pointer is.
    base: Option<(u32, i64)>,
    /// The unit ends by calling.
    calls: bool,
    /// The way for the group whose accesses follow each other, in `Lowering::cold`.
    narrow: Option<usize>,
}

impl Lowering<'_> {
    /// Before a region whose borrowed registers are known: decides whether calls share look-ups. `may`: there are enough registers.
    pub(crate) fn begin_shared(&mut self, region: &Region<'_>, may: bool) {
        self.shared = Shared::default();
        let wanted = may && self.careful && self.options.native && self.f.direct.is_none() && !self.f.count;
        if !wanted || self.temps.len() <= TEMPS_LEFT || !self.will_inline(region) {
            return;
        }
        self.shared.stack = self.stack_pointer(region);
        if self.shared.stack.is_some() {
            self.temps = &TEMPS[..TEMPS_LEFT];
        }
    }

    /// The stack pointer, and the size of the largest frame.
    fn stack_pointer(&mut self, region: &Region<'_>) -> Option<(u8, i64)> {
        let mut moved = [(0u32, 0i64); PINS.len()];
        for u in region.units {
            self.groups.find(u.ops, u.slots, self.vl, |_| false);
            for set in u.ops.iter().filter(|op| op.code == Code::Set as u16 && op.ty == Ty::I64 && op.shape == Shape::SCALAR) {
                let Some(pin) = self.pins.pin(set.imm as u32).filter(|p| *p < PINS.len()) else { continue };
                let (base, by) = self.groups.distance_of(set.a);
                if by != 0 && u.ops.iter().any(|op| op.code == Code::Get as u16 && (op.dst, op.imm) == (base, set.imm)) {
                    moved[pin] = (moved[pin].0 + 1, moved[pin].1.max(by.saturating_abs()));
                }
            }
        }
        let (pin, (times, frame)) = moved.into_iter().enumerate().max_by_key(|(_, m)| m.0)?;
        (times >= 2 && frame <= SPAN / 2).then_some((pin as u8, frame))
    }

    /// True if they do in the region.
    pub(crate) fn shares(&self) -> bool {
        self.shared.stack.is_some()
    }

    /// Before a unit.
    pub(crate) fn begin_shared_unit(&mut self, ops: &[Op]) {
        (self.shared.base, self.shared.narrow) = (None, None);
        self.shared.calls = ops.last().is_some_and(|op| op.code == Code::Goto as u16 && op.aux == CALL);
    }
    /// There is no distance any more: the register may have something else, and the stack pointer be another.
    pub(crate) fn forget_reach(&mut self) {
        (self.shared.reach, self.shared.base) = (None, None);
    }

    /// Behind a `get` or `set`: the stack pointer may be another.
    pub(crate) fn follow_stack(&mut self, op: &Op, c: Code) {
        let Some((pin, _)) = self.shared.stack else { return };
        let at = op.imm as u32;
        let whole = op.ty == Ty::I64 && op.shape == Shape::SCALAR && self.pins.pin(at) == Some(pin.into());
        let s = &mut self.shared;
        match c {
            Code::Get if whole => s.base = Some((op.dst, 0)),
            Code::Set if whole => {
                let (base, now) = self.groups.distance_of(op.a);
                match (s.base, &mut s.reach) {
                    (Some((of, before)), Some(reach)) if of == base => {
                        let by = now.wrapping_sub(before);
                        match (reach.low.checked_sub(by), reach.high.checked_sub(by)) {
                            (Some(low), Some(high)) => (reach.low, reach.high) = (low, high),
                            _ => s.reach = None,
                        }
                    }
                    _ => s.reach = None,
                }
                s.base = Some((base, now));
            }
            Code::Set => {
                let bytes = moved(op, self.vl);
                if self.pins.over(at, bytes) >> pin & 1 != 0 {
                    (s.reach, s.base) = (None, None);
                }
            }
            _ => {}
        }
    }

    /// The current access, `low` bytes from the base of its group, as one that goes by the stack's distance.
    pub(crate) fn reach_shared(&mut self, group: u16, low: i64) -> Option<Member> {
        let (_, frame) = self.shared.stack?;
        let (base, now) = self.shared.base?;
        let g = self.groups.group(group);
        if g.base != base {
            return None;
        }
        let own = Reach { low: g.low.checked_sub(now)?, high: g.high.checked_sub(now)?, view: g.view };
        let leads = !self.shared.reach.is_some_and(|r| r.covers(&own));
        if leads {
            if self.inline.is_none() && !self.shared.calls {
                return None;
            }
            // The frames of what is called are below, those of callers above; and at the stack pointer or above it is the function's own.
            let depth = i64::from(self.inline.map_or(0, |n| self.depth_of(n)));
            let (low, high) = if own.low >= 0 { (0, own.high.max(frame)) } else { (own.low, own.high) };
            let ends = low.checked_sub(frame * (i64::from(DEPTH) - depth)).zip(high.checked_add(frame * depth));
            let wide = ends.map(|(low, high)| Reach { low, high, view: own.view });
            self.shared.reach = wide.filter(|w| w.high.checked_sub(w.low).is_some_and(|span| span <= SPAN)).or(Some(own));
        }
        let reach = self.shared.reach?;
        let narrow = (g.left >= 2).then_some(((low - g.low) as i32, (g.high - g.low) as u32, g.writes));
        let (before, span) = ((low - now - reach.low) as i32, (reach.high - reach.low) as u32);
        Some(Member { leads, writes: true, before, span, shared: true, narrow })
    }

    /// The first of several accesses goes by the stack's distance: what it does where there is none, in place of `alone`.
    pub(crate) fn narrowly(&mut self, m: Member, address: Mem, view: usize, scratch: [Gpr; 2], alone: Label) -> Label {
        self.shared.narrow = None;
        let Some((before, span, write)) = m.narrow else { return alone };
        let at = self.asm.label();
        self.shared.narrow = Some(self.cold.len());
        self.cold.push(Cold::Narrow { at, address: address.plus(-before), span, view, write, scratch, code: (0, 0), alone });
        at
    }
    /// Accesses that follow each other begin here.
    pub(crate) fn narrow_from(&mut self) {
        let here = self.asm.here();
        self.narrow_code(|code| *code = (here, here));
    }
    /// One of them ends here.
    pub(crate) fn narrow_to(&mut self) {
        let here = self.asm.here();
        self.narrow_code(|code| code.1 = here);
    }
    fn narrow_code(&mut self, change: impl FnOnce(&mut (u32, u32))) {
        if let Some(Cold::Narrow { code, .. }) = self.shared.narrow.and_then(|n| self.cold.get_mut(n)) {
            change(code);
        }
    }

    /// The register that slow accesses leave without a distance, a bit.
    pub(crate) fn shared_distance(&self) -> u32 {
        if self.shared.stack.is_some() { 1 << STACK } else { 0 }
    }
    /// A way to code that takes the distance for granted, from where it is not known: there is none.
    pub(crate) fn without_distance(&mut self, to: Label) -> Label {
        let at = self.asm.label();
        self.cold.push(Cold::NoDistance { at, to });
        at
    }
}
