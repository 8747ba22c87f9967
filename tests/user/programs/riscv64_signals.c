// What signals, faults and the kernel's own questions look like on riscv64. A line each.
#define _GNU_SOURCE
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

enum { PAGE = 4096 };
static volatile struct { int signal, code, on_alternate; uint64_t address, pc; } seen;
static char *stack;
static sigjmp_buf back;
static int wants_jump;

static void on_fault(int signal, siginfo_t *info, void *context) {
    ucontext_t *u = context;
    char here;
    seen.signal = signal;
    seen.code = info->si_code;
    seen.address = (uint64_t)info->si_addr;
    seen.pc = u->uc_mcontext.__gregs[0];
    seen.on_alternate = &here >= stack && &here < stack + 65536;
    if (wants_jump) siglongjmp(back, 1);
    // Behind the instruction, whatever its length.
    u->uc_mcontext.__gregs[0] += (*(uint16_t *)seen.pc & 3) == 3 ? 4 : 2;
}

static void show(const char *what, uint64_t address) {
    printf("%s: signal %d code %d address %s, alternate %d\n", what, seen.signal, seen.code, seen.address == address ? "right" : "wrong", seen.on_alternate);
    memset((void *)&seen, 0, sizeof seen);
}

// Each register and the rounding mode become something else.
static void change(int signal, siginfo_t *info, void *context) {
    mcontext_t *m = &((ucontext_t *)context)->uc_mcontext;
    for (int r = 5; r < 32; r++)
        if (r != 8) m->__gregs[r] = r * 0x0101010101010101;
    for (int r = 0; r < 32; r++) m->__fpregs.__d.__f[r] = 0x4000000000000000 + r;
    m->__fpregs.__d.__fcsr = 0x75;
    m->__gregs[0] += 2 + 2 * ((*(uint16_t *)m->__gregs[0] & 3) == 3);
    // What the handler itself does with registers and flags is nobody's business.
    asm volatile("fscsr zero");
    volatile double d = 1;
    d /= 3;
}

// Stores all registers behind an instruction that makes a signal.
void changed(uint64_t *);
asm(".text\n"
    "changed: addi sp, sp, -192; sd s0, 0(sp)\n"
    "sd s1, 8(sp); sd s2, 16(sp); sd s3, 24(sp); sd s4, 32(sp); sd s5, 40(sp); sd s6, 48(sp); sd s7, 56(sp); sd s8, 64(sp); sd s9, 72(sp); sd s10, 80(sp); sd s11, 88(sp)\n"
    "fsd fs0, 96(sp); fsd fs1, 104(sp); fsd fs2, 112(sp); fsd fs3, 120(sp); fsd fs4, 128(sp); fsd fs5, 136(sp); fsd fs6, 144(sp); fsd fs7, 152(sp); fsd fs8, 160(sp); fsd fs9, 168(sp); fsd fs10, 176(sp); fsd fs11, 184(sp)\n"
    "fscsr zero; mv s0, a0; ebreak\n"
    "sd x5, 40(s0); sd x6, 48(s0); sd x7, 56(s0); sd x9, 72(s0); sd x10, 80(s0); sd x11, 88(s0); sd x12, 96(s0); sd x13, 104(s0); sd x14, 112(s0)\n"
    "sd x15, 120(s0); sd x16, 128(s0); sd x17, 136(s0); sd x18, 144(s0); sd x19, 152(s0); sd x20, 160(s0); sd x21, 168(s0); sd x22, 176(s0); sd x23, 184(s0)\n"
    "sd x24, 192(s0); sd x25, 200(s0); sd x26, 208(s0); sd x27, 216(s0); sd x28, 224(s0); sd x29, 232(s0); sd x30, 240(s0); sd x31, 248(s0)\n"
    "fsd f0, 256(s0); fsd f1, 264(s0); fsd f2, 272(s0); fsd f3, 280(s0); fsd f4, 288(s0); fsd f5, 296(s0); fsd f6, 304(s0); fsd f7, 312(s0)\n"
    "fsd f8, 320(s0); fsd f9, 328(s0); fsd f10, 336(s0); fsd f11, 344(s0); fsd f12, 352(s0); fsd f13, 360(s0); fsd f14, 368(s0); fsd f15, 376(s0)\n"
    "fsd f16, 384(s0); fsd f17, 392(s0); fsd f18, 400(s0); fsd f19, 408(s0); fsd f20, 416(s0); fsd f21, 424(s0); fsd f22, 432(s0); fsd f23, 440(s0)\n"
    "fsd f24, 448(s0); fsd f25, 456(s0); fsd f26, 464(s0); fsd f27, 472(s0); fsd f28, 480(s0); fsd f29, 488(s0); fsd f30, 496(s0); fsd f31, 504(s0)\n"
    "frcsr t0; sd t0, 512(s0)\n"
    "ld s0, 0(sp); ld s1, 8(sp); ld s2, 16(sp); ld s3, 24(sp); ld s4, 32(sp); ld s5, 40(sp); ld s6, 48(sp); ld s7, 56(sp); ld s8, 64(sp); ld s9, 72(sp); ld s10, 80(sp); ld s11, 88(sp)\n"
    "fld fs0, 96(sp); fld fs1, 104(sp); fld fs2, 112(sp); fld fs3, 120(sp); fld fs4, 128(sp); fld fs5, 136(sp); fld fs6, 144(sp); fld fs7, 152(sp); fld fs8, 160(sp); fld fs9, 168(sp); fld fs10, 176(sp); fld fs11, 184(sp)\n"
    "addi sp, sp, 192; ret\n");

static volatile int count;
static void counted(int signal) { count++; }

static int handle(int signal, void (*f)(int, siginfo_t *, void *), int flags) {
    struct sigaction a = { .sa_sigaction = f, .sa_flags = SA_SIGINFO | flags };
    return sigaction(signal, &a, 0);
}

int main(void) {
    struct utsname names;
    uname(&names);
    printf("%s hwcap %#lx platform %d\n", names.machine, getauxval(AT_HWCAP), getauxval(AT_PLATFORM) != 0);
    stack = mmap(0, 65536, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stack_t alternate = { .ss_sp = stack, .ss_size = 65536 };
    sigaltstack(&alternate, 0);
    int all[] = { SIGSEGV, SIGBUS, SIGILL, SIGTRAP };
    for (int i = 0; i < 4; i++) handle(all[i], on_fault, SA_ONSTACK);

    char *area = mmap(0, 8 * PAGE, 3, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(area + PAGE, PAGE);
    mprotect(area + 2 * PAGE, PAGE, PROT_READ);
    uint64_t v = 0;
    asm volatile("ld %0, 8(%1)" : "+r"(v) : "r"(area + PAGE));
    show("load of nothing", (uint64_t)area + PAGE + 8);
    asm volatile("sd %0, 16(%1)" : : "r"(v), "r"(area + 2 * PAGE));
    show("store to what is read only", (uint64_t)area + 2 * PAGE + 16);
    asm volatile("ld %0, 0(%1)" : "+r"(v) : "r"(area + PAGE - 3));
    show("load across into nothing", (uint64_t)area + PAGE);
    asm volatile("amoadd.w zero, %0, (%1)" : : "r"(v), "r"(area + PAGE));
    show("atomic of nothing", (uint64_t)area + PAGE);
    asm volatile("fld ft0, 0(%0)" : : "r"(0x7000000000000000) : "ft0");
    printf("load outside: signal %d\n", seen.signal);
    uint64_t at;
    asm volatile("la %0, 1f\n1: ebreak" : "=r"(at));
    show("ebreak", at);
    asm volatile("la %0, 1f\n1: .word 0xffffffff" : "=r"(at));
    show("illegal", at);
    asm volatile("la %0, 1f\n1: csrr zero, sstatus" : "=r"(at));
    show("supervisor's register", at);
    wants_jump = 1;
    if (!sigsetjmp(back, 1)) ((void (*)(void))(area + 3 * PAGE))();
    show("jump to what is not executable", (uint64_t)area + 3 * PAGE);
    if (!sigsetjmp(back, 1)) ((void (*)(void))8)();
    show("jump to nothing", 8);
    // An instruction of which the second half lies in a page that is not there.
    char *code = mmap(0, 2 * PAGE, 7, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    munmap(code + PAGE, PAGE);
    *(uint16_t *)(code + PAGE - 2) = 0x0013;
    __builtin___clear_cache(code, code + PAGE);
    if (!sigsetjmp(back, 1)) ((void (*)(void))(code + PAGE - 2))();
    printf("half an instruction: pc %d, ", seen.pc == (uint64_t)code + PAGE - 2);
    show("it", (uint64_t)code + PAGE);
    wants_jump = 0;

    // Registers as the handler leaves them.
    handle(SIGTRAP, change, 0);
    uint64_t r[65];
    changed(r);
    printf("registers:");
    for (int n = 5; n < 32; n++)
        if (n != 8) printf(" %d", r[n] == n * 0x0101010101010101);
    printf("\nfloating point:");
    for (int n = 0; n < 32; n++) printf(" %d", r[32 + n] == 0x4000000000000000 + n);
    printf(" fcsr %lx\n", r[64]);
    asm volatile("fscsr zero");

    // Masks, pending signals, restarted calls.
    struct sigaction a = { .sa_handler = counted, .sa_flags = SA_RESTART };
    sigaction(SIGUSR1, &a, 0);
    struct sigaction old;
    sigaction(SIGUSR1, 0, &old);
    printf("action: %d %x\n", old.sa_handler == counted, old.sa_flags & ~0x04000000);
    sigset_t set, before;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    sigprocmask(SIG_BLOCK, &set, &before);
    raise(SIGUSR1);
    sigpending(&set);
    printf("blocked: %d %d\n", count, sigismember(&set, SIGUSR1));
    sigprocmask(SIG_SETMASK, &before, 0);
    printf("let through: %d\n", count);
    int ends[2];
    if (pipe(ends)) return 1;
    pid_t parent = getpid();
    pid_t child = fork();
    if (!child) {
        usleep(100000);
        kill(parent, SIGUSR1);
        usleep(100000);
        _exit(write(ends[1], "x", 1) != 1);
    }
    char c = 0;
    long n = read(ends[0], &c, 1);
    int status;
    waitpid(child, &status, 0);
    printf("restarted: %ld %c %d %d\n", n, c, count, status);

    // The kernel's own calls of this architecture.
    struct { int64_t key; uint64_t value; } pairs[] = { { 3, 7 }, { 4, 7 }, { 1000, 7 } };
    long e = syscall(258, pairs, 3, 0, 0, 0);
    printf("hwprobe: %ld %ld %lu %d %ld %lu\n", e, pairs[0].key, pairs[0].value, (int)(pairs[1].value & 3), pairs[2].key, pairs[2].value);
    printf("flush_icache: %ld\n", (long)syscall(259, 0l, -1l, 0l));
    uint64_t t1, t2;
    asm volatile("rdtime %0" : "=r"(t1));
    usleep(2000);
    asm volatile("rdtime %0" : "=r"(t2));
    printf("time: %d\n", t2 > t1);
    return 0;
}
