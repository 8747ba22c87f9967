use super::*;
use std::sync::atomic::{AtomicBool, Ordering};

fn made() -> ([Side; 2], [Arc<AtomicBool>; 2]) {
    let levels = [(); 2].map(|()| Arc::new(AtomicBool::new(false)));
    let line = |level: &Arc<AtomicBool>| {
        let level = level.clone();
        Line::new(move |l| level.store(l, Ordering::SeqCst))
    };
    let sides = mailbox("mailbox", [line(&levels[0]), line(&levels[1])]);
    (sides, levels)
}

fn high(levels: &[Arc<AtomicBool>; 2]) -> [bool; 2] {
    [0, 1].map(|i| levels[i].load(Ordering::SeqCst))
}

#[test]
fn words_come_in_order_each_way() {
    let ([a, b], levels) = made();
    assert_eq!(a.read(ID, 4), Some(u64::from_le_bytes(*b"mbox\0\0\0\0")));
    for n in 1..=3 {
        assert!(a.write(DATA, 8, n << 32 | n) && b.write(DATA, 4, 100 + n));
    }
    assert_eq!((a.read(STATUS, 4), b.read(STATUS, 4)), (Some(3 | 13 << 8), Some(3 | 13 << 8)));
    assert_eq!([b.read(DATA, 8), b.read(DATA, 4), b.read(DATA, 8), b.read(DATA, 8)], [Some(1 << 32 | 1), Some(2), Some(3 << 32 | 3), Some(0)]);
    assert_eq!([a.read(DATA, 8), a.read(DATA, 8), a.read(DATA, 8)], [Some(101), Some(102), Some(103)]);
    assert_eq!((a.read(STATUS, 4), high(&levels)), (Some(16 << 8), [false; 2]), "nothing is enabled");
}

#[test]
fn interrupts_are_levels_of_enabled_causes() {
    let ([a, b], levels) = made();
    assert!(b.write(ENABLE, 4, cause::WORD.into()));
    assert_eq!(high(&levels), [false, false]);
    assert!(a.write(DATA, 8, 7) && a.write(DATA, 8, 8));
    assert_eq!((high(&levels), b.read(CAUSES, 4)), ([false, true], Some((cause::WORD | cause::ROOM).into())));
    b.read(DATA, 8);
    assert_eq!(high(&levels), [false, true], "one word is left");
    b.read(DATA, 8);
    assert_eq!(high(&levels), [false, false]);
    // Room: high at once, low while the queue is full.
    assert!(a.write(ENABLE, 4, (cause::ROOM | 0xff00).into()));
    assert_eq!((high(&levels), a.read(ENABLE, 4)), ([true, false], Some(cause::ROOM.into())));
    (0..DEPTH as u64).for_each(|n| assert!(a.write(DATA, 8, n)));
    assert_eq!(high(&levels), [false, true]);
    b.read(DATA, 8);
    assert_eq!(high(&levels), [true, true]);
}

#[test]
fn what_finds_no_room_is_lost_and_counted() {
    let ([a, b], levels) = made();
    (0..DEPTH as u64 + 2).for_each(|n| assert!(a.write(DATA, 8, n)));
    assert_eq!((a.read(LOST, 4), b.read(LOST, 4), b.read(STATUS, 4)), (Some(2), Some(0), Some(16 | 16 << 8)));
    assert!(a.write(ENABLE, 4, cause::LOST.into()));
    assert_eq!(high(&levels), [true, false]);
    assert!(a.write(LOST, 4, 5));
    assert_eq!((a.read(LOST, 4), high(&levels)), (Some(0), [false, false]));
    assert_eq!((0..DEPTH).map(|_| b.read(DATA, 8).unwrap()).collect::<Vec<_>>(), (0..DEPTH as u64).collect::<Vec<_>>());
}

#[test]
fn odd_accesses_do_nothing() {
    let ([a, b], _) = made();
    for (offset, size) in [(DATA, 1), (DATA, 2), (4, 4), (STATUS, 8), (ENABLE, 2), (0x1c, 4), (WINDOW - 8, 8)] {
        assert!(a.write(offset, size, u64::MAX), "{offset:#x}");
        assert_eq!(a.read(offset, size), Some(0), "{offset:#x}");
    }
    assert_eq!((a.read(ENABLE, 4), b.read(STATUS, 4)), (Some(0), Some(16 << 8)));
}

#[test]
fn saved_and_reset() {
    let ([a, b], levels) = made();
    assert!(a.write(DATA, 8, 5) && b.write(DATA, 8, 6) && b.write(ENABLE, 4, 1));
    let (first, second) = (a.save(), b.save());
    a.reset();
    assert_eq!((b.read(STATUS, 4), high(&levels)), (Some(16 << 8), [false, false]));
    assert_eq!((a.load(&first), b.load(&second)), (Ok(()), Ok(())));
    assert_eq!((high(&levels), a.read(DATA, 8), b.read(DATA, 8)), ([false, true], Some(6), Some(5)));
    let mut long = Writer::new(1);
    [0, 0].iter().for_each(|v| long.u32(*v));
    long.u64s(&[0; 17]);
    assert_eq!(a.load(&long.finish()).unwrap_err(), "mailbox: 17 words in a queue of 16");
}
