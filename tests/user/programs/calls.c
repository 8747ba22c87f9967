// Calls that are run a lot, in the middle of which a load faults: the handler finds the return address and the saved registers of the place that
// was reached, counts them in, and sometimes changes where the call comes back to or what a saved register has. A timer's handler looks at the
// return address as well. Prints sums, and how often the timer found what cannot be.
//
// And a loop that calls, and goes on by an address in a register, where it must find what it has written to its registers.
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

extern char behind[], further[], leaf[], leaf_end[], faults[];
uint64_t outer(uint64_t n, uint64_t rounds, const void *nowhere);
uint64_t hops(uint64_t rounds);

#if defined(__aarch64__)
__asm__(".text\n.balign 64\n.globl behind, further, leaf, leaf_end, faults\n"
        "outer: stp x29, x30, [sp, -64]!\n mov x29, sp\n stp x19, x20, [sp, 16]\n stp x21, x22, [sp, 32]\n str x23, [sp, 48]\n"
        "mov x19, x0\n mov x20, x1\n mov x22, x2\n mov x21, 0\n mov x23, 1\n"
        "again: mov x0, x19\n bl leaf\n"
        "behind: add x21, x21, x0\n"
        "further: cinc x21, x21, eq\n add x23, x23, x21\n add x19, x19, 7\n subs x20, x20, 1\n b.ne again\n"
        "eor x0, x21, x23\n ldp x19, x20, [sp, 16]\n ldp x21, x22, [sp, 32]\n ldr x23, [sp, 48]\n ldp x29, x30, [sp], 64\n ret\n"
        "leaf: stp x29, x30, [sp, -16]!\n and x1, x0, 15\n cmp x1, 3\n b.ne 1f\n"
        "faults: ldr x1, [x22, x0]\n"
        "1: add x0, x0, x1\n cmp x0, 99\n ldp x29, x30, [sp], 16\n ret\n"
        "leaf_end:\n"
        "hops: stp x29, x30, [sp, -16]!\n adr x8, 3f\n mov x9, 1\n mov x10, 2\n mov x11, 3\n mov x12, 4\n mov x13, 5\n mov x14, 6\n"
        "2: bl 4f\n add x9, x9, x1\n add x10, x10, x9\n eor x11, x11, x10\n add x12, x12, x11\n add x13, x13, x12\n add x14, x14, x13\n br x8\n"
        "3: add x9, x9, x14\n eor x10, x10, x13\n add x11, x11, x12\n add x12, x12, x30\n sub x12, x12, x8\n eor x13, x13, x9\n"
        "add x14, x14, x10\n subs x0, x0, 1\n b.ne 2b\n"
        "eor x0, x9, x10\n eor x0, x0, x11\n eor x0, x0, x12\n eor x0, x0, x13\n eor x0, x0, x14\n ldp x29, x30, [sp], 16\n ret\n"
        "4: add x1, x0, 3\n ret\n");
#define PC(u) (u)->uc_mcontext.pc
#define LINK(u) (u)->uc_mcontext.regs[30]
#define SUM(u) (u)->uc_mcontext.regs[21]
#define OTHER(u) (u)->uc_mcontext.regs[23]
#define FLAGS(u) ((u)->uc_mcontext.pstate >> 28)
// The leaf loads its own return address again.
#define SAVED_LINK(u) (((uint64_t *)(u)->uc_mcontext.sp)[1])
#else
__asm__(".text\n.balign 64\n.globl behind, further, leaf, leaf_end, faults\n.option push\n.option norvc\n"
        "outer: addi sp, sp, -64\n sd ra, 0(sp)\n sd s2, 8(sp)\n sd s3, 16(sp)\n sd s4, 24(sp)\n sd s5, 32(sp)\n sd s6, 40(sp)\n"
        "mv s2, a0\n mv s3, a1\n mv s4, a2\n li s5, 0\n li s6, 1\n"
        "again: mv a0, s2\n jal ra, leaf\n"
        "behind: add s5, s5, a0\n"
        "further: xori s5, s5, 1\n add s6, s6, s5\n addi s2, s2, 7\n addi s3, s3, -1\n bnez s3, again\n"
        "xor a0, s5, s6\n ld ra, 0(sp)\n ld s2, 8(sp)\n ld s3, 16(sp)\n ld s4, 24(sp)\n ld s5, 32(sp)\n ld s6, 40(sp)\n addi sp, sp, 64\n ret\n"
        "leaf: addi sp, sp, -16\n sd ra, 8(sp)\n andi a1, a0, 15\n li a2, 3\n bne a1, a2, 1f\n add a2, s4, a0\n"
        "faults: ld a1, 0(a2)\n"
        "1: add a0, a0, a1\n ld ra, 8(sp)\n addi sp, sp, 16\n ret\n"
        "leaf_end:\n"
        "hops: addi sp, sp, -16\n sd ra, 8(sp)\n lla t2, 3f\n li t3, 1\n li t4, 2\n li t5, 3\n li t6, 4\n li a3, 5\n li a4, 6\n"
        "2: jal ra, 4f\n add t3, t3, a1\n add t4, t4, t3\n xor t5, t5, t4\n add t6, t6, t5\n add a3, a3, t6\n add a4, a4, a3\n jr t2\n"
        "3: add t3, t3, a4\n xor t4, t4, a3\n add t5, t5, t6\n add t6, t6, ra\n sub t6, t6, t2\n xor a3, a3, t3\n"
        "add a4, a4, t4\n addi a0, a0, -1\n bnez a0, 2b\n"
        "xor a0, t3, t4\n xor a0, a0, t5\n xor a0, a0, t6\n xor a0, a0, a3\n xor a0, a0, a4\n ld ra, 8(sp)\n addi sp, sp, 16\n ret\n"
        "4: addi a1, a0, 3\n ret\n.option pop\n");
#define PC(u) (u)->uc_mcontext.__gregs[REG_PC]
#define LINK(u) (u)->uc_mcontext.__gregs[REG_RA]
#define SUM(u) (u)->uc_mcontext.__gregs[21]
#define OTHER(u) (u)->uc_mcontext.__gregs[22]
#define FLAGS(u) 0
#define SAVED_LINK(u) (((uint64_t *)(u)->uc_mcontext.__gregs[REG_SP])[1])
#endif

static uint64_t seen, found;
static volatile uint64_t wrong, ticks;

static void fault(int signal, siginfo_t *info, void *context) {
    (void)signal;
    ucontext_t *u = context;
    if (PC(u) != (uintptr_t)faults) {
        fprintf(stderr, "a fault at %#llx\n", (unsigned long long)PC(u));
        _exit(3);
    }
    found += 1;
    seen = seen * 31 + (LINK(u) - (uintptr_t)behind) + 3 * SUM(u) + 5 * OTHER(u) + 7 * FLAGS(u) + (uintptr_t)info->si_addr;
    PC(u) += 4;
    if (found % 3 == 0)
        SAVED_LINK(u) = (uintptr_t)further;
    if (found % 5 == 0)
        SUM(u) += found;
    // The leaf loads this one again: nobody sees it.
    LINK(u) = 12345;
}

static void tick(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)info;
    ucontext_t *u = context;
    ticks += 1;
    uint64_t pc = PC(u), link = LINK(u);
    if (pc >= (uintptr_t)leaf && pc < (uintptr_t)leaf_end && link != (uintptr_t)behind && link != (uintptr_t)further && link != 12345)
        wrong += 1;
}

int main(int argc, char **argv) {
    uint64_t calls = argc > 1 ? strtoull(argv[1], 0, 0) : 1000;
    struct sigaction a = {.sa_sigaction = fault, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &a, 0);
    a.sa_sigaction = tick;
    a.sa_flags |= SA_RESTART;
    sigaction(SIGALRM, &a, 0);
    struct itimerval t = {{0, 1000}, {0, 1000}};
    setitimer(ITIMER_REAL, &t, 0);
    uint64_t sum = 0;
    // Below the first page is nothing.
    for (uint64_t i = 0; i < calls; i++)
        sum = sum * 17 + outer(i * 5, 60, (void *)8) + hops(100 + i % 64);
    t.it_value.tv_usec = 0;
    setitimer(ITIMER_REAL, &t, 0);
    printf("%016llx %016llx %llu wrong: %llu\n", (unsigned long long)sum, (unsigned long long)seen, (unsigned long long)found, (unsigned long long)wrong);
    return 0;
}
