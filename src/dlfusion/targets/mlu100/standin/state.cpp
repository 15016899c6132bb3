// Start and end of the library, its status codes, simulated times, and the search for leaks.
#include "state.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace standin {
namespace {

// What a process that leaked ends with if DLFUSION_STANDIN_STRICT is 1.
constexpr int STRICT_EXIT_STATUS = 70;
constexpr unsigned int DEFAULT_STACK_MEGABYTES = 4;
constexpr cnrtDev_t DEVICE = 0;

struct Times {
  bool given = false;
  std::vector<double> microseconds;
  std::size_t next = 0;
};

struct State {
  std::mutex lock;
  int cnml_users = 0;
  int cnrt_users = 0;
  bool leaked = false;
  unsigned int session = 1;  // how often the library was started: a thread's device is forgotten when it stops
  unsigned int stack_megabytes = DEFAULT_STACK_MEGABYTES;
  Times times;
  std::vector<Leakable*> kinds;
  std::uintptr_t last_handle = std::uintptr_t{1} << 54;
};

// Never freed, because the search for leaks runs after static objects are gone.
State& state() {
  static State* const only = new State;
  return *only;
}

thread_local unsigned int session_with_device = 0;
thread_local cnrtRet_t last_error = CNRT_RET_SUCCESS;

bool is_on(const char* variable) {
  const char* const value = std::getenv(variable);
  return value != nullptr && std::strcmp(value, "1") == 0;
}

// The times in a file: each line begins with a number of microseconds; empty lines and those that begin with # do not
// count.
std::vector<double> read_times(std::FILE* file, const std::string& path) {
  std::vector<double> times;
  char line[256];
  while (std::fgets(line, sizeof line, file) != nullptr) {
    const char* text = line + std::strspn(line, " \t\r\n");
    if (*text == '\0' || *text == '#') continue;
    char* end = nullptr;
    const double microseconds = std::strtod(text, &end);
    if (end == text || !(microseconds >= 0.0)) {
      std::fclose(file);
      fail(Fault::BAD_VALUE, "times file " + path + ": no time in microseconds: " + line);
    }
    times.push_back(microseconds);
  }
  std::fclose(file);
  return times;
}

void load_times() {
  Times& times = state().times;
  times = Times{};
  const char* const variable = std::getenv("DLFUSION_STANDIN_TIMES");
  std::string path = variable != nullptr ? variable : "";
#ifdef DLFUSION_STANDIN_TIMES
  if (variable == nullptr) path = DLFUSION_STANDIN_TIMES;
#endif
  if (path.empty()) return;
  std::FILE* const file = std::fopen(path.c_str(), "r");
  if (file == nullptr) {
    require(variable == nullptr, Fault::BAD_VALUE,
            "DLFUSION_STANDIN_TIMES names " + path + ": " + std::strerror(errno));
    std::fprintf(stderr, "standin: cannot read %s (%s): notifiers report the time this computer takes\n", path.c_str(),
                 std::strerror(errno));
    return;
  }
  times.microseconds = read_times(file, path);
  require(!times.microseconds.empty(), Fault::BAD_VALUE, "times file " + path + " has no times");
  times.given = true;
}

void report_leaks() {
  std::vector<Leakable*> kinds = state().kinds;
  std::sort(kinds.begin(), kinds.end(),
            [](const Leakable* a, const Leakable* b) { return std::strcmp(a->kind(), b->kind()) < 0; });
  for (Leakable* const kind : kinds) {
    if (kind->live() == 0) continue;
    std::fprintf(stderr, "standin: leaked: %zu x %s\n", kind->live(), kind->kind());
    state().leaked = true;
    kind->clear();
  }
}

void leave(int& users) {
  --users;
  if (state().cnml_users + state().cnrt_users > 0) return;
  report_leaks();
  state().stack_megabytes = DEFAULT_STACK_MEGABYTES;
  ++state().session;
}

// Runs when the process ends, after the destructors of static objects.
__attribute__((destructor)) void look_for_leaks_at_end() {
  if (state().cnml_users + state().cnrt_users > 0) {
    std::fprintf(stderr, "standin: leaked: the library itself; call cnmlExit (or cnrtDestroy) at the end\n");
    state().leaked = true;
  }
  report_leaks();
  if (!state().leaked || !is_on("DLFUSION_STANDIN_STRICT")) return;
  std::fflush(nullptr);
  std::_Exit(STRICT_EXIT_STATUS);
}

}  // namespace

cnmlStatus_t cnml_status(Fault fault) {
  switch (fault) {
    case Fault::NOT_INITIALIZED:
    case Fault::NO_DEVICE:
      return CNML_STATUS_NODEVICE;
    case Fault::BAD_HANDLE:
    case Fault::BAD_VALUE:
    case Fault::BAD_SHAPE:
      return CNML_STATUS_INVALIDPARAM;
    case Fault::BAD_POINTER:
      return CNML_STATUS_INVALIDARG;
    case Fault::BAD_TYPE:
      return CNML_STATUS_BADTYPEID;
    case Fault::TOO_SMALL:
      return CNML_STATUS_LENGTHERR;
    case Fault::OUT_OF_RANGE:
      return CNML_STATUS_OUTOFRANGE;
    case Fault::NO_MEMORY:
      return CNML_STATUS_BADALLOC;
    case Fault::UNSUPPORTED:
      return CNML_STATUS_UNSUPPORT;
    case Fault::WRONG_ORDER:
      return CNML_STATUS_DOMAINERR;
  }
  return CNML_STATUS_INVALIDPARAM;
}

cnrtRet_t cnrt_status(Fault fault) {
  switch (fault) {
    case Fault::NOT_INITIALIZED:
      return CNRT_RET_ERR_INIT;
    case Fault::NO_DEVICE:
      return CNRT_RET_ERR_NODEV;
    case Fault::BAD_HANDLE:
    case Fault::BAD_VALUE:
      return CNRT_RET_ERR_INVALID;
    case Fault::BAD_SHAPE:
      return CNRT_RET_ERR_INVALID_DATADESC;
    case Fault::BAD_POINTER:
      return CNRT_RET_ERR_INVALID_POINTER;
    case Fault::BAD_TYPE:
      return CNRT_RET_ERR_INVALID_TYPE;
    case Fault::TOO_SMALL:
    case Fault::OUT_OF_RANGE:
      return CNRT_RET_ERR_OUT_RANGE;
    case Fault::NO_MEMORY:
      return CNRT_RET_ERR_NOMEM;
    case Fault::UNSUPPORTED:
      return CNRT_RET_ERR_UNSUPPORTED;
    case Fault::WRONG_ORDER:
      return CNRT_RET_ERR_INVALID_OP;
  }
  return CNRT_RET_ERR_UNKNOWN;
}

std::mutex& library_lock() { return state().lock; }

void report(const char* function, const Failure& failure) {
  if (is_on("DLFUSION_STANDIN_VERBOSE")) std::fprintf(stderr, "standin: %s: %s\n", function, failure.text.c_str());
}

void remember(cnrtRet_t code) { last_error = code; }

void require_initialized() {
  require(state().cnml_users + state().cnrt_users > 0, Fault::NOT_INITIALIZED, "call cnmlInit (or cnrtInit) first");
}

void require_device() {
  require(session_with_device == state().session, Fault::NO_DEVICE,
          "this thread has no device; call cnrtSetCurrentDevice first");
}

Leakable::Leakable(const char* kind) : kind_(kind) { state().kinds.push_back(this); }

std::uintptr_t new_handle() { return state().last_handle += 64; }

std::optional<double> next_operator_microseconds() {
  Times& times = state().times;
  if (!times.given) return std::nullopt;
  return times.microseconds[times.next++ % times.microseconds.size()];
}

bool times_are_simulated() { return state().times.given; }

unsigned int stack_megabytes() { return state().stack_megabytes; }

}  // namespace standin

using namespace standin;

cnmlStatus_t cnmlInit(int flag) {
  const std::optional<Fault> fault = guarded("cnmlInit", [&] {
    require(flag == 0, Fault::BAD_VALUE, "the flag must be 0");
    load_times();
    ++state().cnml_users;
  });
  return fault ? cnml_status(*fault) : CNML_STATUS_SUCCESS;
}

cnmlStatus_t cnmlExit() {
  const std::optional<Fault> fault = guarded("cnmlExit", [] {
    require(state().cnml_users > 0, Fault::NOT_INITIALIZED, "call cnmlInit first");
    leave(state().cnml_users);
  });
  return fault ? cnml_status(*fault) : CNML_STATUS_SUCCESS;
}

cnmlStatus_t cnmlGetVersion(unsigned int* ver) {
  return cnml_call("cnmlGetVersion", [&] {
    require_argument(ver, "the place for the version");
    *ver = 0;  // no version of the vendor's
  });
}

cnrtRet_t cnrtInit(unsigned int flags) {
  const std::optional<Fault> fault = guarded("cnrtInit", [&] {
    require(flags == 0, Fault::BAD_VALUE, "the flags must be 0");
    if (state().cnml_users + state().cnrt_users == 0) load_times();
    ++state().cnrt_users;
  });
  return fault ? cnrt_status(*fault) : CNRT_RET_SUCCESS;
}

void cnrtDestroy(void) {
  guarded("cnrtDestroy", [] {
    require(state().cnrt_users > 0, Fault::NOT_INITIALIZED, "call cnrtInit first");
    leave(state().cnrt_users);
  });
}

cnrtRet_t cnrtGetVersion(unsigned int* ver) {
  return cnrt_call("cnrtGetVersion", [&] {
    require_argument(ver, "the place for the version");
    *ver = 0;  // no version of the vendor's
  });
}

cnrtRet_t cnrtGetLastErr(void) { return last_error; }

cnrtRet_t cnrtGetDeviceCount(unsigned int* devNum) {
  return cnrt_call("cnrtGetDeviceCount", [&] {
    require_argument(devNum, "the place for the count");
    *devNum = 1;
  });
}

cnrtRet_t cnrtGetDeviceHandle(cnrtDev_t* pdev, int ordinal) {
  return cnrt_call("cnrtGetDeviceHandle", [&] {
    require_argument(pdev, "the place for the device");
    require(ordinal == 0, Fault::NO_DEVICE, "there is one device, number 0");
    *pdev = DEVICE;
  });
}

cnrtRet_t cnrtSetCurrentDevice(cnrtDev_t dev) {
  return cnrt_call("cnrtSetCurrentDevice", [&] {
    require(dev == DEVICE, Fault::NO_DEVICE, "no such device; cnrtGetDeviceHandle gives it");
    session_with_device = state().session;
  });
}

cnrtRet_t cnrtGetCurrentDevice(cnrtDev_t* pdev) {
  return cnrt_call("cnrtGetCurrentDevice", [&] {
    require_argument(pdev, "the place for the device");
    require_device();
    *pdev = DEVICE;
  });
}

cnrtRet_t cnrtSetCurrentChannel(cnrtChannelType_t type) {
  return cnrt_call("cnrtSetCurrentChannel", [&] {
    require_device();
    require(type >= CNRT_CHANNEL_TYPE_NONE && type <= CNRT_CHANNEL_TYPE_3, Fault::BAD_VALUE, "channels are -1 to 3");
  });
}

cnrtRet_t cnrtSetStackMem(unsigned int stacksize) {
  return cnrt_call("cnrtSetStackMem", [&] {
    require_device();
    require(stacksize > 0, Fault::BAD_VALUE, "the stack must have at least 1 MB");
    state().stack_megabytes = stacksize;
  });
}

cnrtRet_t cnrtGetStackMem(unsigned int* stacksize) {
  return cnrt_call("cnrtGetStackMem", [&] {
    require_argument(stacksize, "the place for the size");
    require_device();
    *stacksize = state().stack_megabytes;
  });
}

const char* cnrtGetErrorStr(cnrtRet_t err_code) {
  switch (err_code) {
    case CNRT_RET_SUCCESS:
      return "success";
    case CNRT_RET_ERR_INIT:
      return "the library is not initialized";
    case CNRT_RET_ERR_NODEV:
      return "no device";
    case CNRT_RET_ERR_INVALID:
      return "invalid argument";
    case CNRT_RET_ERR_INVALID_DATADESC:
      return "invalid data description";
    case CNRT_RET_ERR_INVALID_POINTER:
      return "invalid pointer";
    case CNRT_RET_ERR_INVALID_TYPE:
      return "invalid type";
    case CNRT_RET_ERR_OUT_RANGE:
      return "out of range";
    case CNRT_RET_ERR_NOMEM:
      return "no memory";
    case CNRT_RET_ERR_UNSUPPORTED:
      return "unsupported";
    case CNRT_RET_ERR_INVALID_OP:
      return "operation not possible now";
    default:
      return "an error that the stand-in never reports";
  }
}
