//! What the A64 decode tables are held against: the decoder made of them, and every encoding of
//! Arm's machine readable specification.

/// The decoder generated from `targets/aarch64-v9/decode`.
#[allow(clippy::all)]
pub mod decode {
    include!(concat!(env!("OUT_DIR"), "/decode.rs"));
}

/// One encoding of the specification.
#[derive(Clone, Copy, Debug)]
pub struct Encoding {
    /// Its name.
    pub name: &'static str,
    /// Its class as a path.
    pub class: &'static str,
    /// The bits that are fixed.
    pub mask: u32,
    /// Their values.
    pub bits: u32,
    /// Its variable fields: name, lowest bit, width.
    pub fields: &'static [(&'static str, u32, u32)],
}

/// Every A64 encoding of `aarchmrs-instructions`.
pub static ENCODINGS: &[Encoding] = include!(concat!(env!("OUT_DIR"), "/encodings.rs"));

/// The table files.
pub static TABLES: &[&str] = include!(concat!(env!("OUT_DIR"), "/tables.rs"));

/// A decoder's client that prints: the operands of a word as text, with a set of features.
pub struct Printer<'a>(
    /// The features that are implemented.
    pub &'a dyn Fn(decode::Feature) -> bool,
);

macro_rules! print_methods {
    ($($part:ident { $($method:ident $operands:ident;)* })*) => {
        impl decode::Decode for Printer<'_> {
            type Output = String;

            fn has(&self, feature: decode::Feature) -> bool {
                (self.0)(feature)
            }

            fn unallocated(&mut self, _insn: u32) -> String {
                "unallocated".into()
            }

            fn unimplemented(&mut self, _insn: u32, row: &'static decode::Row) -> String {
                format!("unimplemented {}", row.name)
            }

            fn gated_off(&mut self, _insn: u32, row: &'static decode::Row) -> String {
                format!("gated off {}", row.name)
            }
        }

        $(impl decode::$part for Printer<'_> {
            $(fn $method(&mut self, insn: &decode::$operands) -> String {
                format!("{insn:?}")
            })*
        })*
    };
}
decode::decode_methods!(print_methods);

/// A decoder's client that only counts: what decoding itself costs.
#[derive(Clone, Copy, Debug, Default)]
pub struct Counter(
    /// How many instructions had a method.
    pub u64,
);

macro_rules! count_methods {
    ($($part:ident { $($method:ident $operands:ident;)* })*) => {
        impl decode::Decode for Counter {
            type Output = ();

            fn has(&self, _feature: decode::Feature) -> bool {
                true
            }

            fn unallocated(&mut self, _insn: u32) {}

            fn unimplemented(&mut self, _insn: u32, _row: &'static decode::Row) {}
        }

        $(impl decode::$part for Counter {
            $(#[inline(never)]
            fn $method(&mut self, insn: &decode::$operands) {
                std::hint::black_box(insn);
                self.0 += 1;
            })*
        })*
    };
}
decode::decode_methods!(count_methods);

/// The operands of a word as text.
pub fn print(insn: u32, has: &dyn Fn(decode::Feature) -> bool) -> String {
    decode::decode(&mut Printer(has), insn)
}
