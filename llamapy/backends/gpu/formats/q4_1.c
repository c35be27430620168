/* 32 weights: w = d * q + m, q of 4 bits. */
#define HAS_LOW
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    halves_at(block + 4, BLOCK_ALIGNED, q);
    d[0] = half_at(block);
    low[0] = half_at(block + 2);
}
