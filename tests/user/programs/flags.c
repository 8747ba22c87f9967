// The condition flags that a signal's handler is shown when the second half of a pair faults: those of the comparison before, although the
// first half was loaded over an operand of it, and the next instruction compares anew.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/mman.h>
#include <ucontext.h>

static uint64_t flags;

static void handler(int signal, siginfo_t *info, void *context) {
    ucontext_t *c = context;
    (void)signal, (void)info;
    flags = c->uc_mcontext.pstate >> 28;
    c->uc_mcontext.pc += 4;
}

// cmp, ldp, cmp: with each second register, pinned or not.
#define TRY(second)                                                                                                                                  \
    do {                                                                                                                                             \
        register uint64_t x0 asm("x0") = 7, x1 asm("x1") = with, x2 asm("x2") = at;                                                                  \
        asm volatile("cmp x0, x1\n\tldp x0, " second ", [x2]\n\tcmp x2, x2\n\t" : "+r"(x0) : "r"(x1), "r"(x2) : second, "cc", "memory");           \
        printf("%s with %lu: %lx\n", second, with, flags);                                                                                           \
    } while (0)

int main(void) {
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mprotect(pages + 4096, 4096, PROT_NONE);
    *(uint64_t *)(pages + 4088) = 12345;
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    uint64_t at = (uint64_t)pages + 4088;
    for (uint64_t with = 6; with < 9; with++) {
        TRY("x3");
        TRY("x9");
        TRY("x20");
        TRY("x27");
    }
    return 0;
}
