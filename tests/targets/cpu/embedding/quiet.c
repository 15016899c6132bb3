/* Counts what the model's threads allocate, map, lock and throw while it runs. Usage: quiet FOLDER.
 *
 * The functions below take the place of the C library's for the whole process, the model's library included. The one
 * thing that is allowed is a worker that falls asleep and is woken: that locks the worker's own mutex, which is one that
 * somebody has waited on with a condition variable. Prints the counts. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "arrays.h"

/* glibc keeps an older kind of condition variables too, and that is what a call without a version finds. */
#if defined(__x86_64__)
#define CONDITION_VERSION "GLIBC_2.3.2"
#else
#define CONDITION_VERSION "GLIBC_2.17"
#endif

enum { RUNS = 300, MUTEXES = 64 };

static atomic_int counting, allocations, mappings, threads, exceptions, own_locks, other_locks;
static pthread_mutex_t* _Atomic worker_mutexes[MUTEXES];
static atomic_int worker_mutex_count;

static void count_one(atomic_int* counter) {
  if (atomic_load(&counting)) atomic_fetch_add(counter, 1);
}

void* __libc_malloc(size_t bytes);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* memory, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
void __libc_free(void* memory);

void* malloc(size_t bytes) {
  count_one(&allocations);
  return __libc_malloc(bytes);
}

void* calloc(size_t count, size_t bytes) {
  count_one(&allocations);
  return __libc_calloc(count, bytes);
}

void* realloc(void* memory, size_t bytes) {
  count_one(&allocations);
  return __libc_realloc(memory, bytes);
}

void* aligned_alloc(size_t alignment, size_t bytes) {
  count_one(&allocations);
  return __libc_memalign(alignment, bytes);
}

int posix_memalign(void** memory, size_t alignment, size_t bytes) {
  count_one(&allocations);
  *memory = __libc_memalign(alignment, bytes);
  return 0;
}

void free(void* memory) {
  count_one(&allocations);
  __libc_free(memory);
}

void* mmap(void* address, size_t bytes, int protection, int flags, int file, off_t offset) {
  count_one(&mappings);
  return (void*)syscall(SYS_mmap, address, bytes, protection, flags, file, offset);
}

int munmap(void* address, size_t bytes) {
  count_one(&mappings);
  return (int)syscall(SYS_munmap, address, bytes);
}

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*), void* argument) {
  typedef int (*Create)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  count_one(&threads);
  return ((Create)dlsym(RTLD_NEXT, "pthread_create"))(thread, attributes, start, argument);
}

void* __cxa_allocate_exception(size_t bytes) {
  count_one(&exceptions);
  return __libc_malloc(bytes);
}

static int is_workers_own(pthread_mutex_t* mutex) {
  int index;
  for (index = 0; index < atomic_load(&worker_mutex_count); index++) {
    if (atomic_load(&worker_mutexes[index]) == mutex) return 1;
  }
  return 0;
}

int pthread_mutex_lock(pthread_mutex_t* mutex) {
  typedef int (*Lock)(pthread_mutex_t*);
  count_one(is_workers_own(mutex) ? &own_locks : &other_locks);
  return ((Lock)dlsym(RTLD_NEXT, "pthread_mutex_lock"))(mutex);
}

int pthread_cond_wait(pthread_cond_t* condition, pthread_mutex_t* mutex) {
  typedef int (*Wait)(pthread_cond_t*, pthread_mutex_t*);
  if (!is_workers_own(mutex)) {
    const int index = atomic_fetch_add(&worker_mutex_count, 1);
    if (index >= MUTEXES) abort();
    atomic_store(&worker_mutexes[index], mutex);
  }
  return ((Wait)dlvsym(RTLD_NEXT, "pthread_cond_wait", CONDITION_VERSION))(condition, mutex);
}

static void sleep_milliseconds(long milliseconds) {
  const struct timespec time = {0, milliseconds * 1000000};
  nanosleep(&time, NULL);
}

int main(int count, char** words) {
  dlfusion_model* model;
  dlfusion_context* context;
  Arrays arrays = make_arrays(0);
  int index;

  CHECK(count == 2);
  atomic_store(&counting, 1);
  CHECK(dlfusion_open(words[1], 0, &model) == DLFUSION_OK);
  CHECK(dlfusion_create(model, &context) == DLFUSION_OK);
  /* Opening and creating do all of it, which shows that it would be counted. */
  CHECK(allocations > 0 && mappings > 0 && threads == dlfusion_cores() - 1);
  atomic_store(&counting, 0);
  CHECK(run(context, &arrays) == DLFUSION_OK);
  while (worker_mutex_count < dlfusion_cores() - 1) sleep_milliseconds(1);

  allocations = mappings = threads = own_locks = other_locks = 0;
  atomic_store(&counting, 1);
  for (index = 0; index < RUNS; index++) {
    CHECK(run(context, &arrays) == DLFUSION_OK);
    /* Now and then long enough that the workers fall asleep. */
    if (index % 50 == 0) sleep_milliseconds(2);
  }
  atomic_store(&counting, 0);
  printf("%d allocations, %d mappings, %d threads, %d exceptions, %d other locks\n", allocations, mappings, threads,
         exceptions, other_locks);
  CHECK(own_locks > 0);

  dlfusion_destroy(context);
  dlfusion_close(model);
  free_arrays(&arrays);
  return 0;
}
