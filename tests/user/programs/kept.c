// A number that is in the code, printed as many times as asked for.
#include <stdio.h>
#include <stdlib.h>

__attribute__((noinline)) static int number(int n)
{
    return n * 100000 + VALUE;
}

int main(int argc, char **argv)
{
    for (int n = 0; n < atoi(argv[1]); n++)
        printf("%d\n", number(n));
    return argc - 2;
}
