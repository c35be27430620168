/* 32 weights: w = d * q, q a signed byte. */
DEVICE void decode32(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL uchar *block = row + ROW_BYTES(at);
    const float d = half_at(block);
    for (int i = 0; i < 32; i++) w[i] = d * (schar)block[2 + i];
}

#define HAS_DOT32
/* with 32 activations, x = dx * qx, whose sum is sum_x */
DEVICE float dot32(const GLOBAL uchar *row, int at, const GLOBAL int *qx, float dx, float sum_x) {
    const GLOBAL uchar *block = row + ROW_BYTES(at);
    int sum = 0;
    for (int i = 0; i < 8; i++) sum = DOT4(uint_at(block + 2 + 4 * i), qx[i], sum);
    return half_at(block) * dx * sum;
}

/* one weight of a row */
DEVICE float decode(const GLOBAL uchar *row, int i) {
    const GLOBAL uchar *block = row + ROW_BYTES(i);
    return half_at(block) * (schar)block[2 + i % 32];
}
