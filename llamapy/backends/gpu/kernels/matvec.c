/* Products of a few rows of x with rows w [m, k] of a block format, for each of a batch.
 *
 * 32 lanes go along a row of weights, 32 columns each at a time; what a row is decoded to is
 * multiplied with all rows of x at once. With `ids`, the matrix is that of an expert, and `shared`
 * experts multiply the same row of x. */
#define ROWS (LANES / 32) /* of weights, of a group */
#define OPERANDS                                                                                   \
    const GLOBAL uchar *w, const GLOBAL int *ids, int n, int m, int k, int x_row, int x_batch,     \
        int shared, int out_row, int out_batch

#define MATVEC(name, X, COUNT, UNROLL, DECODE, MULTIPLY)                                           \
    KERNEL name(GLOBAL float *out, const GLOBAL X *x, OPERANDS) {                                  \
        LOCAL_VAR float room[LANES];                                                               \
        const int groups = (m + ROWS - 1) / ROWS, batch = GROUP / groups;                          \
        const int at = GROUP % groups * ROWS + LANE / 32;                                          \
        const int matrix = ids ? ids[batch] : batch;                                               \
        const GLOBAL uchar *row = w + ((size_t)matrix * m + at) * ROW_BYTES(k);                    \
        const GLOBAL X *first = x + (size_t)(batch / shared) * x_batch;                            \
        float total[COUNT];                                                                        \
        for (int r = 0; r < COUNT; r++) total[r] = 0.0f;                                           \
        const int end = at < m && matrix >= 0 ? k : 0;                                             \
        UNROLLED(UNROLL)                                                                           \
        for (int i = LANE % 32 * 32; i < end; i += 32 * 32) {                                      \
            DECODE                                                                                 \
            for (int r = 0; r < COUNT; r++)                                                        \
                if (COUNT == 1 || r < n) {                                                         \
                    const GLOBAL X *xs = first + (size_t)r * x_row;                                \
                    MULTIPLY                                                                       \
                }                                                                                  \
        }                                                                                          \
        for (int r = 0; r < COUNT; r++) {                                                          \
            const float sum = sum_of_32(total[r], room);                                           \
            if (LANE % 32 == 0 && r < n && at < m)                                                 \
                out[(size_t)batch * out_batch + (size_t)r * out_row + at] = sum;                   \
            BARRIER;                                                                               \
        }                                                                                          \
    }

#define DECODED                                                                                    \
    float weights[32];                                                                             \
    decode32(row, i, k, weights);
#define TIMES                                                                                      \
    if (i + 32 <= k)                                                                               \
        for (int j = 0; j < 32; j++) total[r] += weights[j] * xs[i + j];                           \
    else                                                                                           \
        for (int j = 0; j < 32; j++) total[r] += i + j < k ? weights[j] * xs[i + j] : 0.0f;

#ifdef HAS_LEVELS /* unpacking takes the registers that reading ahead would take */
MATVEC(matvec_1, float, 1, 1, DECODED, TIMES)
#else
MATVEC(matvec_1, float, 1, 2, DECODED, TIMES)
#endif
MATVEC(matvec_8, float, 8, 1, DECODED, TIMES)

#ifdef HAS_LEVELS
/* the same with activations as `round_activations` leaves them: strides are in bytes */
#define READ                                                                                       \
    uint q[8];                                                                                     \
    float d[2], low[2];                                                                            \
    levels32(BLOCK_AT(row, i), i % BLOCK / 32, q, d, low);
#define DOT total[r] += dot32(q, d, low, xs + i / 32 * 48);

MATVEC(matvec_rounded_1, uchar, 1, 2, READ, DOT)
MATVEC(matvec_rounded_2, uchar, 2, 1, READ, DOT)
MATVEC(matvec_rounded_4, uchar, 4, 1, READ, DOT)
MATVEC(matvec_rounded_8, uchar, 8, 1, READ, DOT)
#endif
