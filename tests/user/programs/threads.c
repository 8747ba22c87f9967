// Threads with a lock, a condition, thread-local data, and signals to each of them.
#define _GNU_SOURCE
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { THREADS = 8, ROUNDS = 500 };
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t turn = PTHREAD_COND_INITIALIZER;
static int counter, ready;
static _Thread_local int own;
static atomic_int signals;

static void on_signal(int s) {
    (void)s;
    atomic_fetch_add(&signals, 1);
}

static void *run(void *n) {
    own = (int)(long)n;
    pthread_mutex_lock(&lock);
    ready++;
    pthread_cond_broadcast(&turn);
    while (ready < THREADS) pthread_cond_wait(&turn, &lock);
    pthread_mutex_unlock(&lock);
    for (int i = 0; i < ROUNDS; i++) {
        pthread_mutex_lock(&lock);
        counter += own == (int)(long)n;
        pthread_mutex_unlock(&lock);
        if (i == ROUNDS / 2) pthread_kill(pthread_self(), SIGUSR1);
    }
    char *p = malloc(1000 + own);
    free(p);
    return n;
}

int main(void) {
    signal(SIGUSR1, on_signal);
    pthread_t t[THREADS];
    for (long i = 0; i < THREADS; i++) pthread_create(&t[i], 0, run, (void *)i);
    for (long i = 0; i < THREADS; i++) {
        void *r;
        pthread_join(t[i], &r);
        if (r != (void *)i) return 1;
    }
    printf("%d %d\n", counter, atomic_load(&signals));
    return counter != THREADS * ROUNDS || signals != THREADS;
}
