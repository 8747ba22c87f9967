//! The demo guest: what runs on a side that the user gives no program for. The Arm CPU says where it runs, asks the first hart over the mailbox
//! for its part, waits for the answer and powers off; the hart waits for a word, says what it is, and answers.

use crate::board::{FINISHER, MAILBOX, PL011};
use emu_a64_asm::{Addr, Asm, Cond, W1, W2, X0, X1, X3, X4};
use emu_machine_devices::mailbox::spec::{DATA, STATUS, WINDOW};
use emu_machine_devices::sifive_test::PASS;
use emu_machine_firmware::rv64::{A0, T0, T1, T2, i_type, lui};

const ARM_TEXT: &str = "emu: duo, an AArch64 CPU here.\r\n";
const HART_TEXT: &str = "emu: duo, a RISC-V hart here. Nothing was given to run: add -M duo,aarch64=FILE,riscv64=FILE.\r\n";

/// The Arm CPU's program.
pub fn aarch64() -> Result<Vec<u8>, String> {
    let mut a = Asm::new(crate::board::RAM_BASE);
    let text = a.label();
    a.adr(X0, text);
    a.mov_imm(X1, PL011.base);
    let (next, said) = (a.here(), a.label());
    a.ldrb(W2, Addr::Post(X0, 1));
    a.cbz(W2, said);
    a.strb(W2, Addr::Off(X1, 0));
    a.b(next);
    a.bind(said);
    a.mov_imm(X3, MAILBOX.base);
    a.str(X3, Addr::Off(X3, DATA as i32));
    let wait = a.here();
    a.ldr(W1, Addr::Off(X3, STATUS as i32));
    a.tst_imm(W1, 0xff);
    a.b_cond(Cond::Eq, wait);
    a.mov_imm(X4, FINISHER.base);
    a.mov_imm(X1, PASS);
    a.str(W1, Addr::Off(X4, 0));
    let end = a.here();
    a.wfi();
    a.b(end);
    a.bind(text);
    a.asciz(ARM_TEXT);
    a.finish().map_err(|e| e.to_string())
}

/// The harts' program.
pub fn riscv64() -> Result<Vec<u8>, String> {
    let side = MAILBOX.base + WINDOW;
    let mut code = vec![
        0x0005_0663,                  // beqz a0, 12: the others wait
        i_type(0x105, 0, 0, 0, 0x73), // wfi
        0xffdf_f06f,                  // j -4
        lui(T1, side),
        i_type(STATUS as i32, T1, 2, T2, 0x03), // lw t2, STATUS(t1)
        i_type(0xff, T2, 7, T2, 0x13),          // andi t2, t2, 0xff
        0xfe03_8ce3,                            // beqz t2, -8: nothing has come
        0x0000_0297,                            // auipc t0, 0
        i_type(0, T0, 0, T0, 0x13),             // addi t0, t0, text (below)
        lui(A0, PL011.base),
        i_type(0, T0, 4, T2, 0x03),           // lbu t2, (t0)
        0x0003_8863,                          // beqz t2, 16: the end
        T2 << 20 | A0 << 15 | 0x23,           // sb t2, (a0)
        i_type(1, T0, 0, T0, 0x13),           // addi t0, t0, 1
        0xff1f_f06f,                          // j -16: the next character
        T1 << 20 | T1 << 15 | 3 << 12 | 0x23, // sd t1, DATA(t1)
        i_type(0x105, 0, 0, 0, 0x73),         // wfi
        0xffdf_f06f,                          // j -4
    ];
    let behind = (code.len() - 7) as i32 * 4;
    code[8] = i_type(behind, T0, 0, T0, 0x13);
    let mut bytes: Vec<u8> = code.iter().flat_map(|w| w.to_le_bytes()).collect();
    bytes.extend(HART_TEXT.bytes());
    bytes.push(0);
    Ok(bytes)
}
