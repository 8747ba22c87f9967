// What container builds, shells and language runtimes ask of a kernel now and then. A line for each check: its name, and what is wrong if anything.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef SYS_openat2
#define SYS_openat2 437
#endif
#ifndef SYS_close_range
#define SYS_close_range 436
#endif
extern char **environ;
static const char *self;

#define CHECK(c) do { if (!(c)) return "line " LINE(__LINE__) ": " #c; } while (0)
#define LINE(n) TEXT(n)
#define TEXT(n) #n

static int wait_for(pid_t p) {
    int status = 0;
    if (waitpid(p, &status, 0) != p) return 1000;
    return WIFSIGNALED(status) ? -WTERMSIG(status) : WEXITSTATUS(status);
}
static char *words(const char *a, const char *b) {
    static char *argv[4];
    argv[0] = (char *)a, argv[1] = (char *)b, argv[2] = 0;
    return (char *)argv;
}

static const char *exec_descriptor(void) {
    for (int how = 0; how < 5; how++) {
        pid_t p = fork();
        if (p == 0) {
            char **argv = (char **)words("zero", "code21"), name[64];
            int fd = open(self, (how == 1 ? O_PATH : O_RDONLY) | O_CLOEXEC);
            if (how == 2) {
                // A copy in memory, which has no name.
                int copy = memfd_create("copy", MFD_CLOEXEC);
                char buffer[65536];
                for (long n; (n = read(fd, buffer, sizeof buffer)) > 0;)
                    if (write(copy, buffer, n) != n) _exit(1);
                fd = copy;
            }
            if (how == 3) {
                // A file that is gone.
                char path[64];
                sprintf(path, "/tmp/emu-corner-%d", getpid());
                int to = open(path, O_CREAT | O_WRONLY, 0700);
                char buffer[65536];
                for (long n; (n = read(fd, buffer, sizeof buffer)) > 0;)
                    if (write(to, buffer, n) != n) _exit(1);
                close(to);
                fd = open(path, O_RDONLY | O_CLOEXEC);
                unlink(path);
            }
            if (how == 4) {
                sprintf(name, "/proc/self/fd/%d", fd);
                execve(name, argv, environ);
            } else if (how == 1) {
                syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
            } else {
                fexecve(fd, argv, environ);
            }
            _exit(errno);
        }
        int code = wait_for(p);
        if (code != 21) {
            static char text[64];
            sprintf(text, "way %d: %d %s", how, code, code > 0 && code < 1000 ? strerror(code) : "");
            return text;
        }
    }
    int fd = open(self, O_RDONLY);
    CHECK(syscall(SYS_execveat, fd, "", words("x", 0), environ, 0) == -1 && errno == ENOENT);
    CHECK(syscall(SYS_execveat, -7, "", words("x", 0), environ, AT_EMPTY_PATH) == -1 && errno == EBADF);
    CHECK(syscall(SYS_execveat, fd, "", words("x", 0), environ, 1 << 20) == -1 && errno == EINVAL);
    close(fd);
    return 0;
}

static const char *many_arguments(void) {
    enum { N = 15000, LENGTH = 100 };
    static char *argv[N + 3], text[LENGTH];
    memset(text, 'a', LENGTH - 1);
    argv[0] = "zero", argv[1] = "count";
    for (int i = 2; i < N + 2; i++) argv[i] = text;
    pid_t p = fork();
    if (p == 0) {
        execve(self, argv, environ);
        _exit(errno);
    }
    CHECK(wait_for(p) == 33);
    // One that is too long, by itself and together.
    char *large = malloc(200000);
    memset(large, 'b', 199999), large[199999] = 0;
    argv[2] = large, argv[3] = 0;
    CHECK(execve(self, argv, environ) == -1 && errno == E2BIG);
    large[120000] = 0;
    for (int i = 2; i < N + 2; i++) argv[i] = large;
    CHECK(execve(self, argv, environ) == -1 && errno == E2BIG);
    free(large);
    return 0;
}

static const char *script_with_a_relative_interpreter(void) {
    char dir[] = "/tmp/emu-corner-XXXXXX", link_to[300];
    CHECK(mkdtemp(dir) && chdir(dir) == 0);
    CHECK(symlink(self, "interpreter") == 0);
    int fd = open("script", O_CREAT | O_WRONLY, 0755);
    CHECK(write(fd, "#!./interpreter  script\n", 24) == 24);
    close(fd);
    fd = open("empty", O_CREAT | O_WRONLY, 0755);
    close(fd);
    fd = open("missing", O_CREAT | O_WRONLY, 0755);
    CHECK(write(fd, "#!/no/such\n", 11) == 11);
    close(fd);
    pid_t p = fork();
    if (p == 0) {
        execl("./script", "./script", "more", (char *)0);
        _exit(errno);
    }
    CHECK(wait_for(p) == 44);
    CHECK(execl("./empty", "x", (char *)0) == -1 && errno == ENOEXEC);
    CHECK(execl("./missing", "x", (char *)0) == -1 && errno == ENOENT);
    CHECK(execl("./absent", "x", (char *)0) == -1 && errno == ENOENT);
    CHECK(execl(".", "x", (char *)0) == -1 && errno == EACCES);
    p = vfork();
    if (p == 0) {
        execl("./absent", "x", (char *)0);
        _exit(errno);
    }
    CHECK(wait_for(p) == ENOENT);
    pid_t spawned;
    CHECK(posix_spawn(&spawned, "./absent", 0, 0, (char **)words("x", 0), environ) == ENOENT);
    CHECK(posix_spawn(&spawned, self, 0, 0, (char **)words("zero", "code21"), environ) == 0 && wait_for(spawned) == 21);
    snprintf(link_to, sizeof link_to, "rm -r %s", dir);
    CHECK(chdir("/") == 0);
    for (const char **f = (const char *[]){ "interpreter", "script", "empty", "missing", 0 }; *f; f++) {
        snprintf(link_to, sizeof link_to, "%s/%s", dir, *f);
        unlink(link_to);
    }
    rmdir(dir);
    return 0;
}

static const char *refused_cleanly(void) {
    CHECK(ptrace(PTRACE_TRACEME, 0, 0, 0) == -1 && errno == EPERM);
    CHECK(syscall(SYS_io_uring_setup, 8, words("", "")) == -1 && errno == ENOSYS);
    CHECK(syscall(SYS_userfaultfd, 0) == -1 && (errno == ENOSYS || errno == EPERM));
    CHECK(syscall(5000) == -1 && errno == ENOSYS);
    pid_t wanted = 12345;
    uint64_t args[11] = { [4] = SIGCHLD, [8] = (uintptr_t)&wanted, [9] = 1 };
    CHECK(syscall(SYS_clone3, args, sizeof args) == -1 && (errno == EINVAL || errno == EPERM));
    return 0;
}

static const char *descriptors(void) {
    int a = dup(1), b = dup(1), c = dup(1);
    CHECK(syscall(SYS_close_range, a, b, 0) == 0);
    CHECK(fcntl(a, F_GETFD) == -1 && fcntl(b, F_GETFD) == -1 && fcntl(c, F_GETFD) >= 0);
    CHECK(syscall(SYS_close_range, c, ~0u, 4) == 0 && fcntl(c, F_GETFD) == FD_CLOEXEC);
    CHECK(syscall(SYS_close_range, 3, ~0u, 0) == 0 && fcntl(c, F_GETFD) == -1);
    // emu still starts programs.
    pid_t p = fork();
    if (p == 0) {
        execl(self, "zero", "code21", (char *)0);
        _exit(errno);
    }
    CHECK(wait_for(p) == 21);
    int path = open("/usr/..", O_PATH | O_DIRECTORY);
    struct stat s;
    char byte;
    CHECK(path >= 0 && fstat(path, &s) == 0 && S_ISDIR(s.st_mode));
    CHECK(read(path, &byte, 1) == -1 && errno == EBADF);
    CHECK(fstatat(path, "", &s, AT_EMPTY_PATH) == 0 && S_ISDIR(s.st_mode));
    struct open_how how = { .flags = O_RDONLY | O_DIRECTORY, .resolve = RESOLVE_BENEATH };
    CHECK(syscall(SYS_openat2, path, "..", &how, sizeof how) == -1 && errno == EXDEV);
    int inside = syscall(SYS_openat2, path, "tmp", &how, sizeof how);
    CHECK(inside >= 0);
    how.flags |= 1ull << 40;
    CHECK(syscall(SYS_openat2, path, "tmp", &how, sizeof how) == -1 && errno == EINVAL);
    struct statx x;
    CHECK(statx(path, "tmp", 0, STATX_BASIC_STATS, &x) == 0 && S_ISDIR(x.stx_mode) && fstatat(path, "tmp", &s, 0) == 0 && x.stx_ino == s.st_ino && x.stx_uid == s.st_uid);
    CHECK(statx(inside, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &x) == 0 && x.stx_ino == s.st_ino);
    close(inside);
    close(path);
    return 0;
}

static const char *process_descriptors(void) {
    pid_t p = fork();
    if (p == 0) {
        pause();
        _exit(1);
    }
    int fd = syscall(SYS_pidfd_open, p, 0);
    siginfo_t info;
    CHECK(fd >= 0);
    CHECK(syscall(SYS_pidfd_send_signal, fd, SIGTERM, 0, 0) == 0);
    CHECK(waitid((idtype_t)3 /* P_PIDFD */, fd, &info, WEXITED) == 0 && info.si_pid == p && info.si_code == CLD_KILLED && info.si_status == SIGTERM);
    close(fd);
    return 0;
}

static volatile int ticks;
static void tick(union sigval v) { ticks += v.sival_int; }
static const char *timer_in_a_thread(void) {
    timer_t id;
    struct sigevent event = { .sigev_notify = SIGEV_THREAD, .sigev_notify_function = tick, .sigev_value.sival_int = 3 };
    struct itimerspec every = { { 0, 5000000 }, { 0, 5000000 } };
    CHECK(timer_create(CLOCK_MONOTONIC, &event, &id) == 0 && timer_settime(id, 0, &every, 0) == 0);
    for (int i = 0; i < 2000 && ticks < 9; i++) usleep(5000);
    static char text[64];
    sprintf(text, "%d", ticks);
    CHECK(timer_delete(id) == 0);
    return ticks >= 9 && ticks % 3 == 0 ? 0 : text;
}

static pthread_mutex_t *robust(pthread_mutex_t *at) {
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_setpshared(&a, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&a, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(at, &a);
    return at;
}
static void *takes_and_ends(void *m) {
    pthread_mutex_lock(m);
    return 0;
}
static const char *owner_death(void) {
    pthread_mutex_t *m = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pthread_t t;
    // A thread ends; a process exits; a process's thread does; a process ends by a fault.
    for (int how = 0; how < 4; how++) {
        robust(m);
        if (how == 0) {
            pthread_create(&t, 0, takes_and_ends, m);
            pthread_join(t, 0);
        } else {
            pid_t p = fork();
            if (p == 0) {
                pthread_mutex_lock(m);
                if (how == 2) syscall(SYS_exit, 0);
                if (how == 3) {
                    signal(SIGSEGV, SIG_DFL);
                    *(volatile int *)8 = 1;
                }
                _exit(0);
            }
            wait_for(p);
        }
        struct timespec soon;
        clock_gettime(CLOCK_REALTIME, &soon);
        soon.tv_sec += 5;
        int r = pthread_mutex_timedlock(m, &soon);
        static char text[64];
        sprintf(text, "way %d: %d", how, r);
        if (r != EOWNERDEAD) return text;
        CHECK(pthread_mutex_consistent(m) == 0 && pthread_mutex_unlock(m) == 0 && pthread_mutex_lock(m) == 0 && pthread_mutex_unlock(m) == 0);
    }
    munmap(m, 4096);
    return 0;
}

static const char *mappings(void) {
    char *a = mmap(0, 0x8000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mmap(a + 0x1000, 0x1000, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == MAP_FAILED && errno == EEXIST);
    munmap(a + 0x1000, 0x1000);
    CHECK(mmap(a + 0x1000, 0x1000, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) == a + 0x1000);
    memset(a, 7, 0x8000);
    CHECK(madvise(a + 0x2000, 0x1000, MADV_DONTNEED) == 0 && a[0x2000] == 0 && a[0x1fff] == 7 && a[0x3000] == 7);
    CHECK(madvise((void *)1, 0x1000, MADV_DONTNEED) == -1 && errno == EINVAL);
    // A stack that moves: its words are where they were.
    char *to = mmap(0, 0x8000, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(mremap(a, 0x8000, 0x8000, MREMAP_MAYMOVE | MREMAP_FIXED, to) == to && to[0x7fff] == 7 && to[0x2000] == 0);
    CHECK(mprotect(to, 0x1000, PROT_NONE) == 0 && mprotect(a, 0x1000, PROT_READ) == -1 && errno == ENOMEM);
    munmap(to, 0x8000);
    return 0;
}

static sigjmp_buf back;
static void *fault_address;
static void faulted(int s, siginfo_t *i, void *c) {
    (void)s, (void)c;
    fault_address = i->si_addr;
    siglongjmp(back, 1);
}
static const char *handler_that_jumps(void) {
    struct sigaction a = { .sa_sigaction = faulted, .sa_flags = SA_SIGINFO }, old;
    sigaction(SIGSEGV, &a, &old);
    char *page = mmap(0, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    volatile int seen = 0;
    for (volatile int i = 0; i < 2000; i++) {
        if (sigsetjmp(back, 1) == 0) {
            page[i] = 1;
        } else {
            seen += fault_address == page + i;
        }
    }
    sigaction(SIGSEGV, &old, 0);
    CHECK(seen == 2000);
    munmap(page, 4096);
    return 0;
}

static volatile int bus_code, bus_right;
static void misaligned(int s, siginfo_t *i, void *c) {
    (void)s;
    bus_code = i->si_code;
#if defined(__aarch64__)
    ucontext_t *u = c;
    bus_right = (uint64_t)i->si_addr == u->uc_mcontext.regs[1];
    u->uc_mcontext.pc += 4;
#else
    // Linux tells where the instruction is.
    ucontext_t *u = c;
    bus_right = (uint64_t)i->si_addr == u->uc_mcontext.__gregs[0];
    u->uc_mcontext.__gregs[0] += 4;
#endif
}
static const char *misaligned_atomics(void) {
    static uint64_t memory[2] = { 1, 2 };
    char *at = (char *)memory + 3;
    struct sigaction a = { .sa_sigaction = misaligned, .sa_flags = SA_SIGINFO }, old;
    sigaction(SIGBUS, &a, &old);
#if defined(__aarch64__)
    __asm__ volatile("mov x1, %0\n ldxr x2, [x1]" : : "r"(at) : "x1", "x2", "memory");
#else
    __asm__ volatile("amoadd.d a2, %0, (%0)" : : "r"(at) : "a2", "memory");
#endif
    sigaction(SIGBUS, &old, 0);
    CHECK(bus_code == BUS_ADRALN && bus_right && memory[0] == 1 && memory[1] == 2);
    return 0;
}

typedef int function(void);
static const char *code_that_changes(void) {
#if defined(__aarch64__)
    // mov w0, #n; ret
    uint32_t code[2] = { 0x52800000, 0xd65f03c0 };
    const int shift = 5;
#else
    // li a0, n; ret
    uint32_t code[2] = { 0x00000513, 0x00008067 };
    const int shift = 20;
#endif
    uint32_t *page = mmap(0, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    page[1] = code[1];
    for (uint32_t n = 0; n < 200; n++) {
        CHECK(mprotect(page, 4096, PROT_READ | PROT_WRITE) == 0);
        page[0] = code[0] | n << shift;
        CHECK(mprotect(page, 4096, PROT_READ | PROT_EXEC) == 0);
        __builtin___clear_cache((char *)page, (char *)(page + 2));
        CHECK(((function *)page)() == (int)n);
    }
    munmap(page, 4096);
    return 0;
}

static sigjmp_buf out;
static void back_out(int s) {
    siglongjmp(out, s);
}
// Code of one page calls that of another, many times with the same instruction, and the other changes, goes, and changes in a child only.
static const char *code_of_another_page(void) {
#if defined(__aarch64__)
    // mov w0, #n; ret, and a page before: b .+4096
    uint32_t code[3] = { 0x52800000, 0xd65f03c0, 0x14000400 };
    const int shift = 5;
#else
    // li a0, n; ret, and a page before: j .+4096
    uint32_t code[3] = { 0x00000513, 0x00008067, 0x0000106f };
    const int shift = 20;
#endif
    uint32_t *pages = mmap(0, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0), *other = pages + 1024;
    pages[0] = code[2];
    other[0] = code[0] | 1 << shift;
    other[1] = code[1];
    CHECK(mprotect(pages, 8192, PROT_READ | PROT_EXEC) == 0);
    __builtin___clear_cache((char *)pages, (char *)(pages + 2048));
    function *call = (function *)pages;
    for (int n = 0; n < 100000; n++) CHECK(call() == 1);
    for (int n = 2; n < 100; n++) {
        CHECK(mprotect(other, 4096, PROT_READ | PROT_WRITE) == 0);
        other[0] = code[0] | n << shift;
        CHECK(mprotect(other, 4096, PROT_READ | PROT_EXEC) == 0);
        __builtin___clear_cache((char *)other, (char *)(other + 2));
        CHECK(call() == n && call() == n);
    }
    for (int child = 0; child < 2; child++) {
        pid_t p = fork();
        if (p == 0) {
            for (int n = 200; n < 210; n++) {
                mprotect(other, 4096, PROT_READ | PROT_WRITE);
                other[0] = code[0] | n << shift;
                mprotect(other, 4096, PROT_READ | PROT_EXEC);
                __builtin___clear_cache((char *)other, (char *)(other + 2));
                if (call() != n) _exit(1);
            }
            _exit(23);
        }
        CHECK(call() == 99);
        CHECK(wait_for(p) == 23 && call() == 99);
    }
    struct sigaction a = { .sa_handler = back_out, .sa_flags = SA_NODEFER }, old;
    sigaction(SIGSEGV, &a, &old);
    mprotect(other, 4096, PROT_READ);
    int seen = sigsetjmp(out, 1);
    if (!seen) call();
    CHECK(seen == SIGSEGV);
    mprotect(other, 4096, PROT_READ | PROT_EXEC);
    CHECK(call() == 99);
    munmap(other, 4096);
    seen = sigsetjmp(out, 1);
    if (!seen) call();
    CHECK(seen == SIGSEGV);
    sigaction(SIGSEGV, &old, 0);
    munmap(pages, 4096);
    return 0;
}

static char alternate[65536];
static volatile int depth, on_alternate;
static void deep(int s) {
    char here;
    on_alternate += &here > alternate && &here < alternate + sizeof alternate;
    if (++depth < 5) raise(s);
    depth += 100;
}
static volatile int endless = 1;
__attribute__((noinline)) static int recurse(int n) {
    volatile char room[4096];
    room[n & 4095] = n;
    return endless ? recurse(n + 1) + room[n & 4095] : 0;
}
static volatile int overflow_seen;
static void overflowed(int s) {
    overflow_seen = s;
    siglongjmp(out, 1);
}
static const char *stacks_of_signals(void) {
    stack_t alt = { .ss_sp = alternate, .ss_size = sizeof alternate }, now;
    CHECK(sigaltstack(&alt, 0) == 0 && sigaltstack(0, &now) == 0 && now.ss_size == sizeof alternate && now.ss_flags == 0);
    struct sigaction a = { .sa_handler = deep, .sa_flags = SA_ONSTACK | SA_NODEFER }, old;
    sigaction(SIGUSR2, &a, 0);
    raise(SIGUSR2);
    CHECK(depth == 505 && on_alternate == 5);
    // The stack overflows; the handler is on the other one.
    a.sa_handler = overflowed;
    sigaction(SIGSEGV, &a, &old);
    if (sigsetjmp(out, 1) == 0) recurse(0);
    CHECK(overflow_seen == SIGSEGV);
    // Without room for a frame the process ends.
    pid_t p = fork();
    if (p == 0) {
        alt.ss_flags = SS_DISABLE;
        sigaltstack(&alt, 0);
        recurse(0);
    }
    CHECK(wait_for(p) == -SIGSEGV);
    alt.ss_size = 100, alt.ss_flags = 0;
    CHECK(sigaltstack(&alt, 0) == -1 && errno == ENOMEM);
    sigaction(SIGSEGV, &old, 0);
    alt.ss_flags = SS_DISABLE;
    sigaltstack(&alt, 0);
    return 0;
}

static const char *privileges(void) {
    if (getuid() != 0) return 0;
    pid_t p = fork();
    if (p == 0) {
        if (setgid(65534) || setuid(65534) || getuid() != 65534 || setuid(0) == 0) _exit(1);
        // Mappings, /proc and programs still work.
        FILE *f = fopen("/proc/self/maps", "r");
        if (!f) _exit(2);
        fclose(f);
        char name[300];
        long n = readlink("/proc/self/exe", name, 299);
        if (n < 0) _exit(3);
        name[n] = 0;
        execl(name, "zero", "unprivileged", (char *)0);
        _exit(4);
    }
    int code = wait_for(p);
    static char text[32];
    sprintf(text, "%d", code);
    return code == 22 ? 0 : text;
}

static const char *limits(void) {
    struct rlimit l;
    CHECK(getrlimit(RLIMIT_STACK, &l) == 0);
    // A process that is given less stack has it.
    pid_t p = fork();
    if (p == 0) {
        struct rlimit small = { 256 << 10, 256 << 10 };
        setrlimit(RLIMIT_STACK, &small);
        execl(self, "zero", "code21", (char *)0);
        _exit(errno);
    }
    CHECK(wait_for(p) == 21);
    p = fork();
    if (p == 0) {
        l.rlim_cur = l.rlim_max;
        setrlimit(RLIMIT_STACK, &l);
        execl(self, "zero", "code21", (char *)0);
        _exit(errno);
    }
    CHECK(wait_for(p) == 21);
    return 0;
}

// A return address with bits that do not reach the program counter, often enough that the code is made again.
static const char *returns_with_tags(void) {
    long back = 0;
    for (long n = 0; n < 200000; n++) {
#if defined(__aarch64__)
        __asm__ volatile("bl 1f\n\tadd %0, %0, #1\n\tb 2f\n1:\tbfi x30, %1, #56, #8\n\tret\n2:" : "+r"(back) : "r"(n & 3 ? n : 0) : "x30");
#else
        __asm__ volatile("jal ra, 1f\n\taddi %0, %0, 1\n\tj 2f\n1:\tor ra, ra, %1\n\tret\n2:" : "+r"(back) : "r"(n & 1) : "ra");
#endif
    }
    CHECK(back == 200000);
    return 0;
}

int main(int argc, char **argv) {
    if (argc > 1 && !strcmp(argv[1], "code21")) return strcmp(argv[0], "zero") ? 1 : 21;
    if (argc > 1 && !strcmp(argv[1], "count")) return argc == 15002 && strlen(argv[15001]) == 99 ? 33 : 1;
    if (argc > 1 && !strcmp(argv[1], "script")) return argc == 4 && !strcmp(argv[2], "./script") && !strcmp(argv[3], "more") && !strcmp(argv[0], "./interpreter") ? 44 : 1;
    if (argc > 1 && !strcmp(argv[1], "unprivileged")) return getuid() == 65534 ? 22 : 1;
    static char path[4096];
    long n = readlink("/proc/self/exe", path, sizeof path - 1);
    if (n < 0) return 1;
    path[n] = 0;
    self = path;
    setvbuf(stdout, 0, _IOLBF, 0);
    struct { const char *name, *(*run)(void); } all[] = {
        { "programs by descriptors", exec_descriptor }, { "many arguments", many_arguments }, { "scripts", script_with_a_relative_interpreter },
        { "refused", refused_cleanly }, { "descriptors", descriptors }, { "descriptors of processes", process_descriptors },
        { "a timer's thread", timer_in_a_thread }, { "owners that die", owner_death }, { "mappings", mappings },
        { "a handler that jumps", handler_that_jumps }, { "misaligned atomics", misaligned_atomics }, { "code that changes", code_that_changes },
        { "code of another page", code_of_another_page }, { "stacks of signals", stacks_of_signals },
        { "privileges", privileges }, { "limits", limits },
        { "returns with tags", returns_with_tags },
    };
    for (unsigned i = 0; i < sizeof all / sizeof *all; i++) {
        // One of them alone, by its name.
        if (argc > 1 && strcmp(argv[1], all[i].name)) continue;
        const char *wrong = all[i].run();
        printf("%s: %s\n", all[i].name, wrong ? wrong : "ok");
    }
}
