// Threads that run one function on several cores and wait for all of them: fork and join in about a microsecond.
//
// The runtime uses the C library alone, so that a compiled model needs no C++ library where it is embedded.
#pragma once
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#include <atomic>
#include <cstdint>
#include <new>

#include "memory.hpp"

namespace dlfusion {

// Tells the CPU that this is a waiting loop, so that it saves energy and leaves the pipeline to its sibling.
inline void pause_cpu() {
#if defined(__x86_64__) || defined(__i386__)
  asm volatile("pause" ::: "memory");
#elif defined(__aarch64__)
  asm volatile("yield" ::: "memory");
#endif
}

// The CPUs that this process may use, at least 1.
inline int available_cpus() {
#if defined(__linux__)
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof(set), &set) == 0) return CPU_COUNT(&set) > 0 ? CPU_COUNT(&set) : 1;
#endif
  const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
  return cpus > 0 ? static_cast<int>(cpus) : 1;
}

// The CPU that this thread is running on, or -1 where the system does not say.
inline int current_cpu() {
#if defined(__linux__)
  return sched_getcpu();
#else
  return -1;
#endif
}

// Nanoseconds of a clock that is never set back.
inline std::int64_t clock_nanoseconds() {
  timespec time;
  clock_gettime(CLOCK_MONOTONIC, &time);
  return std::int64_t{time.tv_sec} * 1000000000 + time.tv_nsec;
}

// Core 0 is the thread that calls run(); cores 1 and up are workers of the pool. A worker that has nothing to do spins
// for WORKER_SPIN_NANOSECONDS and then sleeps. Each worker has a mailbox in a cache line of its own, so a task disturbs only the cores it
// uses. A pool serves one caller at a time.
class ThreadPool {
 public:
  using Task = void (*)(const void* argument, int core);

  ThreadPool() = default;
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  ~ThreadPool() { stop(); }

  // Starts cores - 1 threads. Returns 0, or the system's error number if it refuses them.
  int start(int cores) {
    // With fewer CPUs than cores, a thread that spins keeps another from the very work it waits for.
    may_spin_ = cores <= available_cpus();
    if (cores <= 1) return 0;
    const int failure = memory_.allocate(sizeof(Worker) * static_cast<std::size_t>(cores - 1));
    if (failure != 0) return failure;
    workers_ = static_cast<Worker*>(memory_.data());
    for (; started_ < cores - 1; started_++) {
      Worker* worker = new (&workers_[started_]) Worker;
      worker->pool = this;
      worker->core = started_ + 1;
      const int refused = create_thread(*worker);
      if (refused != 0) return refused;
    }
    return 0;
  }

  // Calls task(argument, core) for each core in [0, cores) and returns when all calls have returned. `cores` is at most
  // the number the pool was started with. Everything the caller wrote before is visible to the tasks, and back.
  void run(Task task, const void* argument, int cores) {
    if (cores > 1) {
      task_ = task;
      argument_ = argument;
      caller_cpu_ = current_cpu();
      for (int index = 0; index < cores - 1; index++) post(workers_[index]);
    }
    task(argument, 0);
    for (int index = 0; index < cores - 1; index++) join(workers_[index]);
  }

 private:
  // Longer than the gap between the blocks of a run and between runs that follow each other, short enough that an
  // idle pool costs nothing that anyone notices.
  static constexpr std::int64_t WORKER_SPIN_NANOSECONDS = 100000;
  // The caller then spins on, but lets other threads have its CPU in between: one of them may be the worker.
  static constexpr std::int64_t CALLER_SPIN_NANOSECONDS = 25000;
  static constexpr int PAUSES_PER_CLOCK_READ = 32;

  // `posted` and `finished` count tasks; they are equal when the worker is idle.
  struct Worker {
    alignas(64) std::atomic<std::uint32_t> posted{0};
    alignas(64) std::atomic<std::uint32_t> finished{0};
    alignas(64) std::atomic<bool> asleep{false};
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
    pthread_t thread{};
    ThreadPool* pool = nullptr;
    int core = 0;
  };

  // Spins until `done()` holds or the time is over; returns whether it holds.
  template <typename Condition>
  bool spin_until(Condition done, std::int64_t nanoseconds) const {
    if (done()) return true;
    if (!may_spin_) return false;
    const std::int64_t end = clock_nanoseconds() + nanoseconds;
    do {
      for (int pause = 0; pause < PAUSES_PER_CLOCK_READ; pause++) {
        pause_cpu();
        if (done()) return true;
      }
    } while (clock_nanoseconds() < end);
    return false;
  }

  // Hands the worker a task. The order (posted, then asleep) is the reverse of sleep()'s, and both are sequentially
  // consistent: either this thread sees the worker asleep and wakes it, or the worker sees the task and stays awake.
  static void post(Worker& worker) {
    worker.posted.store(worker.posted.load(std::memory_order_relaxed) + 1, std::memory_order_seq_cst);
    if (!worker.asleep.load(std::memory_order_seq_cst)) return;
    pthread_mutex_lock(&worker.mutex);
    pthread_mutex_unlock(&worker.mutex);
    pthread_cond_signal(&worker.wake);
  }

  // Waits for the worker's last task.
  void join(const Worker& worker) const {
    const std::uint32_t target = worker.posted.load(std::memory_order_relaxed);
    const auto done = [&] { return worker.finished.load(std::memory_order_acquire) == target; };
    if (spin_until(done, CALLER_SPIN_NANOSECONDS)) return;
    while (!done()) sched_yield();
  }

  // Waits on the worker's condition variable until a task newer than number `seen` is posted.
  static void sleep(Worker& worker, std::uint32_t seen) {
    pthread_mutex_lock(&worker.mutex);
    worker.asleep.store(true, std::memory_order_seq_cst);
    while (worker.posted.load(std::memory_order_seq_cst) == seen) pthread_cond_wait(&worker.wake, &worker.mutex);
    worker.asleep.store(false, std::memory_order_relaxed);
    pthread_mutex_unlock(&worker.mutex);
  }

  // Starts the worker's thread with all signals blocked: they belong to the threads of the program that embeds us.
  static int create_thread(Worker& worker) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    const int refused = pthread_create(&worker.thread, nullptr, serve, &worker);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return refused;
  }

  static void* serve(void* worker) {
    static_cast<Worker*>(worker)->pool->serve(*static_cast<Worker*>(worker));
    return nullptr;
  }

  // A worker's life: it ends with the first task it gets after stop() was called.
  void serve(Worker& worker) {
    bool in_the_way = false;
    for (std::uint32_t seen = 0;; seen++) {
      const auto posted = [&] { return worker.posted.load(std::memory_order_acquire) != seen; };
      if (in_the_way || !spin_until(posted, WORKER_SPIN_NANOSECONDS)) sleep(worker, seen);
      if (task_ == nullptr) return;
      task_(argument_, worker.core);
      // On a busy machine the system may put worker and caller on one CPU, where a worker that spins holds up the
      // caller that it waits for. Sleeping frees the CPU, and the system chooses a CPU anew when it wakes the worker.
      const int cpu = current_cpu();
      in_the_way = cpu >= 0 && cpu == caller_cpu_;
      worker.finished.store(seen + 1, std::memory_order_release);
    }
  }

  // Ends the threads that were started.
  void stop() {
    task_ = nullptr;
    for (int index = 0; index < started_; index++) post(workers_[index]);
    for (int index = 0; index < started_; index++) pthread_join(workers_[index].thread, nullptr);
  }

  ZeroedMemory memory_;
  Worker* workers_ = nullptr;
  int started_ = 0;
  bool may_spin_ = false;
  Task task_ = nullptr;
  const void* argument_ = nullptr;
  int caller_cpu_ = -1;
};

}  // namespace dlfusion
