// Accesses at addresses that no program has, negative ones and those just beyond the end of its address space: each is a SIGSEGV with its address, and none reaches anything of the
// emulator's. A line for each kind with the number of those that did not fault so. The first access of a process is one before any fault has been
// seen; `first` as an argument makes the process end behind it.
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

static sigjmp_buf back;
static volatile uint64_t seen;
static volatile int code;

static void handler(int s, siginfo_t *i, void *c) {
    (void)s, (void)c;
    seen = (uint64_t)i->si_addr;
    code = i->si_code;
    siglongjmp(back, 1);
}

// 1 if the access did not fault, or with another address.
static int wrong(uint64_t at, int store) {
    seen = 0;
    if (sigsetjmp(back, 0) == 0) {
        if (store) {
            *(volatile uint64_t *)at = 0x55;
        } else {
            *(volatile uint64_t *)at;
        }
        return 1;
    }
#ifdef __aarch64__
    // The top byte is a tag, which a fault's address need not show.
    return seen << 8 != at << 8;
#else
    return seen != at;
#endif
}

int main(int argc, char **argv) {
    struct sigaction a = { .sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER };
    sigaction(SIGSEGV, &a, 0);
    if (argc > 2 && !strcmp(argv[1], "first")) {
        uint64_t at;
        sscanf(argv[2], "%li", (int64_t *)&at);
        printf("%d\n", wrong(at, 0));
        return 0;
    }
    int n[5] = { 0 };
    for (uint64_t i = 1; i < 1024; i++) {
        n[0] += wrong(-(i << 30), 0);
        n[1] += wrong(-(i << 30), 1);
        n[2] += wrong(-(i << 37), 1);
        n[3] += wrong(-(i << 54), 1);
    }
    for (int bit = 13; bit < 64; bit++) {
        n[3] += wrong(-(1ull << bit), 1) + wrong(-(1ull << bit) - 4096, 1);
    }
    for (uint64_t i = 0; i < 1024; i++) {
        n[4] += wrong((1ull << 46) + (i << 22) + 0x5000, 0);
    }
    printf("loads %d stores %d far %d farther %d beyond %d\n", n[0], n[1], n[2], n[3], n[4]);
}
