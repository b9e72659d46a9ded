// LD_PRELOAD shim: histogram of live heap blocks by usable size; SIGUSR1 writes it to
// $LIVEHEAP.<n>. run.sh builds and uses it.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <fcntl.h>
#define MAXC 20000
static _Atomic long live[MAXC];
static _Atomic long big_n, big_b;
static void *(*rm)(size_t), *(*rc)(size_t, size_t), *(*rr)(void *, size_t);
static void (*rf)(void *);
static int (*rp)(void **, size_t, size_t);
static void *(*ra)(size_t, size_t);
static char boot[65536]; static size_t bootn;
static void note(void *p, long d) {
  if (!p) return;
  size_t s = malloc_usable_size(p), c = s / 16;
  if (c < MAXC) live[c] += d; else { big_n += d; big_b += d * (long)s; }
}
static void init(void) {
  rc = dlsym(RTLD_NEXT, "calloc"); rm = dlsym(RTLD_NEXT, "malloc");
  rr = dlsym(RTLD_NEXT, "realloc"); rf = dlsym(RTLD_NEXT, "free");
  rp = dlsym(RTLD_NEXT, "posix_memalign"); ra = dlsym(RTLD_NEXT, "aligned_alloc");
}
#define I if (!rm) init()
void *malloc(size_t n) { I; void *p = rm(n); note(p, 1); return p; }
void *calloc(size_t a, size_t b) {
  if (!rc) { void *p = boot + bootn; bootn += (a * b + 15) & ~15UL; return p; }
  void *p = rc(a, b); note(p, 1); return p;
}
void *realloc(void *o, size_t n) { I; note(o, -1); void *p = rr(o, n); note(p, 1); return p; }
void free(void *p) {
  if ((char *)p >= boot && (char *)p < boot + sizeof boot) return;
  I; note(p, -1); rf(p);
}
int posix_memalign(void **o, size_t a, size_t n) { I; int r = rp(o, a, n); if (!r) note(*o, 1); return r; }
void *aligned_alloc(size_t a, size_t n) { I; void *p = ra(a, n); note(p, 1); return p; }
static void dump(int s) {
  (void)s; static int k; char f[512];
  snprintf(f, sizeof f, "%s.%d", getenv("LIVEHEAP") ? getenv("LIVEHEAP") : "liveheap", k++);
  int d = open(f, O_CREAT | O_TRUNC | O_WRONLY, 0644); char b[64];
  for (int i = 0; i < MAXC; i++) if (live[i]) write(d, b, snprintf(b, 64, "%d %ld\n", i * 16, (long)live[i]));
  if (big_n) write(d, b, snprintf(b, 64, "%ld %ld\n", (long)(big_b / big_n), (long)big_n));
  close(d);
}
__attribute__((constructor)) static void setup(void) { I; signal(SIGUSR1, dump); }
