/* 32 weights: w = d * (q - 8), q of 4 bits; the first 16 in the low halves of the bytes. */
#define HAS_LOW
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    halves_at(block + 2, BLOCK_ALIGNED, q);
    d[0] = half_at(block);
    low[0] = -8.0f * d[0];
}

#define HAS_DECODE
DEVICE float decode(const GLOBAL uchar *row, int i) {
    const GLOBAL uchar *block = row + ROW_BYTES(i);
    const uint two = block[2 + i % 16];
    return half_at(block) * ((int)(i % 32 < 16 ? two & 15 : two >> 4) - 8);
}
