// Children that all do what their parent never does.
#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

static int work(int n) {
    char text[8][32];
    for (int i = 0; i < 8; i++) snprintf(text[i], sizeof text[i], "%.*f %08x %s", i, n / 3.0 + i, i * 77, "words");
    qsort(text, 8, sizeof text[0], by_text);
    regex_t r;
    if (regcomp(&r, "^[0-9]+\\.[0-9]{3} .*(wo|w)rds$", REG_EXTENDED)) return 1;
    int found = 0;
    for (int i = 0; i < 8; i++) found += !regexec(&r, text[i], 0, 0, 0);
    regfree(&r);
    struct tm t;
    time_t when = strtol("86400000", 0, 10);
    return found != 1 || !gmtime_r(&when, &t) || t.tm_year != 72;
}

int main(int argc, char **argv) {
    (void)argv;
    for (int n = 0; n < 4; n++) {
        pid_t p = fork();
        if (p == 0) _exit(work(argc + n) ? 1 : 40 + n);
        int status;
        if (waitpid(p, &status, 0) != p || status != (40 + n) << 8) _exit(100 + n);
    }
    _exit(0);
}
