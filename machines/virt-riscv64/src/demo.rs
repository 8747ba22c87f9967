//! The demo guest: what runs when the user names neither kernel nor firmware. Machine-mode code that says where it runs and powers off.

use crate::board::{Kind, Map};
use emu_machine_firmware::rv64::{A0, T0, T1, T2, i_type, lui};

/// The guest's code and text.
pub fn image(map: &Map) -> Vec<u8> {
    let base = |kind| map.first(kind).map_or(0, |r| r.base);
    let text = format!(
        "emu: RISC-V virt with {} hart{}. Nothing was given to run: add -bios FIRMWARE and -kernel FILE.\n",
        map.cpus,
        if map.cpus == 1 { "" } else { "s" }
    );
    let mut code = vec![
        i_type(0xf14u32 as i32, 0, 2, A0, 0x73), // csrr a0, mhartid
        0x0005_0663,                             // beqz a0, 12: the others wait
        i_type(0x105, 0, 0, 0, 0x73),            // wfi
        0xffdf_f06f,                             // j -4
        0x0000_0297,                             // auipc t0, 0
        i_type(0, T0, 0, T0, 0x13),              // addi t0, t0, text (below)
        lui(T1, base(Kind::Ns16550a)),
        i_type(0, T0, 4, T2, 0x03), // lbu t2, (t0)
        0x0003_8863,                // beqz t2, 16: the end
        T2 << 20 | T1 << 15 | 0x23, // sb t2, (t1)
        i_type(1, T0, 0, T0, 0x13), // addi t0, t0, 1
        0xff1f_f06f,                // j -16: the next character
        lui(T1, base(Kind::SifiveTest)),
        lui(T2, 0x5000),
        i_type(0x555, T2, 0, T2, 0x13),
        T2 << 20 | T1 << 15 | 2 << 12 | 0x23, // sw t2, (t1)
        0x0000_006f,                          // j .
    ];
    let behind = (code.len() - 4) as i32 * 4;
    code[5] = i_type(behind, T0, 0, T0, 0x13);
    let mut bytes: Vec<u8> = code.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.extend(text.replace('\n', "\r\n").into_bytes());
    bytes.push(0);
    bytes
}
