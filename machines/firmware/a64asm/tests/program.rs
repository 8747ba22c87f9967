//! Labels, fix-ups, constants and the two containers.

use emu_a64_asm::*;

fn words(bytes: &[u8]) -> Vec<u32> {
    bytes.chunks_exact(4).map(|c| u32::from_le_bytes(c.try_into().unwrap())).collect()
}

/// The words are an independent assembler's for the program in the comments.
#[test]
fn labels_in_both_directions() {
    let mut a = Asm::new(0);
    let end = a.label();
    let top = a.here(); //        top:
    a.b(end); //                  b end
    a.bl(top); //                 bl top
    a.b_cond(Cond::Lt, end); //   b.lt end
    a.cbz(X1, top); //            cbz x1, top
    a.cbnz(W2, end); //           cbnz w2, end
    a.tbz(X3, 33, top); //        tbz x3, #33, top
    a.tbnz(W4, 5, end); //        tbnz w4, #5, end
    a.adr(X5, top); //            adr x5, top
    a.ldr_lit(X6, end); //        ldr x6, end
    a.ldr_lit(W7, end); //        ldr w7, end
    a.bind(end); //               end:
    a.quad(0x1122_3344_5566_7788);
    let got = words(&a.finish().unwrap());
    #[rustfmt::skip]
    let expected = [
        0x1400_000a, 0x97ff_ffff, 0x5400_010b, 0xb4ff_ffa1, 0x3500_00c2, 0xb60f_ff63, 0x3728_0084,
        0x10ff_ff25, 0x5800_0046, 0x1800_0027, 0x5566_7788, 0x1122_3344,
    ];
    assert_eq!(got, expected);
}

#[test]
fn addresses_depend_on_the_base() {
    let mut a = Asm::new(0x4020_0ff8);
    let data = a.label();
    a.load_address(X0, data);
    a.quad_label(data);
    a.bind(data);
    let bytes = a.finish().unwrap();
    // adrp x0, +0x1000 ; add x0, x0, #8, for 0x40201008
    assert_eq!(words(&bytes)[..2], [0xb000_0000, 0x9100_2000]);
    assert_eq!(bytes[8..16], 0x4020_1008_u64.to_le_bytes());
}

/// Runs the MOVZ, MOVN, MOVK and ORR that `mov_imm` chose.
fn evaluate(words: &[u32]) -> u64 {
    let mut value = 0u64;
    for &w in words {
        let is64 = w >> 31 == 1;
        let lsl = 16 * (w >> 21 & 3);
        let imm = u64::from(w >> 5 & 0xffff) << lsl;
        value = match w >> 23 & 0xff {
            0xa5 => imm,
            0x25 => !imm,
            0xe5 => value & !(0xffff << lsl) | imm,
            0x64 => {
                let (n, immr, imms) = (w >> 22 & 1, w >> 16 & 63, w >> 10 & 63);
                let len = 31 - (n << 6 | (!imms & 63)).leading_zeros();
                let size = 1 << len;
                let (s, r) = (imms & (size - 1), immr & (size - 1));
                let run = u128::from(u64::MAX >> (63 - s));
                let element = (run >> r | run << (size - r)) & ((1u128 << size) - 1);
                (0..64 / size).fold(0, |v, i| v | (element as u64) << (i * size))
            }
            _ => panic!("{w:#010x} is no move"),
        };
        value = if is64 { value } else { value & 0xffff_ffff };
    }
    value
}

#[test]
fn constants_come_out_right() {
    let mut values = vec![0, 1, u64::MAX, i64::MIN as u64, 0xffff_0000_ffff_1234, 0x8400_0008];
    let mut x = 0x9e37_79b9_7f4a_7c15_u64;
    for i in 0..4000u32 {
        x = x.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        values.push(x.rotate_left(i));
        values.push(u64::MAX << (i % 64) >> (x % 64));
        values.push((x & 0xffff) << (16 * (i % 4)));
        values.push(!((x & 0xffff) << (16 * (i % 4))));
        let element = x & 0xffff;
        values.push(element * 0x0001_0001_0001_0001);
    }
    for value in values {
        let mut a = Asm::new(0);
        a.mov_imm(X3, value);
        let code = words(&a.finish().unwrap());
        assert!(code.len() <= 4);
        assert_eq!(evaluate(&code), value, "{value:#x} as {code:x?}");
        let mut a = Asm::new(0);
        a.mov_imm(W3, value);
        assert_eq!(evaluate(&words(&a.finish().unwrap())), value & 0xffff_ffff, "{value:#x} as W");
    }
}

#[test]
fn bitmask_immediates_are_exactly_those_that_exist() {
    // Every field value that DecodeBitMasks accepts, once: 5,334 64-bit and 1,302 32-bit constants.
    let mut all = std::collections::BTreeSet::new();
    for size in [2u32, 4, 8, 16, 32, 64] {
        for ones in 1..size {
            for rotate in 0..size {
                let run = u128::from(u64::MAX >> (64 - ones));
                let element = (run >> rotate | run << (size - rotate)) & ((1u128 << size) - 1);
                all.insert((0..64 / size).fold(0u64, |v, i| v | (element as u64) << (i * size)));
            }
        }
    }
    assert_eq!(all.len(), 5334);
    for &value in &all {
        let field = encode_bitmask(value, 64).expect("encodable");
        assert_eq!(evaluate(&[0xb200_03e0 | field << 10]), value);
        let neighbour = value.wrapping_add(0x100);
        assert_eq!(encode_bitmask(neighbour, 64).is_some(), all.contains(&neighbour));
    }
    let narrow = all.iter().filter(|&&v| v >> 32 == v & 0xffff_ffff);
    assert_eq!(narrow.filter(|&&v| encode_bitmask(v & 0xffff_ffff, 32).is_some()).count(), 1302);
}

#[test]
fn mistakes_are_returned() {
    let mistake = |emit: fn(&mut Asm)| {
        let mut a = Asm::new(0);
        emit(&mut a);
        a.finish().unwrap_err().message
    };
    assert!(mistake(|a| a.add_imm(X0, X0, 0x1001)).contains("arithmetic immediate"));
    assert!(mistake(|a| a.and_imm(X0, X0, 0)).contains("logical immediate"));
    assert!(mistake(|a| a.ldr(X0, Addr::Off(X1, -257))).contains("offset"));
    assert!(mistake(|a| a.ldp(X0, X1, Addr::Off(X1, 4))).contains("pair"));
    assert!(mistake(|a| a.lsl(X0, X1, 64)).contains("bit field"));
    assert!(
        mistake(|a| {
            let l = a.label();
            a.b(l);
        })
        .contains("never bound")
    );
    assert!(
        mistake(|a| {
            let l = a.label();
            a.tbz(X0, 0, l);
            a.zeros(1 << 15);
            a.bind(l);
        })
        .contains("out of range")
    );
    assert!(
        mistake(|a| {
            a.nop();
            a.org(0);
        })
        .contains("behind")
    );
}

#[test]
fn image_header() {
    let image = image::wrap(&[0xaa; 8], 0x8_0000, 0x1000);
    assert_eq!(image.len(), 72);
    assert_eq!(words(&image)[0], 0x1400_0010, "b #64");
    assert_eq!(image[8..16], 0x8_0000_u64.to_le_bytes(), "text_offset");
    assert_eq!(image[16..24], 0x1048_u64.to_le_bytes(), "image_size");
    assert_eq!(image[24], 0b1010, "flags");
    assert_eq!(&image[56..60], b"ARM\x64");
    assert_eq!(image[64..], [0xaa; 8]);
}

#[test]
fn elf_segments_load_where_they_say() {
    let segments = [
        elf::Segment { address: 0x4000_0123, bytes: vec![1, 2, 3], mem_size: 3, flags: 5 },
        elf::Segment { address: 0x4001_0000, bytes: vec![9; 5000], mem_size: 9000, flags: 6 },
    ];
    let file = elf::executable(0x4000_0124, &segments);
    let quad = |at: usize| u64::from_le_bytes(file[at..at + 8].try_into().unwrap());
    assert_eq!(&file[..5], b"\x7fELF\x02");
    assert_eq!(quad(24), 0x4000_0124);
    for (i, segment) in segments.iter().enumerate() {
        let at = 64 + 56 * i;
        let offset = quad(at + 8) as usize;
        assert_eq!(quad(at + 16), segment.address);
        assert_eq!(quad(at + 32), segment.bytes.len() as u64);
        assert_eq!(quad(at + 40), segment.mem_size);
        assert_eq!(offset % 4096, segment.address as usize % 4096);
        assert_eq!(&file[offset..offset + segment.bytes.len()], &segment.bytes[..]);
    }
}
