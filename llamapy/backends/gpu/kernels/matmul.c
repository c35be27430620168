/* Products of many rows of x with rows w [m, k] of a block format. A group computes a tile, 64 rows
 * of w by 32 of x, with 64 columns of both in its memory at a time; a lane has 4 by 4 of it.
 *
 * Tiles go along a batch, or along the rows of experts: `lists` then has, from `lists_at` on, the
 * rows of the result in the order of their experts, and for each tile its expert, its first place
 * in that order, and how many rows it has. `shared` rows of the result have the same row of x. */
#define WIDE 64
#define TALL 32

typedef struct {
    int m0, matrix, batch, first, count;
} Tile;

DEVICE Tile tile_of_group(
    const GLOBAL int *lists, int rows_listed, int lists_at, int n, int m
) {
    Tile t;
    const int across = (m + WIDE - 1) / WIDE, number = GROUP / across;
    t.m0 = GROUP % across * WIDE;
    if (lists) {
        const GLOBAL int *of_tile = lists + lists_at + rows_listed + 3 * number;
        t.matrix = of_tile[0], t.batch = 0, t.first = of_tile[1], t.count = of_tile[2];
    } else {
        const int down = (n + TALL - 1) / TALL;
        t.matrix = t.batch = number / down, t.first = number % down * TALL;
        t.count = n - t.first < TALL ? n - t.first : TALL;
    }
    return t;
}

#define OPERANDS                                                                                   \
    const GLOBAL uchar *w, const GLOBAL int *lists, int lists_at, int n, int m, int k, int x_row,  \
        int x_batch, int shared, int out_row, int out_batch
/* the row of the result that is at a place of a tile; `n` rows are listed */
#define ROW_AT(place) (lists ? lists[lists_at + t.first + (place)] : t.first + (place))
#define X_AT(place)                                                                                \
    ((size_t)t.batch * x_batch + (size_t)(ROW_AT(place) / shared) * x_row)
#define WEIGHTS(row)                                                                               \
    (w + ((size_t)t.matrix * m + (t.m0 + (row) < m ? t.m0 + (row) : m - 1)) * ROW_BYTES(k))

#define STORE(total)                                                                               \
    for (int p = 0; p < 4; p++)                                                                    \
        for (int q = 0; q < 4; q++) {                                                              \
            const int place = 4 * b + p, column = t.m0 + 4 * a + q;                                \
            if (place < t.count && column < m)                                                     \
                out[(size_t)t.batch * out_batch + (size_t)ROW_AT(place) * out_row + column] =      \
                    total[p][q];                                                                   \
        }

KERNEL matmul_tiled(GLOBAL float *out, const GLOBAL float *x, OPERANDS) {
    LOCAL_VAR float ws[64][WIDE + 4];
    LOCAL_VAR float xs[64][TALL + 4];
    const Tile t = tile_of_group(lists, n, lists_at, n, m);
    if (t.count <= 0) return;
    const int a = LANE % 16, b = LANE / 16;
    float total[4][4];
    for (int p = 0; p < 4; p++)
        for (int q = 0; q < 4; q++) total[p][q] = 0.0f;
    for (int at = 0; at < k && t.matrix >= 0; at += 64) {
        const int piece = at + LANE / WIDE * 32;
        if (piece < k) {
            float weights[32];
            decode32(WEIGHTS(LANE % WIDE), piece, k, weights);
            for (int j = 0; j < 32; j++) ws[piece - at + j][LANE % WIDE] = weights[j];
        } else
            for (int j = 0; j < 32; j++) ws[piece - at + j][LANE % WIDE] = 0.0f;
        for (int i = LANE; i < 64 * TALL; i += LANES) {
            const int place = i / 64, column = at + i % 64;
            float value = 0.0f;
            if (place < t.count && column < k)
                value = x[X_AT(place) + column];
            xs[i % 64][place] = value;
        }
        BARRIER;
        for (int j = 0; j < 64; j++)
            for (int p = 0; p < 4; p++)
                for (int q = 0; q < 4; q++) total[p][q] += xs[j][4 * b + p] * ws[j][4 * a + q];
        BARRIER;
    }
    STORE(total)
}

#ifdef HAS_LEVELS
/* the same with activations as `round_activations` leaves them: strides are in bytes */
KERNEL matmul_rounded(GLOBAL float *out, const GLOBAL uchar *x, OPERANDS) {
    LOCAL_VAR uint ws[16][WIDE];
    LOCAL_VAR float scales[4][WIDE]; /* of both pieces, for each half */
    LOCAL_VAR float lows[4][WIDE];
    LOCAL_VAR uint xs[24][TALL]; /* of both pieces: 8 words, the scale, the sums, nothing */
    const Tile t = tile_of_group(lists, n, lists_at, n, m);
    if (t.count <= 0) return;
    const int a = LANE % 16, b = LANE / 16, half_of = LANE / WIDE, mine = LANE % WIDE;
    float total[4][4];
    for (int p = 0; p < 4; p++)
        for (int q = 0; q < 4; q++) total[p][q] = 0.0f;
    for (int at = 0; at < k && t.matrix >= 0; at += 64) {
        const int piece = at + half_of * 32;
        uint levels[8];
        float d[2] = {0.0f, 0.0f}, low[2] = {0.0f, 0.0f};
        for (int j = 0; j < 8; j++) levels[j] = 0;
        if (piece < k)
            levels32(BLOCK_AT(WEIGHTS(mine), piece), piece % BLOCK / 32, levels, d, low);
        for (int j = 0; j < 8; j++) ws[8 * half_of + j][mine] = levels[j];
        for (int j = 0; j < 2; j++) {
            scales[2 * half_of + j][mine] = d[j];
            lows[2 * half_of + j][mine] = low[j];
        }
        for (int i = LANE; i < 24 * TALL; i += LANES) {
            const int place = i / 24, word = i % 24;
            uint value = 0;
            if (place < t.count && at + word / 12 * 32 < k) {
                value = ((const GLOBAL uint *)(x + X_AT(place) + at / 32 * 48))[word];
            }
            xs[word][place] = value;
        }
        BARRIER;
        for (int h = 0; h < 2; h++) {
            int sums[4][4];
            for (int p = 0; p < 4; p++)
                for (int q = 0; q < 4; q++) sums[p][q] = 0;
            for (int j = 0; j < 8; j++) {
                for (int p = 0; p < 4; p++)
                    for (int q = 0; q < 4; q++) {
                        const uint of_x = xs[12 * h + j][4 * b + p];
                        sums[p][q] = DOT4(ws[8 * h + j][4 * a + q], of_x, sums[p][q]);
                    }
#ifdef HAS_HALVES
                if (j % 4 < 3) continue;
                const int part = j / 4;
#else
                if (j < 7) continue;
                const int part = 0;
#endif
                for (int p = 0; p < 4; p++) {
                    const float dx = BITS_FLOAT(xs[12 * h + 8][4 * b + p]);
                    float sum = BITS_FLOAT(xs[12 * h + 9 + part][4 * b + p]);
#ifndef HAS_HALVES
                    sum += BITS_FLOAT(xs[12 * h + 10][4 * b + p]);
#endif
                    for (int q = 0; q < 4; q++) {
                        total[p][q] += dx * scales[2 * h + part][4 * a + q] * sums[p][q];
#ifdef HAS_LOW
                        total[p][q] += lows[2 * h + part][4 * a + q] * sum;
#endif
                        sums[p][q] = 0;
                    }
                }
            }
        }
        BARRIER;
    }
    STORE(total)
}
#endif
