// The part of Cambricon's CNML interface (MLU100, 2019) that generated programs use: tensors, operators, fusion.
//
// Written by us from public facts (names, argument types and enumeration values); it is not the vendor's header. A
// program that compiles with it compiles with the vendor's SDK. The implementation beside it runs on the host's CPU.
//
// Shapes are always given in the order n, c, h, w. Host data lie in the order of the CPU tensor, device data as NHWC.
#pragma once
#include "cnrt.h"

extern "C" {

// --- enumerations --------------------------------------------------------------------------------------------------

typedef enum { CNML_1H8 = 1, CNML_1H16 = 2, CNML_C10 = 3, CNML_MLU100 = CNML_C10 } cnmlCoreVersion_t;

// An order names the axes from the outermost to the innermost.
typedef enum {
  CNML_NCHW = 0,
  CNML_NCWH = 1,
  CNML_NHCW = 2,
  CNML_NHWC = 3,
  CNML_NWHC = 4,
  CNML_NWCH = 5,
  CNML_CNHW = 6,
  CNML_CNWH = 7,
  CNML_CHNW = 8,
  CNML_CHWN = 9,
  CNML_CWHN = 10,
  CNML_CWNH = 11,
  CNML_HCNW = 12,
  CNML_HCWN = 13,
  CNML_HNCW = 14,
  CNML_HNWC = 15,
  CNML_HWNC = 16,
  CNML_HWCN = 17,
  CNML_WCHN = 18,
  CNML_WCNH = 19,
  CNML_WHCN = 20,
  CNML_WHNC = 21,
  CNML_WNHC = 22,
  CNML_WNCH = 23
} cnmlDataOrder_t;

typedef enum {
  CNML_DATA_INVALID = 0,
  CNML_DATA_FLOAT16 = 1,
  CNML_DATA_FLOAT32 = 2,
  CNML_DATA_DOUBLE = 3,
  CNML_DATA_FIX8 = 4,
  CNML_DATA_INT8 = 4,
  CNML_DATA_INT16 = 6,
  CNML_DATA_INT32 = 7,
  CNML_DATA_UINT8 = 8,
  CNML_DATA_UINT16 = 9,
  CNML_DATA_UINT32 = 10,
  CNML_DATA_QUANT8 = 11,
  CNML_DATA_BINARY = 12,
  CNML_DATA_BOOL = 13
} cnmlDataType_t;

typedef enum {
  CNML_STATUS_NODEVICE = -1,
  CNML_STATUS_SUCCESS = 0,
  CNML_STATUS_DOMAINERR = 1,
  CNML_STATUS_INVALIDARG = 2,
  CNML_STATUS_LENGTHERR = 3,
  CNML_STATUS_OUTOFRANGE = 4,
  CNML_STATUS_RANGEERR = 5,
  CNML_STATUS_OVERFLOWERR = 6,
  CNML_STATUS_UNDERFLOWERR = 7,
  CNML_STATUS_INVALIDPARAM = 8,
  CNML_STATUS_BADALLOC = 9,
  CNML_STATUS_BADTYPEID = 10,
  CNML_STATUS_BADCAST = 11,
  CNML_STATUS_UNSUPPORT = 12
} cnmlStatus_t;

typedef enum { CNML_TENSOR = 0, CNML_FILTER = 1, CNML_CONST = 2 } cnmlTensorType_t;
typedef enum { CNML_NoSparse = 0, CNML_Sparse = 1 } cnmlSparseMode_t;
typedef enum { CNML_POOL_AVG = 0, CNML_POOL_MAX = 1, CNML_POOL_MAXINDEX = 2 } cnmlPoolMode_t;
// KFULL: a window may reach over the end of the map (sizes round up). KVALID: it may not (they round down).
typedef enum { CNML_POOL_KFULL = 0, CNML_POOL_KVALID = 1 } cnmlPoolStrategyMode_t;

typedef enum {
  CNML_SOFTMAX_DIM_C = 1,
  CNML_SOFTMAX_DIM_W = 2,
  CNML_SOFTMAX_DIM_H = 3,
  CNML_SOFTMAX_DIM_N = 4
} cnmlSoftmaxDim_t;

typedef enum {
  CNML_ACTIVE_NONE = 0,
  CNML_ACTIVE_SIGMOID = 1,
  CNML_ACTIVE_RELU = 2,
  CNML_ACTIVE_TANH = 3,
  CNML_ACTIVE_RELU1 = 4,
  CNML_ACTIVE_RELU6 = 5
} cnmlActiveFunction_t;

typedef enum { CNML_DIM_N = 0, CNML_DIM_C = 1, CNML_DIM_H = 2, CNML_DIM_W = 3 } cnmlDimension_t;

typedef enum {
  CNML_CONCAT_FEAT = 0,
  CNML_CONCAT_BATCH = 1,
  CNML_CONCAT_HIGHT = 2,
  CNML_CONCAT_WIDTH = 3
} cnmlConcatMode_t;

typedef enum { CNML_SPLIT_FEAT = 0, CNML_SPLIT_BATCH = 1, CNML_SPLIT_HIGHT = 2, CNML_SPLIT_WIDTH = 3 } cnmlSplitMode_t;

typedef enum {
  CNML_CAST_FLOAT32_TO_UINT8 = 0,
  CNML_CAST_UINT8_TO_FLOAT32 = 1,
  CNML_CAST_INT8_TO_FLOAT16 = 3,
  CNML_CAST_FLOAT16_TO_FLOAT32 = 4,
  CNML_CAST_FLOAT16_TO_INT8 = 5,
  CNML_CAST_FLOAT32_TO_FLOAT16 = 6,
  CNML_CAST_INT16_TO_FLOAT16 = 7,
  CNML_CAST_FLOAT16_TO_INT16 = 8
} cnmlCastType_t;

// With S = alpha * (sum of the squares of local_size channels around): y = x / (S / m + k) ^ beta, where m is
// V1: min(local_size, 2 * channels - 1); V2: 1; V3: local_size.
typedef enum { CNML_LRN_V1 = 0, CNML_LRN_V2 = 1, CNML_LRN_V3 = 2 } cnmlLrnType_t;

// --- handles -------------------------------------------------------------------------------------------------------

#define CNML_HANDLE(name) \
  struct name;            \
  typedef struct name* name##_t

CNML_HANDLE(cnmlTensor);
CNML_HANDLE(cnmlCpuTensor);
CNML_HANDLE(cnmlBaseOp);
CNML_HANDLE(cnmlFusionOp);
CNML_HANDLE(cnmlConvOpParam);
CNML_HANDLE(cnmlConvDepthwiseOpParam);
CNML_HANDLE(cnmlAddPadOpParam);
CNML_HANDLE(cnmlPoolOpParam);
CNML_HANDLE(cnmlConcatOpParam);
CNML_HANDLE(cnmlSplitOpParam);
CNML_HANDLE(cnmlLrnOpParam);
CNML_HANDLE(cnmlReshapeOpParam);
CNML_HANDLE(cnmlTransposeOpParam);
CNML_HANDLE(cnmlInterpOpParam);

#undef CNML_HANDLE

// --- life cycle, tensors, memory -----------------------------------------------------------------------------------

cnmlStatus_t cnmlInit(int flag);
cnmlStatus_t cnmlExit();
cnmlStatus_t cnmlGetVersion(unsigned int* ver);

cnmlStatus_t cnmlCreateTensor(cnmlTensor_t* tensor, cnmlTensorType_t tensor_type, cnmlDataType_t data_type, int n,
                              int c, int h, int w);
cnmlStatus_t cnmlDestroyTensor(cnmlTensor_t* tensor);
cnmlStatus_t cnmlSetTensorDataType(cnmlTensor_t tensor, cnmlDataType_t dtype);
cnmlDataType_t cnmlGetTensorDataType(cnmlTensor_t tensor);
cnmlStatus_t cnmlSetTensorShape(cnmlTensor_t tensor, int dim_num, int dim_values[]);
void cnmlGetTensorShape(cnmlTensor_t tensor, int* shape);
size_t cnmlGetTensorSize(cnmlTensor_t tensor);  // in bytes

cnmlStatus_t cnmlCreateCpuTensor(cnmlCpuTensor_t* cpu_tensor, cnmlTensorType_t tensor_type, cnmlDataType_t data_type,
                                 cnmlDataOrder_t data_order, int n, int c, int h, int w);
cnmlStatus_t cnmlDestroyCpuTensor(cnmlCpuTensor_t* cpu_tensor);

cnmlStatus_t cnmlBindConstData(cnmlTensor_t tensor, cnmlCpuTensor_t cpu_tensor, void* cpu_tensor_ptr);

void* cnmlMalloc(size_t size);
void* cnmlMallocBatch(size_t size, int data_parallelism);
void* cnmlMallocBuffer(cnmlTensor_t tensor);
void* cnmlMallocBatchBuffer(cnmlTensor_t tensor, int data_parallelism);
cnmlStatus_t cnmlFreeBuffer(void* ptr);

cnmlStatus_t cnmlMemcpyTensorToDevice(cnmlCpuTensor_t cpu_tensor, void* src, cnmlTensor_t cnml_tensor, void* dst);
cnmlStatus_t cnmlMemcpyTensorToHost(cnmlTensor_t cnml_tensor, void* src, cnmlCpuTensor_t cpu_tensor, void* dst);
cnmlStatus_t cnmlMemcpyBatchTensorToDevice(cnmlCpuTensor_t cpu_tensor, void* src, cnmlTensor_t cnml_tensor, void* dst,
                                           int data_parallelism);
cnmlStatus_t cnmlMemcpyBatchTensorToHost(cnmlTensor_t cnml_tensor, void* src, cnmlCpuTensor_t cpu_tensor, void* dst,
                                         int data_parallelism);

// --- base operators ------------------------------------------------------------------------------------------------

cnmlStatus_t cnmlCompileBaseOp(cnmlBaseOp_t op, cnmlCoreVersion_t version, int model_parallelism);
cnmlStatus_t cnmlDestroyBaseOp(cnmlBaseOp_t* op);
cnmlStatus_t cnmlCheckBaseOpRunnable(cnmlBaseOp_t op, cnmlCoreVersion_t version);
cnmlStatus_t cnmlGetBaseOpRequiredStackSize(cnmlBaseOp_t op, int64_t* size);
cnmlStatus_t cnmlGetIOCount(cnmlBaseOp_t op, int64_t* iocount);
cnmlStatus_t cnmlGetMaxMemUsed(cnmlBaseOp_t op, int64_t* totalmem, int64_t* sharemem, int64_t* privatemem);

// Pads are the totals of both sides.
cnmlStatus_t cnmlCreateConvOpParam(cnmlConvOpParam_t* param, int stride_height, int stride_width, int dilation_height,
                                   int dilation_width, int pad_height, int pad_width, cnmlSparseMode_t sparse);
cnmlStatus_t cnmlDestroyConvOpParam(cnmlConvOpParam_t* param);
cnmlStatus_t cnmlCreateConvOp(cnmlBaseOp_t* op, cnmlConvOpParam_t param, cnmlTensor_t input_tensor,
                              cnmlTensor_t output_tensor, cnmlTensor_t filter_tensor, cnmlTensor_t bias_tensor);
cnmlStatus_t cnmlCreateConvGroupOp(cnmlBaseOp_t* op, cnmlConvOpParam_t param, cnmlTensor_t input_tensor,
                                   cnmlTensor_t output_tensor, cnmlTensor_t filter_tensor, cnmlTensor_t bias_tensor,
                                   int group);
cnmlStatus_t cnmlCreateConvDepthwiseOpParam(cnmlConvDepthwiseOpParam_t* param, int stride_height, int stride_width);
cnmlStatus_t cnmlCreateConvDepthwiseOpParam_V3(cnmlConvDepthwiseOpParam_t* param, int stride_height, int stride_width,
                                               int pad_height, int pad_width);
cnmlStatus_t cnmlDestroyConvDepthwiseOpParam(cnmlConvDepthwiseOpParam_t* param);
cnmlStatus_t cnmlCreateConvDepthwiseOp(cnmlBaseOp_t* op, cnmlConvDepthwiseOpParam_t param, cnmlTensor_t input_tensor,
                                       cnmlTensor_t output_tensor, cnmlTensor_t filter_tensor,
                                       cnmlTensor_t bias_tensor);

cnmlStatus_t cnmlCreateAddPadOpParam(cnmlAddPadOpParam_t* param, int pad_height, int pad_width, float pad_value);
cnmlStatus_t cnmlCreateAddPadOp4Param(cnmlAddPadOpParam_t* param, int pad_htop, int pad_hbottom, int pad_wleft,
                                      int pad_wright, float pad_value);
cnmlStatus_t cnmlDestroyAddPadOpParam(cnmlAddPadOpParam_t* param);
cnmlStatus_t cnmlCreateAddPadOp(cnmlBaseOp_t* op, cnmlAddPadOpParam_t param, cnmlTensor_t input_tensor,
                                cnmlTensor_t output_tensor);

cnmlStatus_t cnmlCreatePoolOpParam(cnmlPoolOpParam_t* param, int window_height, int window_width, int stride_height,
                                   int stride_width, int pad_height, int pad_width, int dilation_height,
                                   int dilation_width, cnmlPoolMode_t pool_mode, cnmlPoolStrategyMode_t strategy_mode,
                                   bool real);
cnmlStatus_t cnmlDestroyPoolOpParam(cnmlPoolOpParam_t* param);
cnmlStatus_t cnmlGetPoolOpOutputDim(cnmlTensor_t input, cnmlPoolOpParam_t param, int* no, int* co, int* ho, int* wo);
cnmlStatus_t cnmlCreatePoolOp(cnmlBaseOp_t* op, cnmlPoolOpParam_t param, cnmlTensor_t input, cnmlTensor_t output);

cnmlStatus_t cnmlCreateActiveOp(cnmlBaseOp_t* op, cnmlActiveFunction_t fn, cnmlTensor_t input, cnmlTensor_t output);
cnmlStatus_t cnmlCreatePreluOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output, cnmlTensor_t prelu_param);
cnmlStatus_t cnmlCreateBatchNormOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output, cnmlTensor_t mean,
                                   cnmlTensor_t var);
cnmlStatus_t cnmlCreateScaleOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output, cnmlTensor_t alpha,
                               cnmlTensor_t beta);

cnmlStatus_t cnmlCreateAddOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateSubOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateMultOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateCoeffAddOp(cnmlBaseOp_t* op, float coeff_1, float coeff_2, cnmlTensor_t a, cnmlTensor_t b,
                                  cnmlTensor_t output);
cnmlStatus_t cnmlCreateMaxTTOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateCycleAddOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateCycleSubOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateCycleMultOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateBroadcastAddOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateBroadcastSubOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);
cnmlStatus_t cnmlCreateBroadcastMultOp(cnmlBaseOp_t* op, cnmlTensor_t a, cnmlTensor_t b, cnmlTensor_t output);

cnmlStatus_t cnmlCreateMlpOp(cnmlBaseOp_t* op, cnmlTensor_t input_tensor, cnmlTensor_t output_tensor,
                             cnmlTensor_t filter_tensor, cnmlTensor_t bias_tensor, cnmlSparseMode_t sparse);
cnmlStatus_t cnmlCreateMatrixMultOp(cnmlBaseOp_t* op, cnmlTensor_t lhs_tensor, cnmlTensor_t rhs_tensor,
                                    cnmlTensor_t output_tensor, cnmlTensor_t bias_tensor);
cnmlStatus_t cnmlCreateSoftmaxOp(cnmlBaseOp_t* op, cnmlSoftmaxDim_t dim, cnmlTensor_t input, cnmlTensor_t output);

cnmlStatus_t cnmlCreateConcatOpParam(cnmlConcatOpParam_t* param, int input_num, int output_num, cnmlConcatMode_t mode);
cnmlStatus_t cnmlDestroyConcatOpParam(cnmlConcatOpParam_t* param);
cnmlStatus_t cnmlCreateConcatOp(cnmlBaseOp_t* op, cnmlConcatOpParam_t param, cnmlTensor_t* inputs, int input_num,
                                cnmlTensor_t* outputs, int output_num);
cnmlStatus_t cnmlCreateSplitOpParam(cnmlSplitOpParam_t* param, int input_num, int output_num, cnmlSplitMode_t mode);
cnmlStatus_t cnmlDestroySplitOpParam(cnmlSplitOpParam_t* param);
cnmlStatus_t cnmlCreateSplitOp(cnmlBaseOp_t* op, cnmlSplitOpParam_t param, cnmlTensor_t* inputs, int input_num,
                               cnmlTensor_t* outputs, int output_num);

cnmlStatus_t cnmlCreateLrnOpParam(cnmlLrnOpParam_t* param, cnmlLrnType_t type, int local_size, double alpha,
                                  double beta, double k);
cnmlStatus_t cnmlDestroyLrnOpParam(cnmlLrnOpParam_t* param);
cnmlStatus_t cnmlCreateLrnOp(cnmlBaseOp_t* op, cnmlLrnOpParam_t param, cnmlTensor_t input, cnmlTensor_t output);

cnmlStatus_t cnmlCreateReshapeOpParam(cnmlReshapeOpParam_t* param, int no, int co, int ho, int wo, cnmlDataOrder_t df);
cnmlStatus_t cnmlDestroyReshapeOpParam(cnmlReshapeOpParam_t* param);
cnmlStatus_t cnmlCreateReshapeOp(cnmlBaseOp_t* op, cnmlReshapeOpParam_t param, cnmlTensor_t input,
                                 cnmlTensor_t output);
cnmlStatus_t cnmlCreateTransposeOpParam(cnmlTransposeOpParam_t* param, cnmlDataOrder_t cpu_data_order, int dim_id_0,
                                        int dim_id_1, int dim_id_2, int dim_id_3);
cnmlStatus_t cnmlDestroyTransposeOpParam(cnmlTransposeOpParam_t* param);
cnmlStatus_t cnmlCreateTransposeProOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output,
                                      cnmlTransposeOpParam_t param);
cnmlStatus_t cnmlCreateShuffleChannelOp(cnmlBaseOp_t* op, cnmlTensor_t* inputs, cnmlTensor_t* outputs, int group);
cnmlStatus_t cnmlCreateDeviceMemcpyOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output);

// The width comes before the height.
cnmlStatus_t cnmlCreateInterpOpParam(cnmlInterpOpParam_t* param, int output_width, int output_height,
                                     bool align_corners);
cnmlStatus_t cnmlDestroyInterpOpParam(cnmlInterpOpParam_t* param);
cnmlStatus_t cnmlCreateInterpOp(cnmlBaseOp_t* op, cnmlTensor_t input, cnmlTensor_t output, cnmlInterpOpParam_t param);

cnmlStatus_t cnmlCreateCastOp(cnmlBaseOp_t* op, cnmlCastType_t cast_type, cnmlTensor_t input, cnmlTensor_t output);
cnmlStatus_t cnmlCreateReduceMeanOp(cnmlBaseOp_t* op, cnmlDimension_t mode, cnmlTensor_t input, cnmlTensor_t output);
cnmlStatus_t cnmlCreateReduceSumOp(cnmlBaseOp_t* op, cnmlDimension_t mode, cnmlTensor_t input, cnmlTensor_t output);

// --- compute calls: data arguments are device addresses, null for a constant ---------------------------------------

#define CNML_COMPUTE_1(name)                                                          \
  cnmlStatus_t cnmlCompute##name##OpForward_V3(cnmlBaseOp_t op, void* input, void* output, \
                                               cnrtInvokeFuncParam_t* compute_forw_param, cnrtQueue_t queue)
#define CNML_COMPUTE_2(name)                                                                   \
  cnmlStatus_t cnmlCompute##name##OpForward_V3(cnmlBaseOp_t op, void* a, void* b, void* output, \
                                               cnrtInvokeFuncParam_t* compute_forw_param, cnrtQueue_t queue)

CNML_COMPUTE_1(Conv);
CNML_COMPUTE_1(ConvGroup);
CNML_COMPUTE_1(ConvDepthwise);
CNML_COMPUTE_1(AddPad);
CNML_COMPUTE_1(Pool);
CNML_COMPUTE_1(Active);
CNML_COMPUTE_1(Prelu);
CNML_COMPUTE_1(BatchNorm);
CNML_COMPUTE_1(Scale);
CNML_COMPUTE_1(Mlp);
CNML_COMPUTE_1(Softmax);
CNML_COMPUTE_1(Lrn);
CNML_COMPUTE_1(Reshape);
CNML_COMPUTE_1(TransposePro);
CNML_COMPUTE_1(DeviceMemcpy);
CNML_COMPUTE_1(Interp);
CNML_COMPUTE_1(Cast);
CNML_COMPUTE_1(ReduceMean);
CNML_COMPUTE_1(ReduceSum);
CNML_COMPUTE_2(Add);
CNML_COMPUTE_2(Sub);
CNML_COMPUTE_2(Mult);
CNML_COMPUTE_2(CoeffAdd);
CNML_COMPUTE_2(MaxTT);
CNML_COMPUTE_2(CycleAdd);
CNML_COMPUTE_2(CycleSub);
CNML_COMPUTE_2(CycleMult);
CNML_COMPUTE_2(BroadcastAdd);
CNML_COMPUTE_2(BroadcastSub);
CNML_COMPUTE_2(BroadcastMult);
CNML_COMPUTE_2(MatrixMult);

#undef CNML_COMPUTE_1
#undef CNML_COMPUTE_2

cnmlStatus_t cnmlComputeConcatOpForward_V3(cnmlBaseOp_t op, void* inputs[], int input_num, void* outputs[],
                                           int output_num, cnrtInvokeFuncParam_t* compute_forw_param,
                                           cnrtQueue_t queue);
cnmlStatus_t cnmlComputeSplitOpForward_V3(cnmlBaseOp_t op, void* inputs[], int input_num, void* outputs[],
                                          int output_num, cnrtInvokeFuncParam_t* compute_forw_param,
                                          cnrtQueue_t queue);
cnmlStatus_t cnmlComputeShuffleChannelOpForward_V3(cnmlBaseOp_t op, void* inputs[], void* outputs[],
                                                   cnrtInvokeFuncParam_t* compute_forw_param, cnrtQueue_t queue);

// --- fusion --------------------------------------------------------------------------------------------------------

cnmlStatus_t cnmlCreateFusionOp(cnmlFusionOp_t* op);
cnmlStatus_t cnmlDestroyFusionOp(cnmlFusionOp_t* op);
cnmlStatus_t cnmlFuseOp(cnmlBaseOp_t op, cnmlFusionOp_t fusion_op);
cnmlStatus_t cnmlSetFusionIO(cnmlFusionOp_t op, cnmlTensor_t* inputs, int input_num, cnmlTensor_t* outputs,
                             int output_num);
cnmlStatus_t cnmlAddFusionInput(cnmlFusionOp_t op, cnmlTensor_t input);
cnmlStatus_t cnmlAddFusionOutput(cnmlFusionOp_t op, cnmlTensor_t output);
cnmlStatus_t cnmlCompileFusionOp(cnmlFusionOp_t op, cnmlCoreVersion_t version, int model_parallelism);
cnmlStatus_t cnmlComputeFusionOpForward_V3(cnmlFusionOp_t op, void* inputs[], int input_num, void* outputs[],
                                           int output_num, cnrtInvokeFuncParam_t* compute_forw_param,
                                           cnrtQueue_t queue);
cnmlStatus_t cnmlGetFusionOpRequiredStackSize(cnmlFusionOp_t op, int64_t* size);
cnmlStatus_t cnmlGetFusionIOCount(cnmlFusionOp_t op, int64_t* iocount);
cnmlStatus_t cnmlGetFusionMaxMemUsed(cnmlFusionOp_t op, int64_t* totalmem, int64_t* sharemem, int64_t* privatemem);

}  // extern "C"
