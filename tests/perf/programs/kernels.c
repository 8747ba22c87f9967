/* The kernels in C, for architectures that our assembler does not know, and for the host itself: kernels NAME REPEATS [THREADS] prints the
   checksum of what NAME computed. What a kernel measures is in the table at the end. As the first process of a machine it asks its console. */
#include <pthread.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/reboot.h>
#include <sys/wait.h>
#include <unistd.h>

typedef uint64_t u64;
typedef uint32_t u32;
#define NOINLINE __attribute__((noinline))

static u64 next(u64 *state) {
    u64 x = *state;
    x ^= x << 13, x ^= x >> 7, x ^= x << 17;
    return *state = x;
}

static u64 mix(u64 h, u64 x) {
    return (h ^ x) * 0x100000001b3ull;
}

/* Primes below 8192. */
static u64 sieve(u64 repeats) {
    static unsigned char composite[8192];
    u64 sum = 0;
    for (u64 r = 0; r < repeats; r++) {
        memset(composite, 0, sizeof composite);
        for (u32 i = 2; i < sizeof composite; i++) {
            if (composite[i]) continue;
            sum += i;
            for (u32 j = i * 2; j < sizeof composite; j += i) composite[j] = 1;
        }
    }
    return sum;
}

/* SipHash's rounds over 256 bytes. */
static u64 hash(u64 repeats) {
    static u64 data[32];
    u64 seed = 1, sum = 0;
    for (int i = 0; i < 32; i++) data[i] = next(&seed);
#define ROT(x, n) ((x) << (n) | (x) >> (64 - (n)))
#define ROUND a += b, c += d, b = ROT(b, 13) ^ a, d = ROT(d, 16) ^ c, a = ROT(a, 32), c += b, a += d, b = ROT(b, 17) ^ c, d = ROT(d, 21) ^ a, c = ROT(c, 32)
    for (u64 r = 0; r < repeats; r++) {
        u64 a = r, b = 0x646f72616e646f6d, c = 0x6c7967656e657261, d = 0x7465646279746573;
        for (int i = 0; i < 32; i++) {
            d ^= data[i];
            ROUND;
            ROUND;
            a ^= data[i];
        }
        ROUND;
        ROUND;
        sum += a ^ b ^ c ^ d;
    }
    return sum;
}

/* Quicksort of 1024 words, by the median of nothing. */
static void quick(u32 *a, int n) {
    while (n > 1) {
        u32 pivot = a[n / 2];
        int i = 0, j = n - 1;
        while (i <= j) {
            while (a[i] < pivot) i++;
            while (a[j] > pivot) j--;
            if (i <= j) {
                u32 t = a[i];
                a[i++] = a[j];
                a[j--] = t;
            }
        }
        quick(a, j + 1);
        a += i, n -= i;
    }
}

static u64 sort(u64 repeats) {
    static u32 a[1024];
    u64 seed = 7, sum = 0;
    for (u64 r = 0; r < repeats; r++) {
        for (int i = 0; i < 1024; i++) a[i] = next(&seed);
        quick(a, 1024);
        for (int i = 0; i < 1024; i += 64) sum = mix(sum, a[i]);
    }
    return sum;
}

/* Fields of records in the first-level cache. */
struct record {
    u64 key, value;
    u32 count, flags;
    u64 links[2];
};

static u64 records(u64 repeats) {
    static struct record table[256];
    u64 sum = 0;
    for (u64 r = 0; r < repeats; r++)
        for (int i = 0; i < 256; i++) {
            struct record *p = &table[i];
            p->key += r;
            p->value += p->key ^ p->links[0];
            p->count++;
            p->flags ^= p->count;
            p->links[0] += p->flags;
            p->links[1] = p->links[0] + p->value;
            sum += p->links[1];
        }
    return sum;
}

/* A list through 16 KiB in random order. */
static u64 chase(u64 repeats) {
    static void *cells[2048];
    static u32 order[2048];
    u64 seed = 3;
    for (u32 i = 0; i < 2048; i++) order[i] = i;
    for (u32 i = 2047; i > 0; i--) {
        u32 j = next(&seed) % (i + 1), t = order[i];
        order[i] = order[j], order[j] = t;
    }
    for (u32 i = 0; i < 2048; i++) cells[order[i]] = &cells[order[(i + 1) % 2048]];
    void **p = &cells[0];
    for (u64 r = 0; r < repeats; r++)
        for (int i = 0; i < 2000; i += 8) {
            p = *p, p = *p, p = *p, p = *p;
            p = *p, p = *p, p = *p, p = *p;
        }
    return (void **)p - cells;
}

/* memcpy and memset of 4 KiB, by the C library. */
static u64 copy(u64 repeats) {
    static unsigned char from[4096], to[4096];
    u64 sum = 0;
    for (u64 r = 0; r < repeats; r++) {
        memset(from, (int)r, sizeof from);
        from[r % 4096] ^= 1;
        memcpy(to, from, sizeof to);
        sum = mix(sum, to[(r * 7) % 4096] + to[r % 4096]);
        __asm__ volatile("" ::"r"(to), "r"(from) : "memory");
    }
    return sum;
}

/* strlen, strchr, memcmp of the C library on words of text. */
static u64 string(u64 repeats) {
    static char text[64][40];
    u64 seed = 5, sum = 0;
    for (int i = 0; i < 64; i++) {
        int n = 6 + next(&seed) % 30;
        for (int j = 0; j < n; j++) text[i][j] = 'a' + next(&seed) % 26;
    }
    for (u64 r = 0; r < repeats; r++)
        for (int i = 0; i < 64; i++) {
            const char *s = text[i], *found = strchr(s, 'a' + (r + i) % 26);
            sum = mix(sum, strlen(s) + (found ? found - s : 99) + (memcmp(s, text[(i + r) % 64], 6) < 0));
        }
    return sum;
}

static NOINLINE u64 fibonacci(u64 n) {
    return n < 2 ? n : fibonacci(n - 1) + fibonacci(n - 2);
}

static u64 fib(u64 repeats) {
    u64 sum = 0;
    for (u64 r = 0; r < repeats; r++) sum += fibonacci(18 + (r & 1));
    return sum;
}

/* Calls through a table, in an order that is hard to guess. */
static NOINLINE u64 add(u64 x) { return x + 3; }
static NOINLINE u64 twist(u64 x) { return x ^ x >> 3; }
static NOINLINE u64 times(u64 x) { return x * 5; }
static NOINLINE u64 less(u64 x) { return x - (x >> 7); }

static u64 icall(u64 repeats) {
    static u64 (*volatile table[4])(u64) = {add, twist, times, less};
    u64 x = 1;
    for (u64 r = 0; r < repeats; r++) x = table[(r * 11 >> 2) & 3](x);
    return x;
}

/* A machine with eight instructions, by a switch and by computed goto. */
static const unsigned char script[16] = {0, 1, 2, 3, 4, 5, 0, 2, 6, 1, 3, 5, 4, 0, 1, 7};

static NOINLINE u64 by_switch(u64 rounds) {
    u64 a = 1, b = 2;
    for (u32 pc = 0;;) {
        switch (script[pc++]) {
        case 0: a += b; break;
        case 1: b ^= a; break;
        case 2: a = a << 1 | a >> 63; break;
        case 3: b += 17; break;
        case 4: a -= b >> 3; break;
        case 5: b *= 3; break;
        case 6: if (a & 1) a ^= b; break;
        case 7:
            if (!--rounds) return a ^ b;
            pc = 0;
        }
    }
}

static NOINLINE u64 by_goto(u64 rounds) {
    static const void *const labels[8] = {&&l0, &&l1, &&l2, &&l3, &&l4, &&l5, &&l6, &&l7};
    u64 a = 1, b = 2;
    u32 pc = 0;
#define NEXT goto *labels[script[pc++]]
    NEXT;
l0: a += b; NEXT;
l1: b ^= a; NEXT;
l2: a = a << 1 | a >> 63; NEXT;
l3: b += 17; NEXT;
l4: a -= b >> 3; NEXT;
l5: b *= 3; NEXT;
l6: if (a & 1) a ^= b; NEXT;
l7: if (!--rounds) return a ^ b;
    pc = 0;
    NEXT;
}

/* A line of the Mandelbrot set. */
static u64 mandel(u64 repeats) {
    u64 sum = 0;
    for (u64 r = 0; r < repeats; r++)
        for (int i = 0; i < 32; i++) {
            double cx = -2.0 + i * 0.09375, cy = (double)(r % 16) / 16, x = 0, y = 0;
            int n = 0;
            while (n < 100 && x * x + y * y < 4) {
                double t = x * x - y * y + cx;
                y = 2 * x * y + cy;
                x = t;
                n++;
            }
            sum += n;
        }
    return sum;
}

/* All kinds of floating point, both widths. */
static u64 fpmix(u64 repeats) {
    volatile double one = 1;
    double a = 1.5, b = 0.75;
    float f = 2.5f;
    u64 sum = 0;
    for (u64 r = 0; r < repeats; r++) {
        a = a * b + one;
        b = __builtin_sqrt(a + 2) / (b + 1.25);
        f = (float)a - f * 0.25f;
        if (a > 3) a -= f;
        sum += (u64)(long)(b * 1024) + (f < 1);
    }
    u64 bits;
    memcpy(&bits, &a, 8);
    return mix(sum, bits);
}

/* Atomic addition and compare-and-swap, alone on the line. */
static u64 atomics(u64 repeats) {
    static u64 counter;
    for (u64 r = 0; r < repeats; r++) {
        __atomic_fetch_add(&counter, r, __ATOMIC_SEQ_CST);
        u64 old = counter;
        __atomic_compare_exchange_n(&counter, &old, old ^ 5, 0, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
    }
    return counter;
}

static u64 acqrel(u64 repeats) {
    static u64 a, b;
    u64 sum = 0;
    for (u64 r = 0; r < repeats; r++) {
        __atomic_store_n(&a, r, __ATOMIC_RELEASE);
        sum += __atomic_load_n(&b, __ATOMIC_ACQUIRE);
        __atomic_store_n(&b, sum ^ r, __ATOMIC_RELEASE);
        sum += __atomic_load_n(&a, __ATOMIC_ACQUIRE);
    }
    return sum;
}

/* Products of 24 x 24 matrices. */
static u64 matmul(u64 repeats) {
    enum { N = 24 };
    static float a[N][N], b[N][N], c[N][N];
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) a[i][j] = (i + j) % 7, b[i][j] = (i * j) % 5;
    for (u64 r = 0; r < repeats; r++) {
        for (int i = 0; i < N; i++)
            for (int j = 0; j < N; j++) c[i][j] = 0;
        for (int i = 0; i < N; i++)
            for (int k = 0; k < N; k++)
                for (int j = 0; j < N; j++) c[i][j] += a[i][k] * b[k][j];
        a[r % N][(r * 5) % N] = (int)c[3][r % N] % 9;
    }
    u64 sum = 0;
    for (int i = 0; i < N; i++)
        for (int j = 0; j < N; j++) sum = mix(sum, (u64)(long)c[i][j]);
    return sum;
}

static const struct {
    const char *name;
    u64 (*run)(u64);
} table[] = {
    {"sieve", sieve}, {"hash", hash}, {"sort", sort}, {"records", records}, {"chase", chase}, {"copy", copy}, {"string", string}, {"fib", fib},
    {"icall", icall}, {"switch", by_switch}, {"goto", by_goto}, {"mandel", mandel}, {"fpmix", fpmix}, {"matmul", matmul}, {"atomics", atomics},
    {"acqrel", acqrel},
};

static u64 (*chosen)(u64);
static u64 repeats;

/* What a thread does shares nothing but code: its result is its own. Kernels with static data of their own are not for threads. */
static void *thread(void *result) {
    *(u64 *)result = chosen(repeats);
    return 0;
}

static int work(const char *name, u64 times, int threads) {
    chosen = 0;
    for (u32 i = 0; i < sizeof table / sizeof *table; i++)
        if (!strcmp(table[i].name, name)) chosen = table[i].run;
    repeats = times;
    if (!chosen || !repeats || threads < 1 || threads > 64) return 2;
    pthread_t ids[64];
    u64 results[64], sum = 0;
    for (int i = 1; i < threads; i++)
        if (pthread_create(&ids[i], 0, thread, &results[i])) return 1;
    thread(&results[0]);
    for (int i = 1; i < threads; i++) pthread_join(ids[i], 0);
    for (int i = 0; i < threads; i++) sum = mix(sum, results[i]);
    printf("checksum=%016llx\n", (unsigned long long)sum);
    return 0;
}

/* The first process of a machine does what its console says, a kernel's name and repeats a line: each by a child, which begins with fresh data. */
static int machine(void) {
    char name[32];
    unsigned long long times;
    setbuf(stdout, 0);
    for (puts("kernels: ready"); scanf("%31s %llu", name, &times) == 2 && strcmp(name, "poweroff");) {
        pid_t child = fork();
        if (!child) _exit(work(name, times, 1));
        int status = 1;
        if (child < 0 || waitpid(child, &status, 0) != child || status) puts("kernels: no such work");
    }
    return reboot(RB_POWER_OFF);
}

int main(int count, char **arguments) {
    if (getpid() == 1) return machine();
    if (count < 3) return 2;
    return work(arguments[1], strtoull(arguments[2], 0, 10), count > 3 ? atoi(arguments[3]) : 1);
}
