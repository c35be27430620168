/* 32 weights: w = d * q, q a signed byte. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    words_at(block + 2, 8, BLOCK_ALIGNED, q);
    d[0] = half_at(block);
}

#define HAS_DECODE
DEVICE float decode(const GLOBAL uchar *row, int i) {
    const GLOBAL uchar *block = row + ROW_BYTES(i);
    return half_at(block) * (schar)block[2 + i % 32];
}
