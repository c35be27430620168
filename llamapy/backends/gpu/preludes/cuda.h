/* The words of the dialect, for CUDA C++ as NVRTC compiles it, without headers. */
/* 512 lanes at once are enough: the compiler need not spill to have more */
#define KERNEL extern "C" __global__ void __launch_bounds__(LANES, 512 / LANES)
#define DEVICE static __device__ __forceinline__
#define GLOBAL
#define TABLE static __device__ const
#define LOCAL_VAR __shared__
#define LOCAL_PTR
#define BARRIER __syncthreads()
#define UNROLLED(times) _Pragma(TEXT_OF(unroll times))
#define TEXT_OF(x) #x
#define GROUP ((int)blockIdx.x)
#define LANE ((int)threadIdx.x)
#define FLOAT_BITS(x) __float_as_uint(x)
#define BITS_FLOAT(x) __uint_as_float(x)
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)

typedef signed char schar;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;
typedef unsigned long long ulong;

DEVICE float HALF_TO_FLOAT(ushort h) {
    float x;
    asm("cvt.f32.f16 %0, %1;" : "=f"(x) : "h"(h));
    return x;
}

DEVICE ushort FLOAT_TO_HALF(float x) {
    ushort h;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h) : "f"(x));
    return h;
}

/* a product that is rounded before it is added to something */
#define TIMES(a, b) __fmul_rn(a, b)

#define DOT4(a, b, sum) __dp4a((int)(a), (int)(b), (int)(sum))
#define ATOMIC_ADD(at, x) atomicAdd(at, x)
#define PICK(low, high, places) __byte_perm(low, high, places)

DEVICE float sum_of_32(float x, float *room) {
    for (int i = 16; i > 0; i /= 2) x += __shfl_xor_sync(0xffffffffu, x, i);
    return x;
}
DEVICE float max_of_32(float x, float *room) {
    for (int i = 16; i > 0; i /= 2) x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, i));
    return x;
}
