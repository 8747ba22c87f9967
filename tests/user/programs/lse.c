// Atomics of FEAT_LSE of each size against what C says they do; and on a page that may only be read: they fault, with their registers as they
// were, and memory too.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

static uint64_t seed = 7, wrong, faults;
static uint64_t regs[3];

static uint64_t next(void) {
    seed = seed * 6364136223846793005 + 1442695040888963407;
    // Edges are more likely than they would be.
    uint64_t v = seed >> 3;
    return v % 5 == 0 ? (v >> 8) % 3 - 1 : v % 5 == 1 ? 1ull << (v >> 8) % 64 : v;
}

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    (void)signal, (void)info;
    faults++;
    for (int i = 0; i < 3; i++) regs[i] = c->uc_mcontext.regs[i];
    c->uc_mcontext.pc += 4;
}

enum { ADD, CLR, SET, XOR, SMAX, SMIN, UMAX, UMIN, SWAP, CAS };

static uint64_t model(int op, int bits, uint64_t old, uint64_t v, uint64_t expected) {
    int64_t a = (int64_t)(old << (64 - bits)) >> (64 - bits), b = (int64_t)(v << (64 - bits)) >> (64 - bits);
    uint64_t mask = ~0ull >> (64 - bits), u = old & mask, w = v & mask;
    switch (op) {
    case ADD: return (u + w) & mask;
    case CLR: return u & ~w;
    case SET: return u | w;
    case XOR: return u ^ w;
    case SMAX: return a > b ? u : w;
    case SMIN: return a < b ? u : w;
    case UMAX: return u > w ? u : w;
    case UMIN: return u < w ? u : w;
    case SWAP: return w;
    default: return u == (expected & mask) ? w : u;
    }
}

static char *readable;

#define ONE(op, text, bits)                                                                                                                          \
    for (int n = 0; n < 500; n++) {                                                                                                                  \
        uint64_t cell[2] = {next(), next()}, before = cell[0], other = cell[1], mask = ~0ull >> (64 - bits);                                        \
        register uint64_t x0 asm("x0") = n % 2 ? before : next(), x1 asm("x1") = next(), x2 asm("x2") = (uint64_t)cell;                             \
        uint64_t expected = x0, v = x1;                                                                                                              \
        asm volatile(".arch armv8.1-a\n\t" text : "+r"(x0), "+r"(x1) : "r"(x2) : "memory", "cc");                                                   \
        uint64_t want = (before & ~mask) | model(op, bits, before, v, expected);                                                                    \
        wrong += cell[0] != want || cell[1] != other || x0 != (before & mask) || x1 != v;                                                           \
        if (n < 2) {                                                                                                                                 \
            uint64_t had = *(uint64_t *)readable, now = faults;                                                                                      \
            register uint64_t y0 asm("x0") = n ? had : ~had, y1 asm("x1") = v, y2 asm("x2") = (uint64_t)readable;                                   \
            uint64_t first = y0;                                                                                                                     \
            asm volatile(".arch armv8.1-a\n\t" text : "+r"(y0), "+r"(y1) : "r"(y2) : "memory", "cc");                                               \
            wrong += y0 != first || y1 != v || regs[0] != first || regs[1] != v || faults != now + 1 || *(uint64_t *)readable != had;               \
        }                                                                                                                                            \
    }

#define RMW(op, name)                                                                                                                                \
    ONE(op, name "b w1, w0, [x2]", 8)                                                                                                             \
    ONE(op, name "h w1, w0, [x2]", 16)                                                                                                            \
    ONE(op, name " w1, w0, [x2]", 32)                                                                                                             \
    ONE(op, name " x1, x0, [x2]", 64)                                                                                                             \
    printf("%s: %lu wrong\n", name, wrong);

int main(void) {
    char *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(uint64_t *)page = 0x0102030405060708;
    mprotect(page, 4096, PROT_READ);
    readable = page;
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    RMW(ADD, "ldaddal")
    RMW(CLR, "ldclr")
    RMW(SET, "ldseta")
    RMW(XOR, "ldeorl")
    RMW(SMAX, "ldsmaxal")
    RMW(SMIN, "ldsmin")
    RMW(UMAX, "ldumaxa")
    RMW(UMIN, "lduminl")
    RMW(SWAP, "swpal")
    ONE(CAS, "casalb w0, w1, [x2]", 8)
    ONE(CAS, "cash w0, w1, [x2]", 16)
    ONE(CAS, "casa w0, w1, [x2]", 32)
    ONE(CAS, "casl x0, x1, [x2]", 64)
    printf("cas: %lu wrong, %lu faults\n", wrong, faults);
    return 0;
}
