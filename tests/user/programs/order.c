// Store buffering between two threads: each stores to its own place and then loads the other's. That both load the old value is what plain
// accesses may show, and must here, so that it is known that the threads meet; what orders a store before a later load may not show it.
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

enum { PLACES = 1024 };
static struct { uint64_t value, pad[15]; } __attribute__((aligned(128))) x[PLACES], y[PLACES];
static struct { volatile long at, pad[15]; } turn[2];
static uint8_t seen[2][PLACES];
static long rounds = 200;

#define STORE(insn, p) asm volatile(insn " %0, [%1]" : : "r"(1ul), "r"(p) : "memory")
#define LOAD(insn, p, v) asm volatile(".arch armv8.3-a\n" insn " %0, [%1]" : "=r"(v) : "r"(p) : "memory")
#define PAIR(name, store, load) \
    static __attribute__((noinline)) uint64_t name(uint64_t *to, uint64_t *from) { \
        uint64_t v; \
        store; \
        load; \
        return v; \
    }
PAIR(plain, STORE("str", to), LOAD("ldr", from, v))
PAIR(release_acquire, STORE("stlr", to), LOAD("ldar", from, v))
PAIR(fence, STORE("str", to); asm volatile("dmb ish" ::: "memory"), LOAD("ldr", from, v))
PAIR(exclusive, STORE("stlr", to), LOAD("ldaxr", from, v))
PAIR(pair, STORE("stlr", to), uint64_t w; asm volatile("ldaxp %0, %1, [%2]" : "=r"(v), "=r"(w) : "r"(from) : "memory"))
PAIR(bytes, asm volatile("stlrb %w0, [%1]" : : "r"(1), "r"(to) : "memory"), asm volatile("ldarb %w0, [%1]" : "=r"(v) : "r"(from) : "memory"))
// An acquiring instruction that is no load by itself, and a releasing one that is no store by itself.
PAIR(swap, uint64_t w; asm volatile(".arch armv8.1-a\nswpl %1, %0, [%2]" : "=&r"(w) : "r"(1ul), "r"(to) : "memory"), LOAD("ldar", from, v))
PAIR(add, STORE("stlr", to), asm volatile(".arch armv8.1-a\nldadda %1, %0, [%2]" : "=&r"(v) : "r"(0ul), "r"(from) : "memory"))
// In code of its own each, with a return in between.
static __attribute__((noinline)) void release(uint64_t *to) { STORE("stlr", to); }
static __attribute__((noinline)) uint64_t acquire(uint64_t *from) {
    uint64_t v;
    LOAD("ldar", from, v);
    return v;
}
static void (*volatile release_by)(uint64_t *) = release;
static uint64_t (*volatile acquire_by)(uint64_t *) = acquire;
PAIR(apart, release_by(to), v = acquire_by(from))

static uint64_t (*way)(uint64_t *, uint64_t *);

static void meet(int me, long n) {
    turn[me].at = n;
    for (long spins = 0; turn[!me].at < n; spins++)
        if (spins > 2000) sched_yield();
}
static void *run(void *number) {
    int me = number != 0;
    uint64_t (*f)(uint64_t *, uint64_t *) = way;
    for (int i = 0; i < PLACES; i++) {
        uint64_t *mine = &(me ? y : x)[i].value, *other = &(me ? x : y)[i].value;
        meet(me, turn[me].at + 1);
        seen[me][i] = f(mine, other);
    }
    return 0;
}
static long old_values_of_a_round(void) {
    for (int i = 0; i < PLACES; i++) x[i].value = y[i].value = 0;
    turn[0].at = turn[1].at = 0;
    pthread_t t;
    if (pthread_create(&t, 0, run, (void *)1)) exit(2);
    run(0);
    pthread_join(t, 0);
    long both = 0;
    for (int i = 0; i < PLACES; i++) both += !seen[0][i] && !seen[1][i];
    return both;
}

int main(int count, char **words) {
    static const struct { const char *name; uint64_t (*way)(uint64_t *, uint64_t *); } ways[] = {
        {"plain", plain}, {"stlr ldar", release_acquire}, {"dmb", fence}, {"stlr ldaxr", exclusive}, {"stlr ldaxp", pair},
        {"stlrb ldarb", bytes}, {"swpl ldar", swap}, {"stlr ldadda", add}, {"stlr ldar apart", apart},
    };
    if (count > 1) rounds = atol(words[1]);
    for (unsigned w = 0; w < sizeof ways / sizeof *ways; w++) {
        way = ways[w].way;
        long both = 0, n = 0;
        // Plain accesses until they have shown it.
        for (; w == 0 ? both < 20 && n < 100 * rounds : n < rounds; n++) both += old_values_of_a_round();
        printf("%s: %s\n", ways[w].name, both ? "both old" : "ordered");
        fprintf(stderr, "%s: %ld of %ld\n", ways[w].name, both, n * PLACES);
    }
}
