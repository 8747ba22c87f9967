//! The demo guest: what runs when the user names neither kernel nor firmware. It is assembled here, at run time, as an arm64 Image: it says
//! what CPU and board it finds, and offers a prompt on the UART until it is told to power off.
//!
//! It runs at EL1 with the MMU off and interrupts masked: WFI ends with the UART's interrupt all the same, which is acknowledged by hand.

use emu_a64_asm::*;

const UART: u64 = 0x0900_0000;
const RTC: u64 = 0x0901_0000;
const GICD: u64 = 0x0800_0000;
const GICR: u64 = 0x080a_0000;
/// Room behind the code for stack and line buffer.
const BSS: u32 = 0x8000;
/// Longest line.
const LINE_MAX: u32 = 63;
/// Names in a line of the feature list.
const NAMES_A_LINE: u32 = 9;

const PSCI_SYSTEM_OFF: u64 = 0x8400_0008;
const PSCI_SYSTEM_RESET: u64 = 0x8400_0009;

/// Saved over calls: UART base, line buffer.
const UART_BASE: Reg = X20;
const LINE: Reg = X21;

/// The ID registers that the feature list looks at.
const ID_REGISTERS: &[SysReg] = &[
    SysReg::ID_AA64ISAR0_EL1,
    SysReg::ID_AA64ISAR1_EL1,
    SysReg::ID_AA64ISAR2_EL1,
    SysReg::ID_AA64PFR0_EL1,
    SysReg::ID_AA64PFR1_EL1,
    SysReg::ID_AA64MMFR0_EL1,
    SysReg::ID_AA64MMFR1_EL1,
    SysReg::ID_AA64MMFR2_EL1,
    SysReg::ID_AA64ZFR0_EL1,
    SysReg::ID_AA64SMFR0_EL1,
    SysReg::ID_AA64DFR0_EL1,
];

/// Features: name, index in the list above, lowest bit of the 4-bit field, smallest value. 15 always means that it is not there.
const FEATURES: &[(&str, u8, u8, u8)] = &[
    ("FP", 3, 16, 0),
    ("AdvSIMD", 3, 20, 0),
    ("FP16", 3, 16, 1),
    ("AES", 0, 4, 1),
    ("PMULL", 0, 4, 2),
    ("SHA1", 0, 8, 1),
    ("SHA256", 0, 12, 1),
    ("SHA512", 0, 12, 2),
    ("SHA3", 0, 32, 1),
    ("SM3", 0, 36, 1),
    ("SM4", 0, 40, 1),
    ("CRC32", 0, 16, 1),
    ("LSE", 0, 20, 2),
    ("LSE128", 0, 20, 3),
    ("LSE2", 7, 32, 1),
    ("RDM", 0, 28, 1),
    ("DotProd", 0, 44, 1),
    ("FHM", 0, 48, 1),
    ("FlagM", 0, 52, 1),
    ("FlagM2", 0, 52, 2),
    ("RNG", 0, 60, 1),
    ("TLBIOS", 0, 56, 1),
    ("TLBIRANGE", 0, 56, 2),
    ("DPB", 1, 0, 1),
    ("DPB2", 1, 0, 2),
    ("PAuth/QARMA5", 1, 4, 1),
    ("PAuth/IMPDEF", 1, 8, 1),
    ("PAuth/QARMA3", 2, 12, 1),
    ("JSCVT", 1, 12, 1),
    ("FCMA", 1, 16, 1),
    ("LRCPC", 1, 20, 1),
    ("LRCPC2", 1, 20, 2),
    ("LRCPC3", 1, 20, 3),
    ("FRINTTS", 1, 32, 1),
    ("SB", 1, 36, 1),
    ("SPECRES", 1, 40, 1),
    ("BF16", 1, 44, 1),
    ("DGH", 1, 48, 1),
    ("I8MM", 1, 52, 1),
    ("XS", 1, 56, 1),
    ("WFxT", 2, 0, 2),
    ("MOPS", 2, 16, 1),
    ("HBC", 2, 20, 1),
    ("CSSC", 2, 52, 1),
    ("RAS", 3, 28, 1),
    ("DIT", 3, 48, 1),
    ("BTI", 4, 0, 1),
    ("SSBS", 4, 4, 1),
    ("MTE", 4, 8, 1),
    ("GCS", 4, 44, 1),
    ("HAFDBS", 6, 0, 1),
    ("VHE", 6, 8, 1),
    ("PAN", 6, 20, 1),
    ("UAO", 7, 4, 1),
    ("LVA", 7, 16, 1),
    ("E0PD", 7, 60, 1),
    ("SVE", 3, 32, 1),
    ("SVE2", 8, 0, 1),
    ("SVE2p1", 8, 0, 2),
    ("SME", 4, 24, 1),
    ("SME2", 4, 24, 2),
    ("PMUv3", 10, 8, 1),
];

/// Routines of the guest.
struct Guest {
    a: Asm,
    strings: Vec<(Label, String)>,
    puts: Label,
    putc: Label,
    puthex: Label,
    putdec: Label,
    getc: Label,
}

impl Guest {
    fn text(&mut self, rd: Reg, text: &str) {
        let label = self.a.label();
        self.strings.push((label, text.into()));
        self.a.adr(rd, label);
    }
    /// Prints a fixed text. Like every call here it may change X0 to X17.
    fn print(&mut self, text: &str) {
        self.text(X0, text);
        self.a.bl(self.puts);
    }
    fn print_hex(&mut self, register: SysReg) {
        self.a.mrs(X0, register);
        self.a.bl(self.puthex);
    }
    fn enter(&mut self, label: Label) {
        self.a.bind(label);
        self.a.stp(X29, X30, Addr::Pre(SP, -16));
    }
    fn leave(&mut self) {
        self.a.ldp(X29, X30, Addr::Post(SP, 16));
        self.a.ret();
    }

    /// Output and input of characters and numbers.
    fn console(&mut self) {
        let (puts, putc, puthex, putdec, getc) = (self.puts, self.putc, self.puthex, self.putdec, self.getc);
        let a = &mut self.a;
        // putc: X0.
        a.bind(putc);
        let full = a.here();
        a.ldr(W1, Addr::Off(UART_BASE, 0x18));
        a.tbnz(W1, 5, full); // UARTFR.TXFF
        a.str(W0, Addr::Off(UART_BASE, 0));
        a.ret();
        // puts: X0 points to text that ends with zero; a line feed becomes carriage return and line feed.
        self.enter(puts);
        let a = &mut self.a;
        a.mov(X2, X0);
        let (next, plain, done) = (a.here(), a.label(), a.label());
        a.ldrb(W3, Addr::Post(X2, 1));
        a.cbz(W3, done);
        a.cmp_imm(W3, 10);
        a.b_cond(Cond::Ne, plain);
        a.mov_imm(X0, 13);
        a.bl(putc);
        a.bind(plain);
        a.mov(W0, W3);
        a.bl(putc);
        a.b(next);
        a.bind(done);
        self.leave();
        // puthex: X0, "0x" and digits without leading zeroes.
        self.enter(puthex);
        let a = &mut self.a;
        a.mov(X2, X0);
        a.mov_imm(X0, b'0'.into());
        a.bl(putc);
        a.mov_imm(X0, b'x'.into());
        a.bl(putc);
        a.orr_imm(X3, X2, 1);
        a.clz(X3, X3);
        a.lsr(X3, X3, 2);
        a.mov_imm(X4, 15);
        a.sub(X3, X4, X3, 0); // number of digits, less one
        let (digit, small) = (a.here(), a.label());
        a.lsl(X4, X3, 2);
        a.lsrv(X0, X2, X4);
        a.and_imm(X0, X0, 15);
        a.add_imm(X0, X0, b'0'.into());
        a.cmp_imm(X0, b'9'.into());
        a.b_cond(Cond::Ls, small);
        a.add_imm(X0, X0, u32::from(b'a' - b'9' - 1));
        a.bind(small);
        a.bl(putc);
        a.subs_imm(X3, X3, 1);
        a.b_cond(Cond::Pl, digit);
        self.leave();
        // putdec: X0.
        self.enter(putdec);
        let a = &mut self.a;
        a.sub_imm(SP, SP, 32);
        a.add_imm(X2, SP, 31);
        a.strb(WZR, Addr::Off(X2, 0));
        a.mov_imm(X3, 10);
        let digit = a.here();
        a.udiv(X4, X0, X3);
        a.msub(X5, X4, X3, X0);
        a.add_imm(X5, X5, b'0'.into());
        a.strb(W5, Addr::Pre(X2, -1));
        a.mov(X0, X4);
        a.cbnz(X0, digit);
        a.mov(X0, X2);
        a.bl(puts);
        a.add_imm(SP, SP, 32);
        self.leave();
        // getc: X0; waits for the UART's interrupt.
        let a = &mut self.a;
        a.bind(getc);
        let (again, wait) = (a.here(), a.label());
        a.ldr(W0, Addr::Off(UART_BASE, 0x18));
        a.tbnz(W0, 4, wait); // UARTFR.RXFE
        a.ldr(W0, Addr::Off(UART_BASE, 0));
        a.and_imm(W0, W0, 0xff);
        a.ret();
        a.bind(wait);
        a.wfi();
        a.mrs(X0, SysReg::ICC_IAR1_EL1);
        a.msr(SysReg::ICC_EOIR1_EL1, X0);
        a.b(again);
    }

    fn store(&mut self, address: u64, value: u64) {
        self.a.mov_imm(X0, address);
        self.a.mov_imm(W1, value);
        self.a.str(W1, Addr::Off(X0, 0));
    }

    /// Stack, vectors, UART, GIC: interrupt 33 is the UART's.
    fn set_up(&mut self, vectors: Label, end: Label) {
        let a = &mut self.a;
        a.adr(X0, end);
        a.add_imm(X1, X0, BSS / 2);
        a.mov_sp(SP, X1);
        a.mov(LINE, X0);
        a.mov_imm(UART_BASE, UART);
        a.adr(X0, vectors);
        a.msr(SysReg::VBAR_EL1, X0);
        a.isb();
        self.store(UART + 0x2c, 0x70); // UARTLCR_H: 8 bits, FIFOs
        self.store(UART + 0x30, 0x301); // UARTCR: on
        self.store(UART + 0x38, 0x50); // UARTIMSC: RX, RT
        self.store(GICR + 0x14, 0); // GICR_WAKER
        self.store(GICD, 0x12); // GICD_CTLR: ARE, EnableGrp1
        self.store(GICD + 0x84, 2); // GICD_IGROUPR1
        self.store(GICD + 0x6108, 0); // GICD_IROUTER33
        self.store(GICD + 0x104, 2); // GICD_ISENABLER1
        let a = &mut self.a;
        for (register, value) in [(SysReg::ICC_SRE_EL1, 7), (SysReg::ICC_PMR_EL1, 0xf8), (SysReg::ICC_IGRPEN1_EL1, 1)] {
            a.mov_imm(X0, value);
            a.msr(register, X0);
            a.isb();
        }
    }

    /// "info": everything it can find out.
    fn info(&mut self, label: Label, ram_bytes: u64) {
        self.enter(label);
        self.print("CPU       MIDR_EL1 ");
        self.print_hex(SysReg::MIDR_EL1);
        self.print(", MPIDR_EL1 ");
        self.print_hex(SysReg::MPIDR_EL1);
        self.print(", at EL");
        self.a.mrs(X0, SysReg::CurrentEL);
        self.a.lsr(X0, X0, 2);
        self.a.bl(self.putdec);
        self.print(", 1 of ");
        self.count_cpus();
        self.a.bl(self.putdec);
        self.print("\nfeatures  ");
        self.features();
        self.print(&format!("\nmemory    {} MiB at {:#x}\nGIC       version ", ram_bytes >> 20, crate::options::RAM_BASE));
        let a = &mut self.a;
        a.mov_imm(X1, GICD);
        a.mov_imm(X2, 0xffe8); // GICD_PIDR2, bits 7 to 4
        a.ldr(W0, Addr::Index(X1, X2));
        a.ubfx(W0, W0, 4, 4);
        a.bl(self.putdec);
        self.print(", ");
        let a = &mut self.a;
        a.mov_imm(X1, GICD);
        a.ldr(W0, Addr::Off(X1, 4)); // GICD_TYPER.ITLinesNumber
        a.and_imm(W0, W0, 31);
        a.add_imm(W0, W0, 1);
        a.lsl(W0, W0, 5);
        a.bl(self.putdec);
        self.print(" interrupts\ntimer     ");
        self.a.mrs(X0, SysReg::CNTFRQ_EL0);
        self.a.bl(self.putdec);
        self.print(" Hz\n");
        self.leave();
    }

    /// X0: number of redistributors, by walking to the last one.
    fn count_cpus(&mut self) {
        let a = &mut self.a;
        a.mov_imm(X1, GICR);
        a.mov_imm(X0, 0);
        let next = a.here();
        a.ldr(W2, Addr::Off(X1, 8)); // GICR_TYPER
        a.add_imm(X0, X0, 1);
        a.add_imm(X1, X1, 0x2_0000);
        a.tbz(W2, 4, next); // Last
    }

    fn features(&mut self) {
        let table = self.a.label();
        let (next, skip, done, after) = (self.a.label(), self.a.label(), self.a.label(), self.a.label());
        // X22 the row, X23 names left in this line, X24 the ID registers on the stack.
        let room = (ID_REGISTERS.len() as u32 * 8).next_multiple_of(16);
        let a = &mut self.a;
        a.sub_imm(SP, SP, room);
        a.mov_sp(X24, SP);
        for (i, register) in ID_REGISTERS.iter().enumerate() {
            a.mrs(X0, *register);
            a.str(X0, Addr::Off(X24, 8 * i as i32));
        }
        a.adr(X22, table);
        a.mov_imm(X23, NAMES_A_LINE.into());
        a.bind(next);
        a.ldrb(W0, Addr::Off(X22, 3)); // length of the row, 0 at the end
        a.cbz(W0, done);
        a.ldrb(W1, Addr::Off(X22, 0));
        a.ldr(X1, Addr::Scaled(X24, X1));
        a.ldrb(W2, Addr::Off(X22, 1));
        a.lsrv(X1, X1, X2);
        a.and_imm(X1, X1, 15);
        a.ldrb(W2, Addr::Off(X22, 2));
        a.cmp(X1, X2);
        a.b_cond(Cond::Lo, skip);
        a.cmp_imm(X1, 15);
        a.b_cond(Cond::Eq, skip);
        let same_line = a.label();
        a.cbnz(X23, same_line);
        self.print("\n          ");
        self.a.mov_imm(X23, NAMES_A_LINE.into());
        self.a.bind(same_line);
        let a = &mut self.a;
        a.sub_imm(X23, X23, 1);
        a.add_imm(X0, X22, 4);
        a.bl(self.puts);
        a.mov_imm(X0, b' '.into());
        a.bl(self.putc);
        a.bind(skip);
        a.ldrb(W0, Addr::Off(X22, 3));
        a.add(X22, X22, X0, 0);
        a.b(next);
        a.bind(table);
        for (name, register, shift, least) in FEATURES {
            let len = (4 + name.len() + 1) as u8;
            a.data(&[*register, *shift, *least, len]);
            a.asciz(name);
        }
        a.data(&[0; 4]);
        a.align(4);
        a.bind(done);
        a.add_imm(SP, SP, room);
        a.b(after);
        a.bind(after);
    }

    fn time(&mut self, label: Label) {
        self.enter(label);
        self.print("up ");
        let a = &mut self.a;
        a.mrs(X0, SysReg::CNTVCT_EL0);
        a.mrs(X1, SysReg::CNTFRQ_EL0);
        a.udiv(X22, X0, X1);
        a.msub(X23, X22, X1, X0);
        a.mov_imm(X2, 1000);
        a.mul(X23, X23, X2);
        a.udiv(X23, X23, X1);
        a.mov(X0, X22);
        a.bl(self.putdec);
        self.print(".");
        // Three digits: 1000 plus the fraction, without the first digit.
        let a = &mut self.a;
        for divisor in [100u64, 10, 1] {
            a.mov_imm(X1, divisor);
            a.udiv(X0, X23, X1);
            a.mov_imm(X1, 10);
            a.udiv(X2, X0, X1);
            a.msub(X0, X2, X1, X0);
            a.add_imm(X0, X0, b'0'.into());
            a.bl(self.putc);
        }
        self.print(" s; the clock says ");
        let a = &mut self.a;
        a.mov_imm(X1, RTC);
        a.ldr(W0, Addr::Off(X1, 0));
        a.bl(self.putdec);
        self.print(" s since 1970\n");
        self.leave();
    }

    /// Reads a line into the buffer, with echo and backspace, and ends it with zero.
    fn read_line(&mut self, label: Label) {
        self.enter(label);
        let (next, done, rub, end) = (self.a.label(), self.a.label(), self.a.label(), self.a.label());
        let a = &mut self.a;
        a.mov_imm(X22, 0);
        a.bind(next);
        a.bl(self.getc);
        for c in [13, 10] {
            a.cmp_imm(W0, c);
            a.b_cond(Cond::Eq, done);
        }
        for c in [8, 127] {
            a.cmp_imm(W0, c);
            a.b_cond(Cond::Eq, rub);
        }
        a.cmp_imm(W0, b' '.into());
        a.b_cond(Cond::Lo, next);
        a.cmp_imm(X22, LINE_MAX);
        a.b_cond(Cond::Hs, next);
        a.strb(W0, Addr::Index(LINE, X22));
        a.add_imm(X22, X22, 1);
        a.bl(self.putc);
        a.b(next);
        a.bind(rub);
        a.cbz(X22, next);
        a.sub_imm(X22, X22, 1);
        self.print("\u{8} \u{8}");
        self.a.b(next);
        self.a.bind(done);
        self.a.strb(WZR, Addr::Index(LINE, X22));
        self.print("\n");
        self.a.b(end);
        self.a.bind(end);
        self.leave();
    }

    /// Branches to `to` if the line is `word`.
    fn command(&mut self, word: &str, to: Label) {
        self.text(X1, word);
        let a = &mut self.a;
        a.mov(X0, LINE);
        let (next, other) = (a.here(), a.label());
        a.ldrb(W2, Addr::Post(X0, 1));
        a.ldrb(W3, Addr::Post(X1, 1));
        a.cmp(W2, W3);
        a.b_cond(Cond::Ne, other);
        a.cbnz(W2, next);
        a.b(to);
        a.bind(other);
    }

    fn psci(&mut self, function: u64) {
        self.a.mov_imm(X0, function);
        self.a.hvc(0);
    }
}

/// The guest as an arm64 Image.
pub fn image(ram_bytes: u64) -> Result<Vec<u8>, String> {
    let mut a = Asm::new(0);
    let (start, vectors, end, trap) = (a.label(), a.label(), a.label(), a.label());
    a.b(start);
    // The vector table at a multiple of 2 KiB of the Image, whose header lies in front of this code.
    a.org(0x800 - image::HEADER_LEN);
    a.bind(vectors);
    for i in 1..=16 {
        a.b(trap);
        a.org(0x800 - image::HEADER_LEN + 0x80 * i);
    }
    let (puts, putc, puthex, putdec, getc) = (a.label(), a.label(), a.label(), a.label(), a.label());
    let mut g = Guest { a, strings: Vec::new(), puts, putc, puthex, putdec, getc };
    let (info, time, read_line) = (g.a.label(), g.a.label(), g.a.label());
    g.console();
    g.info(info, ram_bytes);
    g.time(time);
    g.read_line(read_line);

    g.a.bind(trap);
    g.print("\nunexpected exception: ESR_EL1 ");
    g.print_hex(SysReg::ESR_EL1);
    g.print(", ELR_EL1 ");
    g.print_hex(SysReg::ELR_EL1);
    g.print(", FAR_EL1 ");
    g.print_hex(SysReg::FAR_EL1);
    g.print("\n");
    g.psci(PSCI_SYSTEM_OFF);
    let stop = g.a.here();
    g.a.wfi();
    g.a.b(stop);

    g.a.bind(start);
    g.set_up(vectors, end);
    g.print("\nThis is the demo guest of machine virt; give -kernel FILE to run something else.\n");
    g.a.bl(info);
    g.print("Type help for a list of commands.\n");
    let prompt = g.a.here();
    g.print("emu> ");
    g.a.bl(read_line);
    let commands = ["", "help", "info", "time", "off", "reset"].map(|word| (word, g.a.label()));
    for (word, label) in commands {
        g.command(word, label);
    }
    g.print("There is no such command; type help.\n");
    g.a.b(prompt);
    for (word, label) in commands {
        g.a.bind(label);
        match word {
            "help" => g.print(
                "help   this list\ninfo   the CPU and the board\ntime   time since start, and the real-time clock\n\
                 off    power off by PSCI\nreset  reset by PSCI\n",
            ),
            "info" => g.a.bl(info),
            "time" => g.a.bl(time),
            "off" => {
                g.print("Powering off.\n");
                g.psci(PSCI_SYSTEM_OFF);
            }
            "reset" => {
                g.print("Resetting.\n");
                g.psci(PSCI_SYSTEM_RESET);
            }
            _ => (),
        }
        g.a.b(prompt);
    }
    for (label, text) in std::mem::take(&mut g.strings) {
        g.a.bind(label);
        g.a.asciz(&text);
    }
    g.a.align(16);
    g.a.bind(end);
    let code = g.a.finish().map_err(|e| format!("the demo guest does not assemble: {e}"))?;
    // The header has 64 bytes, so what is aligned in the code is aligned in memory.
    Ok(image::wrap(&code, 0, BSS.into()))
}
