/* The smallest useful program to confine: says one byte on stdout and ends. Linked statically. */
#include <unistd.h>

int main(void) { return write(1, "x", 1) == 1 ? 0 : 1; }
