// Children that share their parent's memory (vfork, posix_spawn): what fails is said, what they change stays, what is their own does not.
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;
static volatile int shared;

static void on_signal(int signal) {
    (void)signal;
    shared++;
}

int main(int count, char **words) {
    char *missing[] = { "x", 0 }, *self[] = { words[0], "child", 0 };
    pid_t pid;
    int status;
    if (count > 1) return printf("child\n"), fflush(stdout), 5;
    printf("missing: %s\n", strerror(posix_spawn(&pid, "/nonexistent/x", 0, 0, missing, environ)));
    printf("directory: %s\n", strerror(posix_spawn(&pid, "/etc", 0, 0, missing, environ)));
    fflush(stdout);
    int r = posix_spawn(&pid, words[0], 0, 0, self, environ);
    waitpid(pid, &status, 0);
    printf("spawned: %d %d\n", r, WEXITSTATUS(status));
    signal(SIGUSR1, on_signal);
    if ((pid = vfork()) == 0) {
        shared = 42;
        signal(SIGUSR1, SIG_DFL);
        _exit(7);
    }
    waitpid(pid, &status, 0);
    raise(SIGUSR1);
    printf("vfork: %d %d\n", shared, WEXITSTATUS(status));
    if ((pid = vfork()) == 0) *(volatile int *)0 = 1;
    waitpid(pid, &status, 0);
    printf("crash: %d\n", WTERMSIG(status));
    if ((pid = vfork()) == 0) {
        pid_t inner = fork();
        if (inner == 0) _exit(WEXITSTATUS(system("exit 3")));
        waitpid(inner, &status, 0);
        _exit(WEXITSTATUS(status));
    }
    waitpid(pid, &status, 0);
    printf("fork inside: %d\n", WEXITSTATUS(status));
    for (int i = 0; i < 300; i++)
        if (posix_spawn(&pid, "/nonexistent/x", 0, 0, missing, environ) != ENOENT) return 1;
    // Ignored signals stay so.
    signal(SIGPIPE, SIG_IGN);
    fflush(stdout);
    return WEXITSTATUS(system("grep -c '^SigIgn:.*[13579bdf]...$' /proc/self/status")) != 0;
}
