// Loops of accesses that must be aligned, or lie within 16 bytes: hot ones, whose addresses are aligned in nearly all rounds. A line each: a hash of
// what was loaded, of memory, and of the registers and flags that a handler of SIGBUS saw.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <ucontext.h>

enum { ROUNDS = 100000, AREA = 4096 };

// x0: addresses, two a round; x1: rounds. They come in x2 and x3, x4 is a sum, x5 counts, x6 and x7 are free. A function changes x2
// in one round of 128. (What is misaligned in each second round has fewer of them.)
#define LOOPS(LOOP) \
    LOOP(ordered, ROUNDS, STAY, "stlr x5, [x2]; ldar x6, [x3]; add x4, x4, x6; stlr x4, [x3]; ldar x7, [x2]; add x4, x4, x7") \
    LOOP(words, ROUNDS, STAY, "stlr w5, [x2]; ldar x6, [x2]; stlrh w4, [x3]; ldar w7, [x3]; add x4, x4, x6; eor x4, x4, x7, ror #9") \
    LOOP(same, ROUNDS, RELOAD, "stlr x3, [x2]; ldar x2, [x2]; ldar x6, [x2]; add x4, x4, x6; stlr x4, [x3]; ldar x3, [x3]; eor x4, x4, x3, ror #3") \
    LOOP(walk, ROUNDS, RELOAD, "ldar x6, [x2]; add x2, x2, #8; ldar x7, [x2]; add x4, x4, x6; add x2, x2, #4; ldar w6, [x2]; eor x4, x4, x7; add x4, x4, x6; add x2, x2, #4; ldar x6, [x2]; add x4, x4, x6") \
    LOOP(uneven, ROUNDS / 50, RELOAD, "ldar x6, [x2]; add x2, x2, #4; ldar x7, [x2]; add x4, x4, x6; eor x4, x4, x7; ldar w6, [x2]; add x4, x4, x6") \
    LOOP(moving, ROUNDS, STAY, "ldar x6, [x2]; stlr x4, [x2]; add x4, x4, x6; and x7, x5, #0x3fe; sub x7, x7, #76; cmp x4, x5; cbnz x7, 3f; eor x2, x2, #1; 3: ldar w6, [x2]; cinc x4, x4, hi; add x4, x4, x6") \
    LOOP(compare, ROUNDS, RELOAD, "cmp x5, x4; ldar x6, [x2]; cset w7, lo; ldar x3, [x2]; adc x4, x6, x3; b.eq 3f; add x4, x4, x7; 3:") \
    LOOP(called, ROUNDS, RELOAD, "ldar x6, [x2]; add x4, x4, x6; bl 4f; ldar x6, [x2]; eor x4, x4, x6") LOOP(called_so, ROUNDS, RELOAD, "adr x7, 4f; ldar x6, [x2]; add x4, x4, x6; blr x7; ldar x6, [x2]; eor x4, x4, x6") \
    LOOP(added, ROUNDS, STAY, "ldadd x5, x6, [x2]; ldeoral x4, x7, [x2]; swp x6, x4, [x3]; add x4, x4, x7") \
    LOOP(exchanged, ROUNDS, STAY, "ldar x6, [x2]; cas x6, x5, [x2]; add x4, x4, x6; mov x7, x3; casal x7, x4, [x3]; eor x4, x4, x7") \
    LOOP(exclusive, ROUNDS, STAY, "ldxr x6, [x2]; add x6, x6, x5; stxr w7, x6, [x2]; add x4, x4, x6; ldaxr x6, [x3]; stlxr w7, x4, [x3]; eor x4, x4, x6")

#define STAY ""
#define RELOAD "ldp x2, x3, [x9]; "
// The loop goes round with flags of its own.
#define CODE(name, rounds, again, text) \
    "loop_" #name ": str x30, [sp, #-16]!; mov x9, x0; mov x10, x1; mov x4, #0; mov x5, #0; mov x6, #0; mov x7, #0\n" \
    "1: ldp x2, x3, [x9], #16; " text "; add x5, x5, #1; cmp x5, x10; b.ne 1b; mov x0, x4; ldr x30, [sp], #16; ret\n" \
    "still_" #name ": str x30, [sp, #-16]!; mov x9, x0; mov x10, x1; mov x4, #0; mov x5, #0; mov x6, #0; mov x7, #0; ldp x2, x3, [x9]\n" \
    "2: " text "; " again "add x5, x5, #1; cmp x5, x10; b.ne 2b; mov x0, x4; ldr x30, [sp], #16; ret\n"
#define CHANGE "4: and x6, x5, #0x7f; cmp x6, #77; cinc x2, x2, eq; ret\n"
#define DECLARE(name, rounds, again, text) uint64_t loop_##name(uint64_t *, uint64_t), still_##name(uint64_t *, uint64_t);
#define ROW(name, rounds, again, text) { #name, rounds, loop_##name, still_##name },

LOOPS(DECLARE)
asm(".arch armv8.2-a\n.text\n.balign 16\n" LOOPS(CODE) CHANGE);
static const struct {
    const char *name;
    uint64_t rounds;
    uint64_t (*loop)(uint64_t *, uint64_t), (*still)(uint64_t *, uint64_t);
} loops[] = { LOOPS(ROW) };

static _Alignas(4096) unsigned char area[AREA];
static uint64_t addresses[ROUNDS][2], faults, seen;

static uint64_t mix(uint64_t h, uint64_t v) { return ((h ^ v) * 0x9e3779b97f4a7c15) ^ (h >> 29); }

static void on_fault(int signal, siginfo_t *info, void *context) {
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
    faults++;
    seen = mix(seen, (uint64_t)info->si_addr - (uint64_t)area);
    for (int r = 2; r < 8; r++) {
        // Addresses are not the same in two runs.
        uint64_t v = m->regs[r], at = v - (uint64_t)area;
        seen = mix(seen, at < AREA ? at : v);
    }
    seen = mix(seen, m->pstate & 0xf0000000);
    m->pc += 4;
}

int main(void) {
    struct sigaction action = { .sa_sigaction = on_fault, .sa_flags = SA_SIGINFO };
    sigaction(SIGBUS, &action, 0);
    for (size_t i = 0; i < sizeof loops / sizeof *loops; i++) {
        for (int still = 0; still < 2; still++) {
            uint64_t rng = 88172645463325252, h = 0;
            faults = seen = 0;
            for (size_t b = 0; b < AREA; b++) area[b] = b * 37 + (b >> 8);
            uint64_t rounds = loops[i].rounds;
            for (int turn = 0; turn < (still ? 40 : 3); turn++) {
                // Aligned to 8 bytes, but one in so many; that one to anything.
                uint64_t odd = still ? (turn < 2 ? 0 : 3) : (turn < 2 ? 20000 : 50);
                for (int r = 0; r < (still ? 1 : (int)rounds); r++) {
                    for (int n = 0; n < 2; n++) {
                        rng ^= rng << 13, rng ^= rng >> 7, rng ^= rng << 17;
                        uint64_t at = 64 + (rng >> 20) % (AREA - 512);
                        addresses[r][n] = (uint64_t)area + (odd && (rng >> 40) % odd == 0 ? at : at & ~7ull);
                    }
                }
                h = mix(h, still ? loops[i].still(addresses[0], turn < 2 ? rounds : 50) : loops[i].loop(addresses[0], turn < 2 ? rounds : rounds / 10));
            }
            for (size_t b = 0; b < AREA; b++) h = mix(h, area[b]);
            printf("%s %s %016lx %lu faults %016lx\n", loops[i].name, still ? "one address" : "addresses", h, faults, seen);
        }
    }
    return 0;
}
