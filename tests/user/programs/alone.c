// A process that is alone at first, with its atomic instructions made hot, and then is not: by a thread, by memory that it shares. What it and the
// other then add to the same counters must all be there. A way to company a line of output; each in a process of its own, which begins alone.
#define _GNU_SOURCE
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/shm.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

// Counters a cache line apart; what each kind of instruction adds to.
enum { EXCLUSIVE, EXCLUSIVE32, ADD, CAS, SWAP, SET, PLAIN_ADD, KINDS };
struct counters {
    uint64_t here, pad[7];
    struct { uint64_t count, lock, pad[6]; } at[KINDS];
};
static long times = 100000;
static struct counters *shared;
static char *file;

// A lock that was given back and is taken all the same was lost too.
static int waits(void) {
    static __thread long waited;
    if (++waited > 1000000000) {
        printf("a lock is never free\n");
        fflush(stdout);
        _exit(3);
    }
    return 1;
}
static __attribute__((noinline)) void add(struct counters *c) {
    uint64_t v, w, *p;
    uint32_t failed, f;
    p = &c->at[EXCLUSIVE].count;
    do asm volatile("ldxr %0, [%3]\nadd %0, %0, #1\nstxr %w1, %0, [%3]" : "=&r"(v), "=&r"(failed), "+m"(*p) : "r"(p) : "memory");
    while (failed);
    p = &c->at[EXCLUSIVE32].count;
    do asm volatile("ldaxr %w0, [%3]\nadd %w0, %w0, #1\nstlxr %w1, %w0, [%3]" : "=&r"(v), "=&r"(failed), "+m"(*p) : "r"(p) : "memory");
    while (failed);
    asm volatile(".arch armv8.1-a\nldaddal %1, %0, [%2]" : "=&r"(v) : "r"(1ul), "r"(&c->at[ADD].count) : "memory");
    asm volatile("stadd %0, [%1]" : : "r"(1ul), "r"(&c->at[PLAIN_ADD].count) : "memory");
    p = &c->at[CAS].count;
    do {
        w = v = *(volatile uint64_t *)p;
        asm volatile("casal %0, %1, [%2]" : "+r"(w) : "r"(v + 1), "r"(p) : "memory");
    } while (w != v);
    p = &c->at[SWAP].lock;
    do asm volatile("swpa %1, %0, [%2]" : "=&r"(v) : "r"(1ul), "r"(p) : "memory");
    while (v && waits());
    c->at[SWAP].count++;
    asm volatile("stlr xzr, [%0]" : : "r"(p) : "memory");
    p = &c->at[SET].lock;
    do asm volatile("ldseta %w1, %w0, [%2]" : "=&r"(f) : "r"(2), "r"(p) : "memory");
    while (f & 2 && waits());
    c->at[SET].count++;
    asm volatile("ldclrl %w1, %w0, [%2]" : "=&r"(f) : "r"(2), "r"(p) : "memory");
}
static void adds(long n) {
    for (long i = 0; i < n; i++) add(shared);
}
// Waits until two are here, so that they add at the same time.
static void meet(void) {
    __atomic_fetch_add(&shared->here, 1, __ATOMIC_SEQ_CST);
    while (__atomic_load_n(&shared->here, __ATOMIC_SEQ_CST) < 2) sched_yield();
}
static void *company(void *n) {
    meet();
    adds((long)n);
    return 0;
}
// True if all have been added that `by` of them should have; else they are shown.
static int all(long by) {
    int right = 1;
    for (int k = 0; k < KINDS; k++) {
        if (shared->at[k].count != (uint64_t)by) {
            printf("kind %d: %lu of %ld\n", k, shared->at[k].count, by);
            right = 0;
        }
    }
    return right;
}
static struct counters *map(int flags, int fd) {
    struct counters *c = mmap(0, 4096, PROT_READ | PROT_WRITE, flags, fd, 0);
    return c == MAP_FAILED ? 0 : c;
}
// Alone, in memory of its own.
static void warm(void) {
    shared = map(MAP_PRIVATE | MAP_ANONYMOUS, -1);
    adds(20000);
    if (!all(20000)) exit(2);
}
static int with_child(void) {
    pid_t child = fork();
    meet();
    adds(times);
    if (child == 0) _exit(0);
    int status;
    waitpid(child, &status, 0);
    return status == 0 && all(2 * times);
}

static int anonymous(void) {
    warm();
    shared = map(MAP_SHARED | MAP_ANONYMOUS, -1);
    return with_child();
}
// Both were alone when they were forked, and each maps the file itself.
static int of_a_file(void) {
    int fd = open(file, O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (ftruncate(fd, 4096)) return 0;
    warm();
    pid_t child = fork();
    warm();
    shared = map(MAP_SHARED, fd);
    meet();
    adds(times);
    if (child == 0) _exit(0);
    int status;
    waitpid(child, &status, 0);
    unlink(file);
    return status == 0 && all(2 * times);
}
static int system_v(void) {
    int id = shmget(IPC_PRIVATE, 4096, IPC_CREAT | 0600);
    warm();
    shared = shmat(id, 0, 0);
    shmctl(id, IPC_RMID, 0);
    return with_child();
}
static int thread_in_a_loop(void) {
    warm();
    memset(shared, 0, sizeof *shared);
    pthread_t t = 0;
    for (long i = 0; i < 2 * times; i++) {
        add(shared);
        if (i == times / 2) {
            pthread_create(&t, 0, company, (void *)times);
            meet();
        }
    }
    pthread_join(t, 0);
    return all(3 * times);
}
// Whoever returns finds code as it is now.
static pthread_t deep_thread;
static __attribute__((noinline)) long deep(long n) {
    add(shared);
    if (n == 0)
        pthread_create(&deep_thread, 0, company, (void *)times), meet();
    else
        n = deep(n - 1) + 1;
    adds(times / 100);
    return n;
}
static int thread_from_the_depth(void) {
    warm();
    memset(shared, 0, sizeof *shared);
    long n = deep(100);
    pthread_join(deep_thread, 0);
    return n == 100 && all(101 + 101 * (times / 100) + times);
}
static pthread_t handlers;
static volatile int made;
static void on_alarm(int s) {
    (void)s;
    pthread_create(&handlers, 0, company, (void *)times);
    meet();
    made = 1;
}
static int thread_of_a_handler(void) {
    warm();
    memset(shared, 0, sizeof *shared);
    signal(SIGALRM, on_alarm);
    struct itimerval soon = {.it_value = {.tv_usec = 20000}};
    setitimer(ITIMER_REAL, &soon, 0);
    long n = 0;
    for (; !made || n < times; n++) add(shared);
    for (long i = 0; i < times; i++, n++) add(shared);
    pthread_join(handlers, 0);
    return all(n + times);
}
// The child's mapping is the parent's.
static int of_a_vforked_child(void) {
    warm();
    pid_t child = vfork();
    if (child == 0) {
        shared = map(MAP_SHARED | MAP_ANONYMOUS, -1);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    return with_child();
}

int main(int count, char **words) {
    static const struct { const char *name; int (*run)(void); } ways[] = {
        {"anonymous memory", anonymous},
        {"a file", of_a_file},
        {"System V", system_v},
        {"a thread in a loop", thread_in_a_loop},
        {"a thread from the depth", thread_from_the_depth},
        {"a thread of a handler", thread_of_a_handler},
        {"a vforked child", of_a_vforked_child},
    };
    file = words[1];
    if (count > 2) times = atol(words[2]);
    int wrong = 0;
    for (unsigned i = 0; i < sizeof ways / sizeof *ways; i++) {
        fflush(stdout);
        pid_t child = fork();
        if (child == 0) {
            int right = ways[i].run();
            fflush(stdout);
            _exit(!right);
        }
        int status;
        waitpid(child, &status, 0);
        printf("%s: %d\n", ways[i].name, status);
        wrong |= status;
    }
    return !!wrong;
}
