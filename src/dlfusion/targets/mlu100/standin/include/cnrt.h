// The part of Cambricon's CNRT interface (MLU100, 2019) that generated programs use: devices, queues, notifiers and
// memory.
//
// Written by us from public facts (names, argument types and enumeration values); it is not the vendor's header. A
// program that compiles with it compiles with the vendor's SDK. The implementation beside it runs on the host's CPU.
#pragma once
#include <cstddef>
#include <cstdint>

extern "C" {

typedef enum {
  CNRT_RET_SUCCESS = 0,
  CNRT_RET_WARNING_FAKE_DEVICE = 1,
  CNRT_RET_ERR_INVALID = 632007,
  CNRT_RET_ERR_NOMEM = 632008,
  CNRT_RET_ERR_NODEV = 632009,
  CNRT_RET_ERR_IO = 632010,
  CNRT_RET_ERR_SYS = 632011,
  CNRT_RET_ERR_ACCES = 632012,
  CNRT_RET_ERR_FAULT = 632013,
  CNRT_RET_ERR_BUSY = 632014,
  CNRT_RET_ERR_TIMEOUT = 632015,
  CNRT_RET_ERR_EXIST = 632016,
  CNRT_RET_ERR_NOSYS = 632017,
  CNRT_RET_ERR_AGAIN = 632018,
  CNRT_RET_ERR_NORES = 632019,
  CNRT_RET_ERR_UNSUPPORTED = 632020,
  CNRT_RET_ERR_INVALID_POINTER = 632021,
  CNRT_RET_ERR_NO_EXIST = 632022,
  CNRT_RET_ERR_BROKEN = 632023,
  CNRT_RET_ERR_INIT = 632024,
  CNRT_RET_ERR_QUEUE = 632025,
  CNRT_RET_ERR_OUT_RANGE = 632026,
  CNRT_RET_ERR_MATH_OVERFLOW = 632027,
  CNRT_RET_ERR_FUNC_CALL = 632028,
  CNRT_RET_ERR_UNHANDLED = 632029,
  CNRT_RET_ERR_INVALID_TYPE = 632030,
  CNRT_RET_ERR_INVALID_OP = 632031,
  CNRT_RET_ERR_MLU = 632032,
  CNRT_RET_ERR_ONCHIP_CORE = 632033,
  CNRT_RET_ERR_NOTIFIER = 632034,
  CNRT_RET_ERR_RESHAPE = 632035,
  CNRT_RET_ERR_MEMCPY = 632036,
  CNRT_RET_ERR_ENCRYPT = 632037,
  CNRT_RET_ERR_INVALID_DATADESC = 632038,
  CNRT_RET_ERR_UNKNOWN = 999991
} cnrtRet_t;

typedef enum { CNRT_MEMTYPE_DEFAULT = 0, CNRT_MEMTYPE_LOCKED = 1, CNRT_MEMTYPE_DEV = 2 } cnrtMemType_t;

typedef enum {
  CNRT_MEM_TRANS_DIR_HOST2DEV = 0,
  CNRT_MEM_TRANS_DIR_DEV2DEV = 1,
  CNRT_MEM_TRANS_DIR_DEV2HOST = 2
} cnrtMemTransDir_t;

typedef enum {
  CNRT_CHANNEL_TYPE_NONE = -1,
  CNRT_CHANNEL_TYPE_0 = 0,
  CNRT_CHANNEL_TYPE_1 = 1,
  CNRT_CHANNEL_TYPE_2 = 2,
  CNRT_CHANNEL_TYPE_3 = 3
} cnrtChannelType_t;

// What every compute call is given. `end` closes the list of fields and must be CNRT_PARAM_END.
typedef struct {
  int* data_parallelism;
  unsigned int* affinity;
  void* end;
} cnrtInvokeFuncParam_t;

#define CNRT_PARAM_END (reinterpret_cast<void*>(0xFFFFFFFF))

struct cnrtQueue;
struct cnrtNotifier;
typedef struct cnrtQueue* cnrtQueue_t;
typedef struct cnrtNotifier* cnrtNotifier_t;
typedef uint64_t cnrtDev_t;

const char* cnrtGetErrorStr(cnrtRet_t err_code);
cnrtRet_t cnrtGetLastErr(void);

cnrtRet_t cnrtInit(unsigned int flags);
void cnrtDestroy(void);
cnrtRet_t cnrtGetVersion(unsigned int* ver);

cnrtRet_t cnrtGetDeviceCount(unsigned int* devNum);
cnrtRet_t cnrtGetDeviceHandle(cnrtDev_t* pdev, int ordinal);
cnrtRet_t cnrtSetCurrentDevice(cnrtDev_t dev);
cnrtRet_t cnrtGetCurrentDevice(cnrtDev_t* pdev);
cnrtRet_t cnrtSyncDevice(void);
cnrtRet_t cnrtSetCurrentChannel(cnrtChannelType_t type);
cnrtRet_t cnrtSetStackMem(unsigned int stacksize);  // in MB
cnrtRet_t cnrtGetStackMem(unsigned int* stacksize);

cnrtRet_t cnrtCreateQueue(cnrtQueue_t* pQueue);
cnrtRet_t cnrtDestroyQueue(cnrtQueue_t queue);
cnrtRet_t cnrtSyncQueue(cnrtQueue_t queue);

cnrtRet_t cnrtCreateNotifier(cnrtNotifier_t* notifier);
cnrtRet_t cnrtDestroyNotifier(cnrtNotifier_t* notifier);
cnrtRet_t cnrtPlaceNotifier(cnrtNotifier_t notifier, cnrtQueue_t queue);
cnrtRet_t cnrtNotifierDuration(cnrtNotifier_t start, cnrtNotifier_t end, float* us);

cnrtRet_t cnrtMalloc(void** pPtr, size_t bytes);
cnrtRet_t cnrtMallocBatch(void** pPtr, size_t bytes, int data_parallelism);
cnrtRet_t cnrtFree(void* ptr);
cnrtRet_t cnrtMallocHost(void** pPtr, size_t bytes, cnrtMemType_t type);
cnrtRet_t cnrtFreeHost(void* ptr);
cnrtRet_t cnrtMemcpy(void* dest, void* src, size_t bytes, cnrtMemTransDir_t dir);

}  // extern "C"
