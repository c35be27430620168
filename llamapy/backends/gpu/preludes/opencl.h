/* The words of the dialect, for OpenCL C 1.2. */
#define KERNEL __kernel __attribute__((reqd_work_group_size(LANES, 1, 1))) void
#define DEVICE static inline
#define GLOBAL __global
#define TABLE __constant          /* numbers that never change, at the top of a file */
#define LOCAL_VAR __local         /* memory of a group, declared first thing in a kernel */
#define LOCAL_PTR __local
#define BARRIER barrier(CLK_LOCAL_MEM_FENCE)
#define UNROLLED(times) /* its compilers know */
#define GROUP ((int)get_group_id(0))
#define LANE ((int)get_local_id(0))
#define FLOAT_BITS(x) as_uint(x)
#define BITS_FLOAT(x) as_float(x)

typedef char schar;

DEVICE float HALF_TO_FLOAT(ushort h) { return vload_half(0, (const half *)&h); }

DEVICE ushort FLOAT_TO_HALF(float x) {
    ushort h;
    vstore_half_rte(x, 0, (half *)&h);
    return h;
}

/* a product that is rounded before it is added to something */
DEVICE float TIMES(float a, float b) {
#pragma OPENCL FP_CONTRACT OFF
    return a * b;
}

/* four products of signed bytes, added to a sum */
#if defined(cl_khr_integer_dot_product) && defined(__opencl_c_integer_dot_product_input_4x8bit_packed)
#define DOT4(a, b, sum) ((sum) + dot_4x8packed_ss_int((uint)(a), (uint)(b)))
#else
DEVICE int DOT4(int a, int b, int sum) {
    const char4 x = as_char4(a), y = as_char4(b);
    return sum + x.x * y.x + x.y * y.y + x.z * y.z + x.w * y.w;
}
#endif

/* the bytes of two words, each by the place that four bits say */
DEVICE uint PICK(uint low, uint high, uint places) {
    const ulong both = ((ulong)high << 32) | low;
    uint four = 0;
    for (int i = 0; i < 4; i++)
        four |= (uint)((both >> ((places >> (4 * i) & 7) * 8)) & 255) << (8 * i);
    return four;
}

/* over 32 lanes that follow each other, which all get it; all lanes must come here */
DEVICE float sum_of_32(float x, __local float *room) {
    room[LANE] = x;
    for (int i = 16; i > 0; i /= 2) {
        BARRIER;
        const float other = room[LANE ^ i];
        BARRIER;
        room[LANE] += other;
    }
    return room[LANE];
}
DEVICE float max_of_32(float x, __local float *room) {
    room[LANE] = x;
    for (int i = 16; i > 0; i /= 2) {
        BARRIER;
        const float other = room[LANE ^ i];
        BARRIER;
        room[LANE] = fmax(room[LANE], other);
    }
    return room[LANE];
}

/* adds to a number that other groups add to, too */
DEVICE void ATOMIC_ADD(volatile GLOBAL float *at, float x) {
    uint old = *(volatile GLOBAL uint *)at, seen;
    while ((seen = atomic_cmpxchg((volatile GLOBAL uint *)at, old, as_uint(as_float(old) + x))) != old)
        old = seen;
}
