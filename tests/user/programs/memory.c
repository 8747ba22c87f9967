// Mappings that grow, move and go; the kernel's library; what /proc says of the program.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

// The vdso's function, and the version of its symbols.
#ifdef __riscv
#define CLOCK_GETTIME "__vdso_clock_gettime", "LINUX_4.15"
#else
#define CLOCK_GETTIME "__kernel_clock_gettime", "LINUX_2.6.39"
#endif

static int maps_has(void *p, const char *what) {
    char line[512];
    FILE *f = fopen("/proc/self/maps", "r");
    int found = 0;
    while (fgets(line, sizeof line, f)) {
        unsigned long a, b;
        if (sscanf(line, "%lx-%lx", &a, &b) == 2 && a <= (unsigned long)p && (unsigned long)p < b) found = strstr(line, what) != 0;
    }
    fclose(f);
    return found;
}

int main(int count, char **words) {
    char *p = mmap(0, 4 << 20, 0, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    mmap(p, 65536, 3, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memset(p, 1, 65536);
    munmap(p + 32768, (4 << 20) - 32768);
    char *q = mremap(p, 32768, 65536, 0);
    printf("grows in place: %d\n", q == p && q[32767] == 1 && q[65535] == 0);
    memset(p + 32768, 2, 32768);
    mmap(p + 65536, 4096, 0, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
    printf("not into others: %d\n", mremap(p, 65536, 1 << 20, 0) == MAP_FAILED);
    q = mremap(p, 65536, 1 << 20, MREMAP_MAYMOVE);
    printf("moves: %d\n", q != MAP_FAILED && q[5] == 1 && q[40000] == 2 && q[70000] == 0);
    char *block = malloc(1 << 20);
    int good = 1;
    for (int i = 1; i < 200; i++) {
        block[(1 << 20) + (i - 1) * 100000 - 1] = i;
        block = realloc(block, (1 << 20) + i * 100000);
        good &= block[(1 << 20) + (i - 1) * 100000 - 1] == (char)i;
    }
    printf("realloc: %d\n", good);
    // Address space is free of charge.
    char *huge = mmap(0, 1l << 44, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    good = huge != MAP_FAILED && mprotect(huge + (1l << 43), 4096, 3) == 0;
    huge[(1l << 43) + 5] = 1;
    printf("reservation: %d\n", good && munmap(huge, 1l << 44) == 0);
    unsigned char *vdso = (unsigned char *)getauxval(AT_SYSINFO_EHDR);
    printf("vdso: %d\n", vdso && !memcmp(vdso, "\177ELF", 4));
    void *library = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
    int (*now)(int, struct timespec *) = library ? dlvsym(library, CLOCK_GETTIME) : 0;
    struct timespec t = { 0 };
    printf("clock: %d\n", now && now(CLOCK_REALTIME, &t) == 0 && t.tv_sec > 1000000000);
    char text[4096] = "", name[4096] = "";
    FILE *f = fopen("/proc/self/stat", "r");
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    char *field = strrchr(text, ')');
    for (int i = 2; i < 28; i++) field = strchr(field + 1, ' ');
    unsigned long stack = strtoul(field, 0, 10);
    printf("stat: %d %d %d\n", n > 0, strstr(text, "(memory)") != 0, maps_has((void *)stack, "[stack]"));
    printf("maps: %d %d\n", maps_has(&good, "[stack]"), maps_has((void *)main, "r-xp"));
    n = readlink("/proc/self/exe", name, sizeof name);
    printf("exe: %d\n", n > 7 && !strcmp(name + n - 7, "/memory"));
    f = fopen("/proc/self/cmdline", "r");
    n = fread(text, 1, sizeof text, f);
    fclose(f);
    printf("cmdline: %d\n", n == strlen(words[0]) + 1 + (count > 1 ? strlen(words[1]) + 1 : 0) && !strcmp(text, words[0]));
    return 0;
}
