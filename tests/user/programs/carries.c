// Carries that go over loads, stores and multiplications, some of which are not what they seem: pages that a handler opens first, a page with
// code that was run, addresses with tags. The sums are made once more from halves of words, which have no carries.
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

static unsigned faults;

static void handler(int signal, siginfo_t *info, void *context) {
    (void)signal, (void)context;
    faults++;
    mprotect((void *)((uintptr_t)info->si_addr & ~4095ul), 4096, PROT_READ | PROT_WRITE);
}

static uint64_t state;
static uint64_t next(void) {
    state = state * 6364136223846793005u + 1442695040888963407u;
    uint64_t v = state >> 32 | state << 32;
    switch (state >> 60 & 3) {
    case 0: return v;
    case 1: return -1ul;
    case 2: return v & 1;
    default: return -(v & 3);
    }
}

// x + y + *carry, of 64 bits, by halves.
static uint64_t sum(uint64_t x, uint64_t y, uint64_t *carry) {
    uint64_t low = (x & 0xffffffff) + (y & 0xffffffff) + *carry, high = (x >> 32) + (y >> 32) + (low >> 32);
    *carry = high >> 32;
    return high << 32 | (low & 0xffffffff);
}
static uint64_t high_half(uint64_t x, uint64_t y) {
    uint64_t a = x >> 32, b = x & 0xffffffff, c = y >> 32, d = y & 0xffffffff;
    uint64_t middle = (b * d >> 32) + (a * d & 0xffffffff) + (b * c & 0xffffffff);
    return a * c + (a * d >> 32) + (b * c >> 32) + (middle >> 32);
}

struct numbers { uint64_t a[4], b[4], loaded, high, rest; };

__attribute__((noinline)) static void chain(struct numbers *n, const uint64_t *from, uint64_t *to) {
    asm volatile("ldp x4, x5, [%0]\n\tldp x6, x7, [%0, #16]\n\tldp x8, x9, [%0, #32]\n\tldp x10, x11, [%0, #48]\n\t"
                 "adds x4, x4, x8\n\tldr x14, [%1]\n\tadcs x5, x5, x9\n\tmul x15, x14, x8\n\tumulh x16, x14, x8\n\tstr x15, [%2]\n\t"
                 "adcs x6, x6, x10\n\tldp x17, x19, [%1, #8]\n\tadd %1, %1, #8\n\tadcs x7, x7, x11\n\tstp x17, x19, [%2, #8]\n\tsub x20, %2, #8\n\t"
                 "adcs x16, x16, x14\n\tmul x17, x17, x19\n\tumulh x19, x9, x14\n\tadc x19, x19, x17\n\t"
                 "stp x4, x5, [%0]\n\tstp x6, x7, [%0, #16]\n\tstp x14, x16, [%0, #64]\n\tstr x19, [%0, #80]\n\t"
                 : "+r"(n), "+r"(from), "+r"(to) : : "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x14", "x15", "x16", "x17", "x19", "x20", "cc", "memory");
}

int main(int count, char **arguments) {
    unsigned rounds = count > 1 ? atoi(arguments[1]) : 1000, wrong[5] = {0};
    char *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    char *code = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    *(uint32_t *)code = 0xd65f03c0;
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO};
    sigaction(SIGSEGV, &action, 0);
    for (unsigned round = 0; round < rounds; round++) {
        struct numbers n, was;
        uint64_t *values = (uint64_t *)&n, *from = (uint64_t *)(pages + 512), *to = (uint64_t *)(pages + 4096 + 1024);
        for (unsigned i = 0; i < sizeof n / 8; i++) values[i] = next();
        for (unsigned i = 0; i < 3; i++) from[i] = next();
        uint64_t loaded[3] = {from[0], from[1], from[2]}, tag = 0;
        was = n;
        // Most rounds are plain, such that the code is made without regard to what comes.
        unsigned way = round % 16 < 12 ? 0 : round % 4 + 1;
        switch (way) {
        case 1: mprotect(pages, 4096, PROT_NONE); break;
        case 2: mprotect(pages + 4096, 4096, PROT_READ); break;
        case 3:
            to = (uint64_t *)(code + 512);
            __builtin___clear_cache(code, code + 4);
            ((void (*)(void))code)();
            break;
        // From then on all code takes tags off: late.
        case 4: tag = round > rounds / 2 ? 0x5aul << 56 : 0; break;
        }
        chain(&n, (uint64_t *)((uint64_t)from | tag), (uint64_t *)((uint64_t)to | tag));
        uint64_t carry = 0, bad = 0;
        for (unsigned i = 0; i < 4; i++) bad |= n.a[i] ^ sum(was.a[i], was.b[i], &carry);
        bad |= n.loaded ^ loaded[0];
        bad |= n.high ^ sum(high_half(loaded[0], was.b[0]), loaded[0], &carry);
        bad |= n.rest ^ sum(high_half(was.b[1], loaded[0]), loaded[1] * loaded[2], &carry);
        bad |= (to[0] ^ (loaded[0] * was.b[0])) | (to[1] ^ loaded[1]) | (to[2] ^ loaded[2]);
        wrong[way] += bad != 0;
        memset(to, 0, 24);
    }
    printf("plain %u, closed %u, read-only %u, code %u, tags %u; %u faults\n", wrong[0], wrong[1], wrong[2], wrong[3], wrong[4], faults);
    return 0;
}
