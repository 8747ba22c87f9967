// Every kind of access at every kind of address: what it leaves in registers and memory, and what a fault's handler sees. One line each.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <ucontext.h>
#include <unistd.h>

struct context {
    uint64_t x[8];
    __uint128_t v[4];
};

// x1 is the address, x2, x3 and q0 to q3 are operands. Registers are written before and behind the access so that their precise values show.
#define OPS(OP) \
    OP(ldrb, "ldrb w0, [x1]") OP(ldrsb, "ldrsb x0, [x1]") OP(ldrh, "ldrh w0, [x1]") OP(ldrsh, "ldrsh w0, [x1]") OP(ldrw, "ldr w0, [x1]") \
    OP(ldrsw, "ldrsw x0, [x1]") OP(ldrx, "ldr x0, [x1]") OP(ldr_self, "ldr x1, [x1]") OP(ldp, "ldp x0, x5, [x1]") OP(ldp_self, "ldp x5, x1, [x1]") \
    OP(ldp_self2, "ldp x1, x5, [x1]") OP(ldpw, "ldp w0, w5, [x1]") OP(ldpsw, "ldpsw x0, x5, [x1]") OP(ldr_post, "ldr x0, [x1], #8") \
    OP(ldr_pre, "ldr x0, [x1, #8]!") OP(ldp_post, "ldp x0, x5, [x1], #16") OP(ldp_pre, "ldp x0, x5, [x1, #-16]!") OP(ldr_index, "ldr x0, [x1, x4, lsl #3]") \
    OP(ldr_wide, "ldr x0, [x1, #32760]") OP(ldur, "ldur x0, [x1, #-8]") OP(ldrs, "ldr s0, [x1]") OP(ldrd, "ldr d0, [x1]") OP(ldrq, "ldr q0, [x1]") \
    OP(ldrhv, "ldr h0, [x1]") OP(ldrbv, "ldr b0, [x1]") OP(ldpq, "ldp q0, q1, [x1]") OP(ldpd, "ldp d0, d1, [x1]") OP(ld1, "ld1 {v0.16b, v1.16b, v2.16b, v3.16b}, [x1]") \
    OP(ld1_post, "ld1 {v0.16b, v1.16b}, [x1], #32") OP(ld2, "ld2 {v0.4s, v1.4s}, [x1]") OP(ld4, "ld4 {v0.8h, v1.8h, v2.8h, v3.8h}, [x1]") OP(ld1r, "ld1r {v0.2d}, [x1]") \
    OP(ld1lane, "ld1 {v0.s}[2], [x1]") OP(ldar, "ldar x0, [x1]") OP(ldarb, "ldarb w0, [x1]") OP(ldnp, "ldnp x0, x5, [x1]") OP(prfm, "prfm pldl1keep, [x1]") \
    OP(strb, "strb w2, [x1]") OP(strh, "strh w2, [x1]") OP(strw, "str w2, [x1]") OP(strx, "str x2, [x1]") OP(strzero, "str xzr, [x1]") \
    OP(stp, "stp x2, x3, [x1]") OP(stpw, "stp w2, w3, [x1]") OP(str_post, "str x2, [x1], #8") OP(str_pre, "str x2, [x1, #-8]!") OP(stp_pre, "stp x2, x3, [x1, #-16]!") \
    OP(stp_post, "stp x2, x3, [x1], #16") OP(stur, "stur w2, [x1, #-3]") OP(strs, "str s2, [x1]") OP(strd, "str d2, [x1]") OP(strq, "str q2, [x1]") OP(strhv, "str h2, [x1]") \
    OP(stpq, "stp q2, q3, [x1]") OP(st1, "st1 {v0.16b, v1.16b, v2.16b, v3.16b}, [x1]") OP(st2, "st2 {v0.4s, v1.4s}, [x1]") OP(st1lane, "st1 {v2.d}[1], [x1]") \
    OP(stlr, "stlr x2, [x1]") OP(stlrb, "stlrb w2, [x1]") OP(zva, "dc zva, x1") \
    OP(ldxr, "ldxr x0, [x1]; stxr w5, x2, [x1]") OP(ldxrb, "ldxrb w0, [x1]; stxrb w5, w2, [x1]") OP(ldaxrw, "ldaxr w0, [x1]; stlxr w5, w2, [x1]") \
    OP(ldxrh, "ldxrh w0, [x1]; stxrh w5, w2, [x1]") OP(ldxp, "ldxp x0, x5, [x1]; stxp w6, x2, x3, [x1]") OP(ldxpw, "ldxp w0, w5, [x1]; stxp w6, w2, w3, [x1]") \
    OP(stxr_alone, "clrex; stxr w5, x2, [x1]") OP(ldxr_clrex, "ldxr x0, [x1]; clrex; stxr w5, x2, [x1]") OP(ldxr_other, "ldxr x0, [x1]; str x3, [x1]; stxr w5, x2, [x1]") \
    OP(ldaddb, "ldaddb w2, w0, [x1]") OP(ldaddh, "ldaddh w2, w0, [x1]") OP(ldaddw, "ldadd w2, w0, [x1]") OP(ldaddx, "ldaddal x2, x0, [x1]") OP(ldclrw, "ldclr w2, w0, [x1]") \
    OP(ldclrx, "ldclr x2, x0, [x1]") OP(ldeorw, "ldeor w2, w0, [x1]") OP(ldeorx, "ldeora x2, x0, [x1]") OP(ldsetw, "ldset w2, w0, [x1]") OP(ldsetx, "ldsetl x2, x0, [x1]") \
    OP(ldsetb, "ldsetb w2, w0, [x1]") OP(ldsmaxx, "ldsmax x2, x0, [x1]") OP(ldsminw, "ldsmin w2, w0, [x1]") OP(ldumaxh, "ldumaxh w2, w0, [x1]") OP(lduminx, "ldumin x2, x0, [x1]") \
    OP(staddx, "stadd x2, [x1]") OP(stclrw, "stclr w2, [x1]") OP(swpb, "swpb w2, w0, [x1]") OP(swph, "swph w2, w0, [x1]") OP(swpw, "swp w2, w0, [x1]") OP(swpx, "swpal x2, x0, [x1]") \
    OP(swp_same, "swp x2, x2, [x1]") OP(ldadd_same, "ldadd x2, x2, [x1]") OP(ldadd_address, "ldadd x2, x1, [x1]") OP(ldadd_as_operand, "ldadd x1, x0, [x1]") \
    OP(casb, "casb w0, w2, [x1]") OP(cash, "cash w0, w2, [x1]") OP(casw, "cas w0, w2, [x1]") OP(casx, "casal x0, x2, [x1]") OP(cas_same, "cas x2, x2, [x1]") \
    OP(cas_hit, "mov x0, x6; cas x0, x2, [x1]") OP(casw_hit, "mov w0, w6; cas w0, w2, [x1]") OP(casp, "mov x6, #0; mov x7, #0; casp x6, x7, x2, x3, [x1]") \
    OP(casp_hit, "casp x6, x7, x2, x3, [x1]") OP(caspw, "casp w6, w7, w2, w3, [x1]") \
    OP(two, "ldr x0, [x1]; add x0, x0, #1; str x0, [x1]") OP(flags, "cmp x2, x3; ldr x0, [x1]; cset w5, lo; csetm x6, ne") \
    OP(later, "add x2, x2, #5; eor x3, x3, x2; str x2, [x1]; add x2, x2, #7; str x3, [x1, #8]; mov x3, #9")

#define CODE(name, text) \
    "op_" #name ": stp x29, x30, [sp, #-16]!; mov x9, x0; ldp q0, q1, [x9, #64]; ldp q2, q3, [x9, #96]; ldp x2, x3, [x9, #16]; ldp x4, x5, [x9, #32];" \
    "ldp x6, x7, [x9, #48]; ldp x0, x1, [x9]; " text "\n" \
    "stp x0, x1, [x9]; stp x2, x3, [x9, #16]; stp x4, x5, [x9, #32]; stp x6, x7, [x9, #48]; stp q0, q1, [x9, #64]; stp q2, q3, [x9, #96];" \
    "ldp x29, x30, [sp], #16; ret\n"
#define DECLARE(name, text) void op_##name(struct context *);
#define ROW(name, text) { #name, op_##name },

OPS(DECLARE)
asm(".arch armv8.2-a\n.text\n.balign 16\n" OPS(CODE));
static const struct { const char *name; void (*run)(struct context *); } ops[] = { OPS(ROW) };

static struct context *running;
static struct { int faults, code, signal; uint64_t address, x[8]; } seen;

static void on_fault(int signal, siginfo_t *info, void *context) {
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
    seen.faults++;
    if (seen.faults == 1) {
        seen.signal = signal;
        seen.code = info->si_code;
        seen.address = (uint64_t)info->si_addr;
        memcpy(seen.x, m->regs, sizeof seen.x);
    }
    m->pc += 4;
}

static uint64_t hash(uint64_t h, const void *p, size_t n) {
    for (const unsigned char *b = p; n--; b++) h = (h ^ *b) * 0x100000001b3;
    return h;
}

static unsigned char *area, *code;
enum { PAGE = 4096 };

static void fill(unsigned char *p, size_t n) {
    for (size_t i = 0; i < n; i++) p[i] = i * 37 + (i >> 8);
}

static void one(const char *where, unsigned char *memory, uint64_t address, int readable) {
    uint64_t base = (uint64_t)memory & 0xffffffffffff;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        struct context c = { .x = { 0x1111111122222222, address, 0x123456789abcdef0, 0x0fedcba987654321, 2, 0x5555, 0, 0 } };
        if (readable) {
            fill(memory - 512, 1024);
            memcpy(&c.x[6], (void *)(((uint64_t)memory & ~0ull)), 16);
        }
        for (int v = 0; v < 4; v++) c.v[v] = ((__uint128_t)(0x0102030405060708 * (v + 1)) << 64) | (0xf0e0d0c0b0a09080 + v);
        uint64_t x6 = c.x[6], x7 = c.x[7];
        memset(&seen, 0, sizeof seen);
        running = &c;
        ops[i].run(&c);
        uint64_t h = 0xcbf29ce484222325;
        for (int r = 0; r < 8; r++) {
            // Addresses are not the same in two runs.
            uint64_t v = c.x[r];
            if ((v & 0xffffffffffff) - base + 70000 < 140000) v -= base;
            h = hash(h, &v, 8);
        }
        h = hash(h, c.v, sizeof c.v);
        printf("%s %s %016lx", where, ops[i].name, (unsigned long)h);
        if (readable) printf(" %016lx", (unsigned long)hash(0xcbf29ce484222325, memory - 512, 1024));
        if (seen.faults) {
            uint64_t f = 0xcbf29ce484222325;
            for (int r = 0; r < 8; r++) {
                uint64_t v = seen.x[r];
                if ((v & 0xffffffffffff) - base + 70000 < 140000) v -= base;
                f = hash(f, &v, 8);
            }
            printf(" faults %d signal %d code %d at %ld regs %016lx%s", seen.faults, seen.signal, seen.code, (long)((seen.address & 0xffffffffffff) - base), (unsigned long)f,
                   seen.x[6] == x6 && seen.x[7] == x7 ? "" : " changed");
        }
        puts("");
    }
}

int main(void) {
    stack_t alternate = { .ss_sp = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), .ss_size = 65536 };
    sigaltstack(&alternate, 0);
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO | SA_ONSTACK };
    sigaction(SIGSEGV, &action, 0);
    sigaction(SIGBUS, &action, 0);
    area = mmap((void *)0x10000000, 64 * PAGE, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    // 0-31 there, 32 not there, 40 read only, 44 no access, 50 there.
    munmap(area + 32 * PAGE, PAGE);
    mprotect(area + 40 * PAGE, PAGE, 1);
    mprotect(area + 44 * PAGE, PAGE, 0);
    unsigned char *good = area + 8 * PAGE + 512;
    one("aligned", good, (uint64_t)good, 1);
    one("unaligned", good, (uint64_t)good + 1, 1);
    one("across", area + 9 * PAGE, (uint64_t)area + 9 * PAGE - 3, 1);
    one("missing", area + 32 * PAGE, (uint64_t)area + 32 * PAGE + 64, 0);
    one("readonly", area + 40 * PAGE, (uint64_t)area + 40 * PAGE + 64, 0);
    one("noaccess", area + 44 * PAGE, (uint64_t)area + 44 * PAGE + 64, 0);
    one("null", 0, 0, 0);
    one("far", 0, 0x0000700000000000, 0);
    one("outside", 0, 0x00ff800000000000 >> 8 << 8, 0);
    // Code and data in one page: the page's code runs before each access.
    code = mmap((void *)0x20000000, 16 * PAGE, 7, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    uint32_t *function = (uint32_t *)(code + 2048);
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof ops / sizeof *ops; i++) {
        fill(code, 1024);
        function[0] = 0x52800000 | (uint32_t)i << 5; // mov w0, #i
        function[1] = 0xd65f03c0;                    // ret
        __builtin___clear_cache((char *)function, (char *)function + 8);
        struct context c = { .x = { 1, (uint64_t)code + 512, 0x123456789abcdef0, 0x0fedcba987654321, 2, 3, 4, 5 } };
        uint64_t before = ((uint64_t(*)(void))function)();
        memset(&seen, 0, sizeof seen);
        ops[i].run(&c);
        uint64_t after = ((uint64_t(*)(void))function)();
        sum = hash(sum, code, 1024);
        printf("code %s %lu %lu %d %016lx %016lx\n", ops[i].name, (unsigned long)before, (unsigned long)after, seen.faults, (unsigned long)sum,
               (unsigned long)(c.x[0] ^ c.x[5]));
    }
    // From here on the top byte is a tag.
    one("tagged", good, (uint64_t)good | 0xa5ull << 56, 1);
    one("tagged-unaligned", good, ((uint64_t)good + 5) | 0x01ull << 56, 1);
    one("tagged-missing", area + 32 * PAGE, (uint64_t)(area + 32 * PAGE + 64) | 0xffull << 56, 0);
    one("untagged-again", good, (uint64_t)good, 1);
    return 0;
}
