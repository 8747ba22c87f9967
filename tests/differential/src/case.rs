//! A case: the code, the state before it, and the image that holds many of them.

use crate::layout::{self, record};
use crate::operands::{self, LANES, Lanes};
use crate::{program, runner};
use emu_a64_asm::image;
use emu_test_kit::Rng;

/// What a run's cases depend on beside their number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// The seed.
    pub seed: u64,
    /// Bits of FPCR that are drawn too, for cores that have them: 0x7 for FEAT_AFP's FIZ, AH and NEP,
    /// 0x2000 for FEAT_EBF16's EBF.
    pub more_fpcr: u64,
    /// Bits of the runner's TCR_EL1 that are inverted: without them TBI0 (bit 37) is 1, TBI1 (bit 38) and T1SZ are 0.
    pub tcr_flip: u64,
    /// The cases run as a program of Linux ([`crate::program`]).
    pub program: bool,
}

impl From<u64> for Settings {
    fn from(seed: u64) -> Self {
        Self { seed, ..Self::default() }
    }
}

/// Vector register files and memory templates that the cases of one seed share: they are drawn once,
/// so that a case needs only their numbers.
pub struct Pools {
    /// What they were drawn for.
    pub settings: Settings,
    /// Files of 32 vector registers with the lanes that they were drawn for.
    pub vectors: Vec<(Lanes, Box<[u128; 32]>)>,
    /// Contents of the compared memory regions.
    pub memory: Vec<Vec<u8>>,
}

/// Vector files for each kind of lanes.
const FILES_PER_KIND: usize = 96;
const TEMPLATES: usize = 8;

impl Pools {
    /// The pools of a seed (or of settings).
    pub fn new(settings: impl Into<Settings>) -> Self {
        let settings = settings.into();
        let mut rng = Rng::new(settings.seed).fork(0x706f_6f6c);
        let mut vectors = Vec::new();
        for lanes in LANES {
            for _ in 0..FILES_PER_KIND {
                let file = std::array::from_fn(|_| operands::vector(&mut rng, lanes));
                vectors.push((lanes, Box::new(file)));
            }
        }
        let memory = (0..TEMPLATES)
            .map(|i| {
                let mut bytes = Vec::with_capacity(layout::MEMORY_LEN);
                while bytes.len() < layout::MEMORY_LEN {
                    let lanes = if i == 0 { Lanes::Integers(64) } else { *rng.pick(&LANES) };
                    bytes.extend_from_slice(&operands::vector(&mut rng, lanes).to_le_bytes());
                }
                bytes
            })
            .collect();
        Self { settings, vectors, memory }
    }

    /// The number of a vector file, with those lanes if they are given.
    pub fn pick_vectors(&self, rng: &mut Rng, lanes: Option<Lanes>) -> usize {
        let kind = match lanes {
            Some(lanes) => LANES.iter().position(|l| *l == lanes).unwrap_or(0) as u64,
            None => rng.below(LANES.len() as u64),
        };
        kind as usize * FILES_PER_KIND + rng.below(FILES_PER_KIND as u64) as usize
    }
}

/// One case.
#[derive(Clone, Debug)]
pub struct Case {
    /// What it tests: the encoding's name, or `sequence`.
    pub name: &'static str,
    /// Its number among the cases of that name.
    pub index: u64,
    /// X0 to X30.
    pub x: [u64; 31],
    /// SP_EL0.
    pub sp: u64,
    /// N, Z, C and V in bits 3 to 0.
    pub nzcv: u64,
    /// FPCR.
    pub fpcr: u64,
    /// FPSR.
    pub fpsr: u64,
    /// Number of the vector file in the pools.
    pub vectors: usize,
    /// Number of the memory template in the pools.
    pub memory: usize,
    /// The code, which ends in the SVC that leaves it.
    pub code: Vec<u32>,
    /// The word of `code` at which it is entered.
    pub entry: usize,
    /// A register that receives the address of a word of `code`.
    pub code_address: Option<(usize, usize)>,
}

/// PSTATE for EL0t with D, A, I and F masked.
const SPSR_EL0: u64 = 0x3c0;

/// SVC that ends a case.
pub const EXIT: u32 = 0xd400_0001 | (layout::EXIT_SVC as u32) << 5;

impl Case {
    /// The instruction words under test, without the exits around them.
    pub fn words(&self) -> impl Iterator<Item = u32> {
        self.code.iter().copied().filter(|w| !is_exit(*w))
    }
}

/// One of the SVCs that leave a case.
fn is_exit(word: u32) -> bool {
    word & 0xffe0_001f == 0xd400_0001 && word >> 13 & 0xff == 0x7f
}

/// An image and where its cases lie.
pub struct Image {
    /// The bytes of the file.
    pub bytes: Vec<u8>,
    /// For each case, the address at which EL0 sees the first word of its code.
    pub code: Vec<u64>,
}

/// Builds the `Image` that runs these cases.
///
/// # Panics
/// When the image would be larger than its mapping.
pub fn build(cases: &[Case], pools: &Pools, verbose: bool) -> Image {
    let align16 = |n: usize| n.next_multiple_of(16);
    let memory_at = align16(layout::PARAMETERS + 16);
    let vectors_at = memory_at + layout::MEMORY_LEN * pools.memory.len();
    let records_at = vectors_at + 512 * pools.vectors.len();
    let code_at = records_at + record::LEN as usize * cases.len();
    let (first, count) = (records_at as u64, cases.len() as u64);
    let is_program = pools.settings.program;
    let guest = if is_program { program::assemble(first, count) } else { runner::assemble(first, count, pools.settings.tcr_flip) };
    let mut bytes = image::wrap(&guest, 0, 16);
    bytes.resize(memory_at, 0);
    for template in &pools.memory {
        bytes.extend_from_slice(template);
    }
    for (_, file) in &pools.vectors {
        for v in file.iter() {
            bytes.extend_from_slice(&v.to_le_bytes());
        }
    }
    let mut code = Vec::with_capacity(cases.len());
    let mut next = code_at;
    for case in cases {
        let at = layout::CODE + next as u64;
        code.push(at);
        next += 4 * case.code.len();
        let mut x = case.x;
        if let Some((register, word)) = case.code_address {
            x[register] = at + 4 * word as u64;
        }
        let start = bytes.len();
        let vectors = vectors_at + 512 * case.vectors;
        let memory = memory_at + layout::MEMORY_LEN * case.memory;
        for value in x.into_iter().chain([
            // What a misaligned one does in a program, the oracle does not know.
            if is_program { case.sp & !15 } else { case.sp },
            at + 4 * case.entry as u64,
            SPSR_EL0 | case.nzcv << 28,
            case.fpcr,
            case.fpsr,
            vectors as u64,
            memory as u64,
            u64::from(verbose),
            0,
        ]) {
            bytes.extend_from_slice(&value.to_le_bytes());
        }
        assert_eq!(bytes.len() - start, record::LEN as usize);
    }
    for case in cases {
        for word in &case.code {
            let word = &if is_program && is_exit(*word) { program::exit(*word) } else { *word };
            bytes.extend_from_slice(&word.to_le_bytes());
        }
    }
    assert!((bytes.len() as u64) < layout::CODE_LEN, "too many cases for one image");
    if is_program {
        return Image { bytes: program::elf(&bytes), code };
    }
    Image { bytes: with_size(bytes), code }
}

/// Sets the header's image_size to what the file has become.
fn with_size(mut bytes: Vec<u8>) -> Vec<u8> {
    let size = bytes.len() as u64;
    bytes[16..24].copy_from_slice(&size.to_le_bytes());
    bytes
}
