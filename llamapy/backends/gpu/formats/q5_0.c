/* 32 weights: w = d * (q - 16), q of 5 bits, the fifth in a word of their own. */
#define HAS_LOW
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint high;
    words_at(block + 2, 1, BLOCK_ALIGNED, &high);
    halves_at(block + 6, BLOCK_ALIGNED, q);
    add_fifth_bits(high, q);
    d[0] = half_at(block);
    low[0] = -16.0f * d[0];
}
