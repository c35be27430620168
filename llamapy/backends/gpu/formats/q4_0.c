/* 32 weights: w = d * (q - 8), q of 4 bits; the first 16 in the low halves of the bytes. */
DEVICE void decode32(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL uchar *block = row + ROW_BYTES(at);
    const float d = half_at(block);
    for (int i = 0; i < 16; i++) {
        w[i] = d * ((block[2 + i] & 15) - 8);
        w[16 + i] = d * ((block[2 + i] >> 4) - 8);
    }
}

#define HAS_DOT32
/* with 32 activations, x = dx * qx, whose sum is sum_x */
DEVICE float dot32(const GLOBAL uchar *row, int at, const GLOBAL int *qx, float dx, float sum_x) {
    const GLOBAL uchar *block = row + ROW_BYTES(at);
    int sum = 0;
    for (int i = 0; i < 4; i++) {
        const uint four = uint_at(block + 2 + 4 * i);
        sum = DOT4(four & 0x0f0f0f0fu, qx[i], sum);
        sum = DOT4((four >> 4) & 0x0f0f0f0fu, qx[4 + i], sum);
    }
    return half_at(block) * (dx * sum - 8.0f * sum_x);
}

/* one weight of a row */
DEVICE float decode(const GLOBAL uchar *row, int i) {
    const GLOBAL uchar *block = row + ROW_BYTES(i);
    const uint two = block[2 + i % 16];
    return half_at(block) * ((int)(i % 32 < 16 ? two & 15 : two >> 4) - 8);
}
