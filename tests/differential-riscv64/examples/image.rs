//! Writes a guest image: `image FILE SEED COUNT GROUP`.

use emu_test_differential_riscv64::generate::{cases, pool};
use emu_test_differential_riscv64::guest::image;
use emu_test_kit::Rng;

fn main() {
    let a: Vec<String> = std::env::args().collect();
    let number = |n: usize, or: u64| a.get(n).and_then(|v| v.parse().ok()).unwrap_or(or);
    let mut rng = Rng::new(number(2, 1));
    let pool = pool(&mut rng);
    let count = number(3, 1000) as usize;
    let cases = cases(&mut rng, count);
    let file = a.get(1).map_or("cases.bin", String::as_str);
    std::fs::write(file, image(&cases, &pool, number(4, 32), 0, count)).expect("the file can be written");
}
