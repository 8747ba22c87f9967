/* Instructions that lie across pages: whose second half is changed, replaced, missing; that branch, call, load and fault. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>

#define PAGE 4096
static unsigned char *code;
static sigjmp_buf back;
static volatile uintptr_t fault_at, fault_pc;

static void handler(int s, siginfo_t *info, void *context) {
    (void)s;
    fault_at = (uintptr_t)info->si_addr;
    fault_pc = ((ucontext_t *)context)->uc_mcontext.__gregs[0];
    siglongjmp(back, 1);
}

static void fail(const char *what, long a, long b) {
    printf("%s: %ld, not %ld\n", what, a, b);
    exit(1);
}

static void put(unsigned offset, uint32_t word, unsigned bytes) {
    memcpy(code + offset, &word, bytes);
}

static void flush(void) {
    __builtin___clear_cache((char *)code, (char *)code + 3 * PAGE);
}

typedef long function(long, long);

int main(void) {
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, 0);
    code = mmap(0, 3 * PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    const unsigned at = PAGE - 2;
    function *f = (function *)(code + at - 4);
    /* c.nop, c.nop, addi a0, a0, n, c.jr ra. */
    put(at - 4, 0x00010001, 4);
    put(at + 4, 0x8082, 2);
    for (int round = 0; round < 300; round++) {
        int n = round * 7 % 2000;
        put(at, (uint32_t)n << 20 | 0x00050513, 4);
        flush();
        for (int i = 0; i < 200; i++)
            if (f(i, 0) != i + n) fail("addi", f(i, 0), i + n);
        /* Only the second half changes. */
        put(at + 2, (n + 1) << 4 | 5, 2);
        flush();
        for (int i = 0; i < 20; i++)
            if (f(i, 0) != i + n + 1) fail("second half", f(i, 0), i + n + 1);
    }
    /* A branch across: bltu a0, a1, +8; c.li a0, 1; c.jr ra; c.li a0, 2; c.jr ra. */
    put(at, 0x00b56463, 4);
    put(at + 4, 0x80824505, 4);
    put(at + 8, 0x80824509, 4);
    flush();
    for (int i = 0; i < 30000; i++)
        if (f(i, 15000) != (i < 15000 ? 2 : 1)) fail("bltu", f(i, 15000), i < 15000 ? 2 : 1);
    /* A call across, by way of t0: jalr t0, a1, 0; addi a0, a0, 100; c.jr ra. There: addi a0, a0, 1; c.jr t0. */
    put(at, 0x000582e7, 4);
    put(at + 4, 0x06450513, 4);
    put(at + 8, 0x8082, 2);
    put(64, 0x00150513, 4);
    put(68, 0x8282, 2);
    flush();
    for (long i = 0; i < 30000; i++)
        if (f(i, (long)code + 64) != i + 101) fail("jalr", f(i, (long)code + 64), i + 101);
    /* A load across: ld a0, 8(a1); c.jr ra. */
    put(at, 0x0085b503, 4);
    put(at + 4, 0x8082, 2);
    flush();
    long cells[2] = {5, 77};
    for (int i = 0; i < 1000; i++)
        if (f(0, (long)cells) != 77) fail("ld", f(0, (long)cells), 77);
    if (!sigsetjmp(back, 1)) f(0, 0x10), fail("no fault", 0, 1);
    if (fault_at != 0x18 || fault_pc != (uintptr_t)code + at) fail("fault of ld", fault_at, 0x18);
    /* The second page may not be executed: the address is that of the second half, the program counter that of the instruction. */
    for (int i = 0; i < 3; i++) {
        mprotect(code + PAGE, PAGE, i == 1 ? PROT_NONE : PROT_READ | PROT_WRITE);
        if (!sigsetjmp(back, 1)) f(0, (long)cells), fail("no fault of the second half", 0, 1);
        if (fault_at != (uintptr_t)code + PAGE) fail("address of the second half", fault_at - (uintptr_t)code, PAGE);
        if (fault_pc != (uintptr_t)code + at) fail("program counter", fault_pc - (uintptr_t)code, at);
        mprotect(code + PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC);
        if (f(0, (long)cells) != 77) fail("ld again", f(0, (long)cells), 77);
    }
    /* Another page in its place: addi a0, a1, 9. */
    put(at, 0x00958513, 4);
    flush();
    if (f(0, 1) != 10) fail("addi 9", f(0, 1), 10);
    mmap(code + PAGE, PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    put(at + 2, 0x00a5, 2);
    put(at + 4, 0x8082, 2);
    flush();
    if (f(0, 1) != 11) fail("addi 10", f(0, 1), 11);
    puts("straddle ok");
    return 0;
}
