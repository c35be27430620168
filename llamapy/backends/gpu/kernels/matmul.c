/* Products of rows x [n, k] with rows w [m, k] of a block format, for each of a batch. */
#define ROWS 4                  /* rows of weights of a group */
#define SHARE (LANES / ROWS)    /* lanes that a row of weights has */

/* the sums of a row's lanes; the first of them gets it */
DEVICE float row_sum(float x, LOCAL_PTR float *room) {
    room[LANE] = x;
    BARRIER;
    for (int half_way = SHARE / 2; half_way > 0; half_way /= 2) {
        if (LANE % SHARE < half_way) room[LANE] += room[LANE + half_way];
        BARRIER;
    }
    const float total = room[LANE];
    BARRIER;
    return total;
}

/* each row of weights is read once, and multiplied with up to COUNT rows of x */
#define MATVEC(name, COUNT)                                                                        \
    KERNEL name(                                                                                   \
        GLOBAL float *out, const GLOBAL float *x, const GLOBAL uchar *w, int n, int m, int k,      \
        int x_row, int x_batch, int out_row, int out_batch                                         \
    ) {                                                                                            \
        LOCAL_VAR float room[LANES];                                                               \
        const int groups = (m + ROWS - 1) / ROWS, batch = GROUP / groups;                          \
        const int at = GROUP % groups * ROWS + LANE / SHARE;                                       \
        const GLOBAL uchar *row = w + ((size_t)batch * m + at) * ROW_BYTES(k);                     \
        const GLOBAL float *first = x + (size_t)batch * x_batch;                                   \
        float total[COUNT];                                                                        \
        for (int r = 0; r < COUNT; r++) total[r] = 0.0f;                                           \
        for (int i = LANE % SHARE * 32; i < k && at < m; i += SHARE * 32) {                        \
            float weights[32];                                                                     \
            decode32(row, i, k, weights);                                                          \
            const int here = k - i < 32 ? k - i : 32;                                              \
            for (int r = 0; r < COUNT && r < n; r++) {                                             \
                const GLOBAL float *xs = first + (size_t)r * x_row + i;                            \
                if (here == 32)                                                                    \
                    for (int j = 0; j < 32; j++) total[r] += weights[j] * xs[j];                   \
                else                                                                               \
                    for (int j = 0; j < here; j++) total[r] += weights[j] * xs[j];                 \
            }                                                                                      \
        }                                                                                          \
        for (int r = 0; r < COUNT && r < n; r++) {                                                 \
            const float sum = row_sum(total[r], room);                                             \
            if (LANE % SHARE == 0 && at < m)                                                       \
                out[(size_t)batch * out_batch + (size_t)r * out_row + at] = sum;                   \
        }                                                                                          \
    }

MATVEC(matvec_1, 1)
MATVEC(matvec_8, 8)

#ifdef HAS_DOT32
/* the same with activations of 8 bits, as `round_activations` leaves them */
#define MATVEC_ROUNDED(name, COUNT)                                                                \
    KERNEL name(                                                                                   \
        GLOBAL float *out, const GLOBAL uchar *x, const GLOBAL uchar *w, int n, int m, int k       \
    ) {                                                                                            \
        LOCAL_VAR float room[LANES];                                                               \
        const int at = GROUP * ROWS + LANE / SHARE;                                                \
        const GLOBAL uchar *row = w + (size_t)at * ROW_BYTES(k);                                   \
        float total[COUNT];                                                                        \
        for (int r = 0; r < COUNT; r++) total[r] = 0.0f;                                           \
        for (int i = LANE % SHARE; i < k / 32 && at < m; i += SHARE)                               \
            for (int r = 0; r < COUNT && r < n; r++) {                                             \
                const GLOBAL uchar *xs = x + ((size_t)r * (k / 32) + i) * 40;                      \
                const GLOBAL float *head = (const GLOBAL float *)xs;                               \
                total[r] += dot32(row, i * 32, (const GLOBAL int *)(xs + 8), head[0], head[1]);    \
            }                                                                                      \
        for (int r = 0; r < COUNT && r < n; r++) {                                                 \
            const float sum = row_sum(total[r], room);                                             \
            if (LANE % SHARE == 0 && at < m) out[(size_t)r * m + at] = sum;                        \
        }                                                                                          \
    }

MATVEC_ROUNDED(matvec_rounded_1, 1)
MATVEC_ROUNDED(matvec_rounded_8, 8)
#endif

/* many rows: a group computes 32 x 32 of the result, 32 columns of both at a time; each of its 64
 * lanes has 4 x 4 of it */
KERNEL matmul_tiled(
    GLOBAL float *out, const GLOBAL float *x, const GLOBAL uchar *w, int n, int m, int k, int x_row,
    int x_batch, int out_row, int out_batch
) {
    LOCAL_VAR float ws[32][33];
    LOCAL_VAR float xs[32][33];
    const int across = (m + 31) / 32, down = (n + 31) / 32, batch = GROUP / (across * down);
    const int m0 = GROUP % across * 32, n0 = GROUP / across % down * 32;
    const GLOBAL uchar *rows = w + (size_t)batch * m * ROW_BYTES(k);
    const GLOBAL float *first = x + (size_t)batch * x_batch;
    const int a = LANE % 8, b = LANE / 8;
    float total[4][4];
    for (int i = 0; i < 4; i++)
        for (int j = 0; j < 4; j++) total[i][j] = 0.0f;
    for (int at = 0; at < k; at += 32) {
        if (LANE < 32) {
            float weights[32];
            const int row = m0 + LANE < m ? m0 + LANE : m - 1;
            decode32(rows + (size_t)row * ROW_BYTES(k), at, k, weights);
            for (int j = 0; j < 32; j++) ws[LANE][j] = weights[j];
        }
        for (int i = LANE; i < 32 * 32; i += LANES) {
            const int row = n0 + i / 32, column = at + i % 32;
            const int there = row < n && column < k;
            xs[i / 32][i % 32] = there ? first[(size_t)row * x_row + column] : 0.0f;
        }
        BARRIER;
        for (int j = 0; j < 32; j++) {
            float of_w[4], of_x[4];
            for (int i = 0; i < 4; i++) {
                of_w[i] = ws[a + 8 * i][j];
                of_x[i] = xs[b + 8 * i][j];
            }
            for (int p = 0; p < 4; p++)
                for (int q = 0; q < 4; q++) total[p][q] += of_x[p] * of_w[q];
        }
        BARRIER;
    }
    for (int p = 0; p < 4; p++)
        for (int q = 0; q < 4; q++) {
            const int row = n0 + b + 8 * p, column = m0 + a + 8 * q;
            if (row < n && column < m)
                out[(size_t)batch * out_batch + (size_t)row * out_row + column] = total[p][q];
        }
}
