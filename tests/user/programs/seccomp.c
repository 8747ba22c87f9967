// Filters for a program's own system calls, with what each answer of a filter does. A line for each check.
#define _GNU_SOURCE
#include <errno.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv)
#define ARCH AUDIT_ARCH_RISCV64
#endif

// The architecture must be this one; a call gets `answer` if its first argument is `argument`, or whatever that is if it is -1.
static int install(int call, long argument, unsigned answer, unsigned flags) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, call, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, args[0])),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, argument, argument == -1, argument == -1 ? 0 : 1),
        BPF_STMT(BPF_RET | BPF_K, answer),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    if (argument == -1) f[6] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JA, 0, 0, 0);
    struct sock_fprog p = { sizeof f / sizeof *f, f };
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &p);
}

static siginfo_t seen;
static void trapped(int s, siginfo_t *i, void *c) { (void)s, (void)c; seen = *i; }

static void *other(void *a) {
    int *state = a;
    *state = 1;
    while (*(volatile int *)state != 2) sched_yield();
    errno = 0;
    *state = syscall(SYS_getppid) == -1 && errno == 44 ? 3 : 4;
    return a;
}
static void *victim(void *a) {
    syscall(SYS_getpgid, 77);
    *(int *)a = 1;
    return a;
}

// What a child ends with: its exit code, or the signal negative.
static int child(void (*f)(void)) {
    int status;
    fflush(stdout);
    pid_t p = fork();
    if (p == 0) {
        f();
        _exit(9);
    }
    waitpid(p, &status, 0);
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}
static void killed(void) { install(SYS_getpgid, -1, SECCOMP_RET_KILL_PROCESS, 0); getpgid(0); }
static void trap_without_handler(void) { install(SYS_getpgid, -1, SECCOMP_RET_TRAP, 0); getpgid(0); }
static void strict(void) { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); if (write(1, "strict\n", 7) == 7) syscall(SYS_getpid); }
static void strict_exit(void) { prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT); syscall(SYS_exit, 5); }
static void becomes_another(void) {
    install(SYS_getppid, -1, SECCOMP_RET_ERRNO | 55, 0);
    execl("/proc/self/exe", "seccomp", "replaced", (char *)0);
}
static void thread_dies(void) {
    volatile int done = 0;
    pthread_t t;
    install(SYS_getpgid, 77, SECCOMP_RET_KILL_THREAD, 0);
    pthread_create(&t, 0, victim, (void *)&done);
    pthread_join(t, 0);
    _exit(done == 0 ? 6 : 7);
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "strict")) {
        int ends = child(strict);
        printf("ends %d, exits %d\n", ends, child(strict_exit));
        return 0;
    }
    if (argc > 1) {
        errno = 0;
        int r = syscall(SYS_getppid);
        return r == -1 && errno == 55 && prctl(PR_GET_SECCOMP) == 2 ? 4 : 8;
    }
    printf("mode %d\n", prctl(PR_GET_SECCOMP));
    unsigned action = SECCOMP_RET_TRAP, wrong = 0x12340000;
    printf("actions %ld %ld %d\n", syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action), syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &wrong), errno);
    printf("no_new_privs %d\n", prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
    struct sock_filter bad[] = { BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 2), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW) };
    struct sock_fprog p = { 2, bad };
    printf("bad %ld %d\n", syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &p), errno);
    printf("errno: %d ", install(SYS_getpgid, 5, SECCOMP_RET_ERRNO | 77, 0));
    errno = 0;
    int r = getpgid(5);
    printf("%d %d ", r, errno);
    printf("%d mode %d\n", getpgid(0) == getpgrp(), prctl(PR_GET_SECCOMP));
    struct sigaction a = { .sa_sigaction = trapped, .sa_flags = SA_SIGINFO };
    sigaction(SIGSYS, &a, 0);
    printf("trap: %d ", install(SYS_getpgid, 6, SECCOMP_RET_TRAP | 12, 0));
    getpgid(6);
    printf("%d %d %d %d %d %d\n", seen.si_signo, seen.si_code, seen.si_errno, seen.si_syscall == SYS_getpgid, seen.si_arch == ARCH, seen.si_call_addr != 0);
    signal(SIGSYS, SIG_DFL);
    pthread_t t;
    volatile int state = 0;
    pthread_create(&t, 0, other, (void *)&state);
    while (state == 0) sched_yield();
    printf("all threads: %d ", install(SYS_getppid, -1, SECCOMP_RET_ERRNO | 44, SECCOMP_FILTER_FLAG_TSYNC));
    state = 2;
    pthread_join(t, 0);
    printf("%d\n", state);
    /* 0 where the session's leader is outside of this PID namespace: only the same answer as before is promised. */
    pid_t session = getsid(0);
    printf("log: %d ", install(SYS_getsid, -1, SECCOMP_RET_LOG, 0));
    printf("%d\n", getsid(0) == session);
    printf("killed %d, trap without handler %d\n", child(killed), child(trap_without_handler));
    int died = child(thread_dies);
    printf("thread dies %d\n", died);
    printf("inherited by fork and exec %d\n", child(becomes_another));
}
