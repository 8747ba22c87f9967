// Two processes with a thread each add to one counter in memory that they share: nothing is lost. With atomic instructions and exclusives.
#define _GNU_SOURCE
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

static void exclusive(uint64_t *p) {
    uint64_t v;
    uint32_t failed;
    do {
#ifdef __riscv
        asm volatile("lr.d.aq %0, (%3); addi %0, %0, 1; sc.d.rl %1, %0, (%3)" : "=&r"(v), "=&r"(failed), "+m"(*p) : "r"(p));
#else
        asm volatile("ldaxr %0, [%3]; add %0, %0, #1; stlxr %w1, %0, [%3]" : "=&r"(v), "=&r"(failed), "+m"(*p) : "r"(p));
#endif
    } while (failed);
}

int main(int count, char **words) {
    long times = count > 1 ? atol(words[1]) : 10000000;
    uint64_t *shared = mmap(0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pid_t child = fork();
    for (long i = 0; i < times; i++) {
#ifdef __riscv
        asm volatile("amoadd.d zero, %1, (%0)" : : "r"(shared), "r"(1ul) : "memory");
#else
        asm volatile(".arch armv8.1-a\nstadd %1, [%0]" : : "r"(shared), "r"(1ul) : "memory");
#endif
        exclusive(shared + 8);
    }
    if (child == 0) _exit(0);
    int status;
    waitpid(child, &status, 0);
    printf("%lu %lu %d\n", shared[0], shared[8], status);
    return !(shared[0] == 2ul * times && shared[8] == 2ul * times);
}
