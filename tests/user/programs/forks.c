// A parent with threads that run and make code forks; both halves make much new code and run it, and so again and again.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#ifdef __riscv
#define ZERO 0x513                // li a0, 0
#define ADD(v) (0x50513 | v << 20) // addi a0, a0, v
#define RETURN 0x8067             // ret
#else
#define ZERO 0xd2800000              // mov x0, #0
#define ADD(v) (0x91000000 | v << 10) // add x0, x0, #v
#define RETURN 0xd65f03c0            // ret
#endif

static volatile int stop;

// Writes `n` instructions that add numbers made from `seed`, runs them and compares.
static int generate(uint32_t *code, int n, uint32_t seed) {
    uint64_t want = 0;
    code[0] = ZERO;
    for (int i = 1; i <= n; i++) {
        seed = seed * 1664525 + 1013904223;
        uint32_t v = seed >> 21;
        code[i] = ADD(v);
        want += v;
    }
    code[n + 1] = RETURN;
    __builtin___clear_cache((char *)code, (char *)(code + n + 2));
    return ((uint64_t(*)(void))code)() == want;
}

static uint32_t *memory(int n) {
    return mmap(0, (n + 2) * 4, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static void *busy(void *seed) {
    uint32_t *code = memory(2000);
    for (uint32_t s = (uintptr_t)seed; !stop; s += 16)
        if (!generate(code, 2000, s)) abort();
    return 0;
}

int main(int count, char **words) {
    int times = count > 1 ? atoi(words[1]) : 200, n = count > 2 ? atoi(words[2]) : 100000;
    pthread_t threads[3];
    for (long i = 0; i < 3; i++) pthread_create(&threads[i], 0, busy, (void *)(i + 1));
    uint32_t *code = memory(n);
    for (int i = 0; i < times; i++) {
        pid_t child = fork();
        if (child == 0) _exit(generate(code, n, 77 + i) && generate(memory(n), n, 99 + i) ? 0 : 1);
        if (!generate(code, n, i)) return puts("the parent's sum is wrong"), 1;
        int status;
        waitpid(child, &status, 0);
        if (status) return printf("child %d: %x\n", i, status), 1;
    }
    stop = 1;
    for (int i = 0; i < 3; i++) pthread_join(threads[i], 0);
    printf("%d forks\n", times);
    return 0;
}
