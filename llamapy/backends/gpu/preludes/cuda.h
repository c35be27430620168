/* The words of the dialect, for CUDA C++ as NVRTC compiles it, without headers, and for HIP as hipcc
 * and HIPRTC compile it. */
#if defined(__HIP__) && !defined(__HIPCC_RTC__)
#include <hip/hip_runtime.h>
#endif

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
#define ATOMIC_ADD(at, x) atomicAdd(at, x)
#define PICK(low, high, places) __byte_perm(low, high, places)

typedef signed char schar;
typedef unsigned char uchar;
typedef unsigned short ushort;
typedef unsigned int uint;

#ifdef __HIP__

typedef unsigned long ulong;
#define KERNEL extern "C" __global__ void __launch_bounds__(LANES)
#ifndef INFINITY
#define INFINITY __builtin_inff()
#endif
#ifndef NAN
#define NAN __builtin_nanf("")
#endif
#define EXCHANGED(x, i) __shfl_xor(x, i, 32)

DEVICE float HALF_TO_FLOAT(ushort h) { return (float)__builtin_bit_cast(_Float16, h); }
DEVICE ushort FLOAT_TO_HALF(float x) { return __builtin_bit_cast(ushort, (_Float16)x); }

/* a product that is rounded before it is added to something */
DEVICE float TIMES(float a, float b) {
#pragma clang fp contract(off)
    return a * b;
}

#if defined(__gfx906__) || defined(__gfx908__) || defined(__gfx90a__) || defined(__gfx942__) || defined(__gfx1030__)
#define DOT4(a, b, sum) __builtin_amdgcn_sdot4((int)(a), (int)(b), (int)(sum), false)
#elif defined(__gfx1100__) || defined(__gfx1101__) || defined(__gfx1102__) || defined(__gfx1200__) || defined(__gfx1201__)
#define DOT4(a, b, sum) __builtin_amdgcn_sudot4(true, (int)(a), true, (int)(b), (int)(sum), false)
#else
DEVICE int DOT4(int a, int b, int sum) {
    for (int i = 0; i < 32; i += 8) sum += (schar)(a >> i) * (schar)(b >> i);
    return sum;
}
#endif

#else

typedef unsigned long long ulong;
/* so many lanes at once are enough: the compiler need not spill to have more */
#ifndef AT_A_TIME
#define AT_A_TIME 512
#endif
#define KERNEL extern "C" __global__ void __launch_bounds__(LANES, AT_A_TIME / LANES)
#define INFINITY __int_as_float(0x7f800000)
#define NAN __int_as_float(0x7fffffff)
#define EXCHANGED(x, i) __shfl_xor_sync(0xffffffffu, x, i)

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

#endif

DEVICE float sum_of_32(float x, float *room) {
    for (int i = 16; i > 0; i /= 2) x += EXCHANGED(x, i);
    return x;
}
DEVICE float max_of_32(float x, float *room) {
    for (int i = 16; i > 0; i /= 2) x = fmaxf(x, EXCHANGED(x, i));
    return x;
}
