// A state machine whose steps are comparisons in a row: a place that looks at condition flags is come to from several others, each with flags of
// its own, also by a jump from behind. What follows it may fault, and then a signal's handler is shown those flags. Then the same by tables, the
// cases of which look at the flags of the comparison with the last of them.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <ucontext.h>

static uint64_t seen, faults;

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    (void)signal, (void)info;
    seen = seen * 31 + (c->uc_mcontext.pstate >> 28) * 16 + c->uc_mcontext.regs[5];
    faults++;
    c->uc_mcontext.pc += 4;
}

// Bytes, their number, an address that can be read, one that cannot.
uint64_t tree(const uint8_t *bytes, uint64_t number, const void *good, const void *bad);
asm(".balign 64\n"
    "tree:\n"
    "    mov x9, #0\n"
    "1:  cbz x1, 9f\n"
    "    sub x1, x1, #1\n"
    "    ldrb w4, [x0], #1\n"
    "    and w5, w4, #15\n"
    "    tst w4, #128\n"
    "    csel x6, x3, x2, ne\n"
    "    cmp w5, #4\n"
    "    b.eq 3f\n"
    "2:  b.hi 4f\n"
    "    ldr w7, [x6]\n"
    "    mrs x8, nzcv\n"
    "    add x9, x9, x8, lsr #28\n"
    "    cmp w5, #2\n"
    "    b.eq 5f\n"
    "    add x9, x9, x9, lsl #1\n"
    "    b 1b\n"
    "3:  add x9, x9, #1\n"
    "    subs w5, w5, w4\n"
    "    b 2b\n"
    "4:  eor x9, x9, #0xff\n"
    "    ldr w7, [x6]\n"
    "    mrs x8, nzcv\n"
    "    add x9, x9, x8, lsr #27\n"
    "    cmp w5, #9\n"
    "    b.ne 6f\n"
    "    adds w10, w5, w4, lsl #27\n"
    "    mov w5, #0\n"
    "    b.ne 2b\n"
    "    b 6f\n"
    "5:  ror x9, x9, #63\n"
    "    cmp w4, w5, lsl #1\n"
    "    mov w5, #1\n"
    "    b.cs 2b\n"
    "    b 1b\n"
    "6:  add x9, x9, x4\n"
    "    b 1b\n"
    "9:  mov x0, x9\n"
    "    ret\n");

// Cases of four instructions each, for numbers up to 7, and 0 to 5 of what is left of larger ones.
#define CASE                                                                                                                                         \
    "    mrs x8, nzcv\n"                                                                                                                             \
    "    add x9, x9, x8, lsr #28\n"                                                                                                                  \
    "    ror x9, x9, #61\n"                                                                                                                          \
    "    b 1b\n"
asm(".balign 64\n"
    "table:\n"
    "    mov x9, #0\n"
    "    adr x10, 2f\n"
    "1:  cbz x1, 9f\n"
    "    sub x1, x1, #1\n"
    "    ldrb w4, [x0], #1\n"
    "    and w5, w4, #15\n"
    "    cmp w5, #7\n"
    "    b.hi 3f\n"
    "    add x11, x10, x5, lsl #4\n"
    "    br x11\n"
    "2:\n" CASE CASE CASE CASE CASE CASE CASE CASE
    "3:  sub x19, x5, #8\n"
    "    tst w4, #64\n"
    "    csel x19, x19, xzr, ne\n"
    "    cmp x19, #0\n"
    "    b.hi 4f\n"
    "    br x10\n"
    "4:  cmp x19, #5\n"
    "    b.hi 5f\n"
    "    add x11, x10, x19, lsl #4\n"
    "    br x11\n"
    "5:  add x9, x9, x4\n"
    "    b 1b\n"
    "9:  mov x0, x9\n"
    "    ret\n");

int main(int count, char **arguments) {
    uint64_t number = count > 1 ? strtoull(arguments[1], 0, 10) : 1000, random = 1;
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages + 4096, 4096, PROT_NONE);
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    uint8_t *bytes = malloc(number);
    for (uint64_t i = 0; i < number; i++) {
        random = random * 6364136223846793005u + 1442695040888963407u;
        // A fault at one of 64 on average.
        bytes[i] = (random >> 40 & 127) | (random >> 50 & 63 ? 0 : 128);
    }
    uint64_t sum = tree(bytes, number, pages, pages + 4096);
    printf("%lx, %lu faults %lx\n", sum, faults, seen);
    // (It changes x19, which the compiler may have something in.)
    asm volatile("mov x0, %1\n\tmov x1, %2\n\tbl table\n\tmov %0, x0" : "=&r"(sum) : "r"(bytes), "r"(number)
                 : "x0", "x1", "x4", "x5", "x8", "x9", "x10", "x11", "x19", "x30", "cc", "memory");
    printf("%lx\n", sum);
    return 0;
}
