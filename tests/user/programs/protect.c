// Threads that change what may be done with pages of code while others make, run and rewrite code there.
#define _GNU_SOURCE
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <time.h>

#ifdef __riscv
#define MOVE(v) (0x537 | (v) << 12) // lui a0, v
#define VALUE(v) ((v) << 12)
#define RETURN 0x8067               // ret
#else
#define MOVE(v) (0x52800000 | (v) << 5) // mov w0, #v
#define VALUE(v) (v)
#define RETURN 0xd65f03c0               // ret
#endif

enum { PAGE = 4096, PAGES = 16 };
static volatile int stop;
static char *area;

// A function in each half of a page, one of each thread; stores cross pages too.
static void *make(void *n) {
    long own = (long)n, done = 0;
    for (uint32_t v = 0; !stop; v = (v + 1) & 0xffff) {
        for (int p = 1; p < PAGES; p++) {
            uint32_t *code = (uint32_t *)(area + p * PAGE + own * 64);
            code[0] = MOVE(v);
            code[1] = RETURN;
            __builtin___clear_cache((char *)code, (char *)(code + 2));
            if (((uint32_t(*)(void))code)() != VALUE(v)) abort();
            *(volatile __uint128_t *)(area + p * PAGE - 8 - 16 * own) = v;
            done++;
        }
    }
    return (void *)done;
}

static void *change(void *n) {
    for (long i = 0; !stop; i++) mprotect(area + i % PAGES * PAGE, PAGE * (1 + i % 3 * (i % PAGES < PAGES - 3)), 7);
    return n;
}

int main(void) {
    area = mmap(0, PAGES * PAGE, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    pthread_t t[4];
    for (long i = 0; i < 4; i++) pthread_create(&t[i], 0, i < 2 ? make : change, (void *)(i + 1));
    struct timespec second = { 3, 0 };
    nanosleep(&second, 0);
    stop = 1;
    void *a, *b;
    pthread_join(t[0], &a);
    pthread_join(t[1], &b);
    puts(a && b ? "made" : "nothing was made");
    return 0;
}
