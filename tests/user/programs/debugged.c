// A program for a debugger: what it does, its first argument says.
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

volatile int result, go, handled, watched;
volatile long spins;
unsigned char block[300], copy[300];
static int pipe_of_reader[2];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;

__attribute__((noinline)) int add(int a, int b) {
    result = a + b;
    return result;
}
static void handler(int s) { handled += s; }

static void *reader(void *a) {
    char c;
    long n = read(pipe_of_reader[0], &c, 1);
    printf("reader %ld %d\n", n, n < 0 ? errno : 0);
    return a;
}
static void *waiter(void *a) {
    pthread_mutex_lock(&lock);
    while (!go) pthread_cond_wait(&changed, &lock);
    pthread_mutex_unlock(&lock);
    return a;
}
static void *sleeper(void *a) {
    struct timespec t = { 0, 1000000 };
    int errors = 0;
    while (!go) errors += nanosleep(&t, 0) != 0;
    printf("sleeper %d\n", errors);
    return a;
}
static void *spinner(void *a) {
    while (!go) spins++;
    return a;
}

int main(int argc, char **argv) {
    const char *what = argc > 1 ? argv[1] : "exit";
    signal(SIGUSR1, handler);
    setvbuf(stdout, 0, _IOLBF, 0);
    if (!strcmp(what, "exit")) {
        int s = 0;
        for (int i = 0; i < 3; i++) s = add(s, 14);
        watched = s;
        return s == 42 ? 7 : 1;
    }
    if (!strcmp(what, "memory")) {
        memset(block, 7, sizeof block - handled);
        memcpy(copy, block, sizeof block - handled);
        return copy[100];
    }
    if (!strcmp(what, "signals")) {
        raise(SIGUSR1);
        printf("first %d\n", handled);
        raise(SIGUSR1);
        printf("second %d\n", handled);
        raise(SIGTERM);
        printf("third\n");
        *(volatile int *)0x123 = 1;
    }
    if (!strcmp(what, "abort")) abort();
    if (!strcmp(what, "threads")) {
        pthread_t t[4];
        if (pipe(pipe_of_reader)) return 1;
        pthread_create(&t[0], 0, reader, 0);
        pthread_create(&t[1], 0, waiter, 0);
        pthread_create(&t[2], 0, sleeper, 0);
        pthread_create(&t[3], 0, spinner, 0);
        printf("ready\n");
        pthread_join(t[3], 0);
        pthread_mutex_lock(&lock);
        pthread_cond_broadcast(&changed);
        pthread_mutex_unlock(&lock);
        if (write(pipe_of_reader[1], "x", 1) != 1) return 1;
        for (int i = 0; i < 3; i++) pthread_join(t[i], 0);
        printf("done\n");
        return 3;
    }
    if (!strcmp(what, "children")) {
        int status, sum = 0;
        for (int i = 0; i < 2; i++) {
            pid_t p = i ? fork() : vfork();
            if (p == 0) {
                if (i) exit(add(i, 20));
                execl("/proc/self/exe", argv[0], "exit", (char *)0);
                _exit(99);
            }
            waitpid(p, &status, 0);
            sum += WIFEXITED(status) ? WEXITSTATUS(status) : 1000;
        }
        printf("children %d\n", sum);
        return 0;
    }
    return 0;
}
