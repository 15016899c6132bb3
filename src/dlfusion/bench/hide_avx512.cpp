// Hides AVX-512, and what AVX2 machines lack beside it, from whatever this process loads later.
//
// Linux lets a thread, and those it starts, fault on the instruction CPUID (arch_prctl(2), ARCH_SET_CPUID), by which
// engines choose their kernels. The handler executes it in their stead and clears the features' bits. Their numbers are
// those of the tables of leaf 7 in Intel's "Software Developer's Manual", volume 2A, CPUID.

#include <asm/prctl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#include <cstdint>

namespace {

constexpr std::uint32_t bits() { return 0; }
template <class... Rest>
constexpr std::uint32_t bits(int first, Rest... rest) {
  return (std::uint32_t{1} << first) | bits(rest...);
}

// Leaf 7, part 0: the extensions of AVX-512, GFNI and the vector AES that need no AVX-512 stay.
constexpr std::uint32_t HIDDEN_0_EBX = bits(16, 17, 21, 26, 27, 28, 30, 31);
constexpr std::uint32_t HIDDEN_0_ECX = bits(1, 6, 11, 12, 14);
constexpr std::uint32_t HIDDEN_0_EDX = bits(2, 3, 8, 22, 23, 24, 25);  // also AMX
// Leaf 7, part 1: VNNI and IFMA for AVX, bf16 and fp16 for AVX-512 and AMX, int8 for AVX.
constexpr std::uint32_t HIDDEN_1_EAX = bits(4, 5, 21, 23);
constexpr std::uint32_t HIDDEN_1_EDX = bits(4, 5, 10);

bool allow_cpuid(bool allowed) { return syscall(SYS_arch_prctl, ARCH_SET_CPUID, allowed ? 1L : 0L) == 0; }

void on_fault(int, siginfo_t*, void* context) {
  greg_t* registers = static_cast<ucontext_t*>(context)->uc_mcontext.gregs;
  const auto* code = reinterpret_cast<const unsigned char*>(registers[REG_RIP]);
  if (code[0] != 0x0f || code[1] != 0xa2) {  // not CPUID: a true fault, which is to end the process
    signal(SIGSEGV, SIG_DFL);
    return;
  }
  const auto leaf = static_cast<std::uint32_t>(registers[REG_RAX]);
  const auto part = static_cast<std::uint32_t>(registers[REG_RCX]);
  std::uint32_t a = leaf, b = 0, c = part, d = 0;
  allow_cpuid(true);
  asm volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
  allow_cpuid(false);
  if (leaf == 7 && part == 0) {
    b &= ~HIDDEN_0_EBX;
    c &= ~HIDDEN_0_ECX;
    d &= ~HIDDEN_0_EDX;
  } else if (leaf == 7 && part == 1) {
    a &= ~HIDDEN_1_EAX;
    d &= ~HIDDEN_1_EDX;
  }
  registers[REG_RAX] = a;
  registers[REG_RBX] = b;
  registers[REG_RCX] = c;
  registers[REG_RDX] = d;
  registers[REG_RIP] += 2;
}

}  // namespace

// From now on this thread and those that it starts see a CPU without AVX-512; false if this machine cannot do that.
extern "C" __attribute__((visibility("default"))) bool hide_avx512() {
  struct sigaction action {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO | SA_NODEFER;
  return sigaction(SIGSEGV, &action, nullptr) == 0 && allow_cpuid(false);
}
