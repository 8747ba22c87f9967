/* memcpy, memmove and memset of the C library, which uses the architecture's own instructions for them where the CPU has such, against bytes one by
   one: all overlaps, page ends, pages that fault, code that is written over. */
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE 4096
static uint64_t state;
static uint64_t next(void) {
    state ^= state << 13, state ^= state >> 7, state ^= state << 17;
    return state;
}

static sigjmp_buf back;
static volatile uintptr_t fault_at;
static void handler(int s, siginfo_t *info, void *context) {
    (void)s, (void)context;
    fault_at = (uintptr_t)info->si_addr;
    siglongjmp(back, 1);
}

static void fail(const char *what, unsigned long a, unsigned long b, unsigned long n) {
    printf("%s: to %#lx, from %#lx, %lu bytes, seed %s\n", what, a, b, n, getenv("SEED"));
    exit(1);
}

int main(int count, char **arguments) {
    int moves = count > 1 ? atoi(arguments[1]) : 1000;
    state = strtoull(getenv("SEED"), 0, 0) | 1;
    enum { SIZE = 6 * PAGE };
    unsigned char *at = mmap(0, SIZE + PAGE, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *model = malloc(SIZE);
    mprotect(at + SIZE, PAGE, PROT_NONE);
    for (int i = 0; i < SIZE; i++) model[i] = at[i] = next();
    for (int i = 0; i < moves; i++) {
        size_t n = next() % (i % 4 == 0 ? 3 * PAGE : i % 4 == 1 ? 64 : 700), to = next() % (SIZE - n + 1), from = i % 3 ? to + next() % 600 : next() % SIZE;
        if (from + n > SIZE) from = SIZE - n;
        int value = next() & 255;
        switch (next() % 3) {
        case 0:
            memmove(at + to, at + from, n);
            if (to < from) for (size_t j = 0; j < n; j++) model[to + j] = model[from + j];
            else for (size_t j = n; j-- > 0;) model[to + j] = model[from + j];
            break;
        case 1:
            if (to + n > from && from + n > to) continue;
            memcpy(at + to, at + from, n);
            for (size_t j = 0; j < n; j++) model[to + j] = model[from + j];
            break;
        default:
            memset(at + to, value, n);
            for (size_t j = 0; j < n; j++) model[to + j] = value;
        }
        for (int j = 0; j < SIZE; j++)
            if (at[j] != model[j]) fail("differs", to, from, n);
    }
    /* Across the end: the fault is at the page's first byte, for the source and for the destination. */
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    sigaction(SIGSEGV, &action, 0);
    for (int i = 0; i < 200; i++) {
        volatile size_t before = 1 + next() % 2000;
        size_t n = before + 2100;
        if (sigsetjmp(back, 1)) {
            if (fault_at < (uintptr_t)at + SIZE || fault_at >= (uintptr_t)at + SIZE + PAGE) fail("wrong place", fault_at - (uintptr_t)at, SIZE, before);
            continue;
        }
        if (i % 3 == 0) memcpy(at, at + SIZE - before, n);
        else if (i % 3 == 1) memmove(at + SIZE - before, at, n);
        else memset(at + SIZE - before, 1, n);
        fail("no fault", i, before, n);
    }
#ifdef __aarch64__
    /* mov w0, #n; ret, copied over code that runs. */
    uint32_t *code = (uint32_t *)(at + 100);
    for (uint32_t n = 0; n < (unsigned)moves; n++) {
        uint32_t words[2] = {0x52800000 | n << 5, 0xd65f03c0};
        memcpy(code, words, sizeof words);
        __builtin___clear_cache((char *)code, (char *)(code + 2));
        uint32_t got = ((uint32_t(*)(void))code)();
        if (got != n) fail("code", got, n, 8);
    }
#endif
    puts("moves ok");
    return 0;
}
