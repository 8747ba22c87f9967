// Every kind of access at every kind of address: what it leaves in registers and memory, and what a fault's handler sees. One line each.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

struct context {
    uint64_t a[8];
    uint64_t f[4];
};

// a1 is the address, a2, a3, fa0 to fa3 are operands. Registers are written before and behind the access so that their precise values show.
#define ATOMICS(OP, kind) \
    OP(amo##kind##w, "amo" #kind ".w a0, a2, (a1)") OP(amo##kind##d, "amo" #kind ".d a0, a2, (a1)") OP(amo##kind##wo, "amo" #kind ".w.aqrl a0, a2, (a1)") \
    OP(amo##kind##same, "amo" #kind ".d a2, a2, (a1)") OP(amo##kind##none, "amo" #kind ".d zero, a2, (a1)") OP(amo##kind##address, "amo" #kind ".d a1, a1, (a1)")
#define OPS(OP) \
    OP(lb, "lb a0, 0(a1)") OP(lbu, "lbu a0, 0(a1)") OP(lh, "lh a0, 0(a1)") OP(lhu, "lhu a0, 0(a1)") OP(lw, "lw a0, 0(a1)") OP(lwu, "lwu a0, 0(a1)") \
    OP(ld, "ld a0, 0(a1)") OP(ld_self, "ld a1, 0(a1)") OP(ld_wide, "ld a0, 2040(a1)") OP(ld_back, "ld a0, -8(a1)") OP(ld_none, "ld zero, 0(a1)") \
    OP(c_lw, ".option rvc; c.lw a0, 4(a1); .option norvc") OP(c_ld, ".option rvc; c.ld a0, 8(a1); .option norvc") OP(flw, "flw fa0, 0(a1)") OP(fld, "fld fa0, 0(a1)") \
    OP(c_fld, ".option rvc; c.fld fa0, 8(a1); .option norvc") OP(two_loads, "ld a0, 0(a1); ld a5, 8(a1)") \
    OP(sb, "sb a2, 0(a1)") OP(sh, "sh a2, 0(a1)") OP(sw, "sw a2, 0(a1)") OP(sd, "sd a2, 0(a1)") OP(sd_zero, "sd zero, 0(a1)") OP(sd_wide, "sd a2, -16(a1)") \
    OP(c_sw, ".option rvc; c.sw a2, 4(a1); .option norvc") OP(c_sd, ".option rvc; c.sd a2, 8(a1); .option norvc") OP(fsw, "fsw fa2, 0(a1)") OP(fsd, "fsd fa2, 0(a1)") \
    OP(c_fsd, ".option rvc; c.fsd fa2, 8(a1); .option norvc") OP(two_stores, "sd a2, 0(a1); sd a3, 8(a1)") \
    OP(lrw, "lr.w a0, (a1); sc.w a5, a2, (a1)") OP(lrd, "lr.d.aq a0, (a1); sc.d.rl a5, a2, (a1)") OP(lrd_other, "lr.d a0, (a1); sd a3, 8(a1); ld a4, 0(a1)") \
    ATOMICS(OP, swap) ATOMICS(OP, add) ATOMICS(OP, xor) ATOMICS(OP, and) ATOMICS(OP, or) ATOMICS(OP, min) ATOMICS(OP, max) ATOMICS(OP, minu) ATOMICS(OP, maxu) \
    OP(prefetch, "prefetch.r 0(a1)") \
    OP(later, "addi a2, a2, 5; xor a3, a3, a2; sd a2, 0(a1); addi a2, a2, 7; sd a3, 8(a1); li a3, 9")

#define CODE(name, text) \
    "op_" #name ": mv t0, a0; fld fa0, 64(t0); fld fa1, 72(t0); fld fa2, 80(t0); fld fa3, 88(t0); ld a0, 0(t0); ld a1, 8(t0); ld a2, 16(t0); ld a3, 24(t0);" \
    "ld a4, 32(t0); ld a5, 40(t0); ld a6, 48(t0); ld a7, 56(t0); " text "\n" \
    "sd a0, 0(t0); sd a1, 8(t0); sd a2, 16(t0); sd a3, 24(t0); sd a4, 32(t0); sd a5, 40(t0); sd a6, 48(t0); sd a7, 56(t0);" \
    "fsd fa0, 64(t0); fsd fa1, 72(t0); fsd fa2, 80(t0); fsd fa3, 88(t0); ret\n"
#define DECLARE(name, text) void op_##name(struct context *);
#define ROW(name, text) { #name, op_##name },

OPS(DECLARE)
asm(".option push\n.option norvc\n.option arch, +zicbop\n.text\n.balign 16\n" OPS(CODE) ".option pop\n");
static const struct { const char *name; void (*run)(struct context *); } ops[] = { OPS(ROW) };

static struct { int faults, code, signal; uint64_t address, a[8]; } seen;

static void on_fault(int signal, siginfo_t *info, void *context) {
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
    seen.faults++;
    if (seen.faults == 1) {
        seen.signal = signal;
        seen.code = info->si_code;
        seen.address = (uint64_t)info->si_addr;
        memcpy(seen.a, &m->__gregs[10], sizeof seen.a);
    }
    m->__gregs[0] += (*(uint16_t *)m->__gregs[0] & 3) == 3 ? 4 : 2;
}

static uint64_t hash(uint64_t h, const void *p, size_t n) {
    for (const unsigned char *b = p; n--; b++) h = (h ^ *b) * 0x100000001b3;
    return h;
}

enum { PAGE = 4096 };

static void fill(unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = i * 37 + (i >> 8);
}

// Addresses are those of fixed mappings, so registers are the same in every run.
static void one(const char *where, uint64_t address, int readable) {
    unsigned char *memory = (unsigned char *)(address & ~7ul);
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct context c = { .a = { 0x1111111122222222, address, 0x123456789abcdef0, 0x0fedcba987654321, 2, 0x5555, 6, 7 } };
        if (readable) fill(memory - 512, 4096);
        for (int v = 0; v < 4; v++) c.f[v] = 0xf0e0d0c0b0a09080 + v;
        memset(&seen, 0, sizeof seen);
        ops[i].run(&c);
        printf("%s %s %016lx", where, ops[i].name, hash(0xcbf29ce484222325, &c, sizeof c));
        if (readable) printf(" %016lx", hash(0xcbf29ce484222325, memory - 512, 4096));
        if (seen.faults)
            printf(" faults %d signal %d code %d at %lx regs %016lx", seen.faults, seen.signal, seen.code, seen.address, hash(0xcbf29ce484222325, seen.a, sizeof seen.a));
        puts("");
    }
}

int main(void) {
    stack_t alternate = { .ss_sp = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 65536 };
    sigaltstack(&alternate, 0);
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    int all[] = { SIGSEGV, SIGBUS, SIGILL };
    for (int i = 0; i < 3; i++) sigaction(all[i], &action, 0);
    const int fixed = MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS;
    unsigned char *area = mmap((void *)0x10000000, 64 * PAGE, 3, fixed, -1, 0);
    // 32 not there, 40 read only, 44 no access.
    munmap(area + 32 * PAGE, PAGE);
    mprotect(area + 40 * PAGE, PAGE, 1);
    mprotect(area + 44 * PAGE, PAGE, 0);
    uint64_t at = (uint64_t)area;
    one("aligned", at + 8 * PAGE + 512, 1);
    one("unaligned", at + 8 * PAGE + 513, 1);
    one("half", at + 8 * PAGE + 516, 1);
    one("across", at + 9 * PAGE - 3, 1);
    one("missing", at + 32 * PAGE + 64, 0);
    one("readonly", at + 40 * PAGE + 64, 0);
    one("noaccess", at + 44 * PAGE + 64, 0);
    one("null", 0, 0);
    one("high", 0x0000003f00000000, 0);
    // Code and data in one page: the page's code runs before each access and behind it.
    unsigned char *code = mmap((void *)0x20000000, 16 * PAGE, 7, fixed, -1, 0);
    uint32_t *function = (uint32_t *)(code + 2048);
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        fill(code, 1024);
        function[0] = 0x513 | (uint32_t)i << 20; // li a0, i
        function[1] = 0x8067;                    // ret
        __builtin___clear_cache((char *)function, (char *)function + 8);
        struct context c = { .a = { 1, (uint64_t)code + 512, 0x123456789abcdef0, 0x0fedcba987654321, 2, 3, 4, 5 } };
        uint64_t before = ((uint64_t(*)(void))function)();
        memset(&seen, 0, sizeof seen);
        ops[i].run(&c);
        uint64_t after = ((uint64_t(*)(void))function)();
        sum = hash(sum, code, 1024);
        printf("code %s %lu %lu %d %016lx %016lx\n", ops[i].name, before, after, seen.faults, sum, c.a[0] ^ c.a[5]);
    }
    return 0;
}
