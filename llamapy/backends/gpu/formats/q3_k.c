/* 256 weights, 16 with a scale of 6 bits: w = d * (scale - 32) * (q - 4); the third bit of q lies
 * apart, and so do the high two of the scale. */
#define HAS_LOW
#define HAS_HALVES
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint high[8];
    words_at(block, 8, BLOCK_ALIGNED, high);
    words_at(block + 32 + group / 4 * 32, 8, BLOCK_ALIGNED, q);
    for (int i = 0; i < 8; i++)
        q[i] = ((q[i] >> (group % 4 * 2)) & 0x03030303u) | ((high[i] >> group) & 0x01010101u) << 2;
    for (int i = 0; i < 2; i++) {
        const int at = 2 * group + i;
        const int four = (block[96 + at % 8] >> (at / 8 * 4)) & 15;
        const int two = (block[104 + at % 4] >> (at / 4 * 2)) & 3;
        d[i] = half_at(block + 108) * ((four | two << 4) - 32);
        low[i] = -4.0f * d[i];
    }
}
