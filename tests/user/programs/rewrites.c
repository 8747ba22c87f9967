// Code that is rewritten again and again, and called some times in between: by its own thread, by another, in a child, and with its page's
// protection changed each time.
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef int function(int);

// return n + x, by way of a branch if x is 0.
#if defined(__aarch64__)
static const uint32_t body[] = { 0x52800001, 0x34000040, 0x0b000021, 0x2a0103e0, 0xd65f03c0 }; // mov w1, #n; cbz w0, .+8; add w1, w1, w0; mov w0, w1; ret
enum { SHIFT = 5 };
#else
static const uint32_t body[] = { 0x00000593, 0x00050463, 0x00a585b3, 0x00058513, 0x00008067 }; // li a1, n; beqz a0, .+8; add a1, a1, a0; mv a0, a1; ret
enum { SHIFT = 20 };
#endif
enum { WORDS = sizeof body / 4 };

static uint32_t *page;

static uint32_t *site(int which) {
    return page + 256 + which * 8;
}
static void rewrite(uint32_t *at, int n) {
    at[0] = body[0] | (uint32_t)(n & 0x3ff) << SHIFT;
    __builtin___clear_cache((char *)at, (char *)(at + WORDS));
}
// Wrong answers of `times` calls.
static int wrong(uint32_t *at, int n, int times) {
    int bad = 0;
    for (int i = 0; i < times; i++) bad += ((function *)at)(i & 1) != (n & 0x3ff) + (i & 1);
    return bad;
}

static _Atomic int asked, done;
static int rounds;

static void *other(void *unused) {
    (void)unused;
    for (int n = 1; n <= rounds; n++) {
        while (asked != n) sched_yield();
        rewrite(site(1), n);
        done = n;
    }
    return 0;
}

int main(int argc, char **argv) {
    rounds = argc > 1 ? atoi(argv[1]) : 1000;
    page = mmap(0, 4096, PROT_READ | PROT_WRITE | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    for (int s = 0; s < 3; s++) {
        for (int i = 0; i < WORDS; i++) site(s)[i] = body[i];
        rewrite(site(s), 0);
    }
    int bad = 0;
    for (int n = 1; n <= rounds; n++) {
        rewrite(site(0), n);
        bad += wrong(site(0), n, n & 63) + wrong(site(2), 0, n & 1);
    }
    printf("alone: %d\n", bad);
    fflush(stdout);

    pid_t child = fork();
    if (child == 0) {
        bad = 0;
        for (int n = 1; n <= rounds; n++) {
            rewrite(site(0), n + 5);
            bad += wrong(site(0), n + 5, n & 7);
        }
        _exit(bad != 0);
    }
    int status;
    waitpid(child, &status, 0);
    printf("child: %d %d\n", status, wrong(site(0), rounds, 40));

    bad = 0;
    pthread_t thread;
    pthread_create(&thread, 0, other, 0);
    for (int n = 1; n <= rounds; n++) {
        asked = n;
        while (done != n) sched_yield();
#if defined(__aarch64__)
        __asm__ volatile("isb" ::: "memory");
#else
        __asm__ volatile("fence.i" ::: "memory");
#endif
        bad += wrong(site(1), n, n & 63);
    }
    pthread_join(thread, 0);
    printf("another thread: %d\n", bad);

    bad = 0;
    for (int n = 1; n <= rounds; n++) {
        mprotect(page, 4096, PROT_READ | PROT_WRITE);
        rewrite(site(0), n);
        mprotect(page, 4096, PROT_READ | PROT_EXEC);
        bad += wrong(site(0), n, n & 31);
    }
    printf("protected: %d\n", bad);
    return 0;
}
