/* 256 weights: w = d * (q - 1), q from 0 to 2, five to a byte, which is a fraction of 256. */
#define HAS_LOW

/* the digits of four bytes, behind as many as `power` is a power of 3 */
#ifndef TQ1_DIGITS
#define TQ1_DIGITS
DEVICE uint tq1_digits(uint four, uint power) {
    const uint even = ((four & 0x00ff00ffu) * power) & 0x00ff00ffu;
    const uint odd = (((four >> 8) & 0x00ff00ffu) * power) & 0x00ff00ffu;
    return ((even * 3u >> 8) & 0x00030003u) | (odd * 3u & 0x03000300u);
}
#endif

DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    const uint all = 1u | 3u << 8 | 9u << 16 | 27u << 24; /* powers of 3 */
    d[0] = half_at(block + 52);
    low[0] = -d[0];
    if (group < 5) { /* 32 bytes hold 160 */
        words_at(block, 8, BLOCK_ALIGNED, q);
        const uint power = group < 4 ? (all >> (8 * group)) & 255u : 81u;
        for (int i = 0; i < 8; i++) q[i] = tq1_digits(q[i], power);
        return;
    }
    words_at(block + 32, 4, BLOCK_ALIGNED, q); /* 16 hold 80 */
    uint last;
    words_at(block + 48, 1, BLOCK_ALIGNED, &last); /* and 4 hold 16 */
    const uint power = group < 7 ? (all >> (16 * (group - 5))) & 255u : 81u;
    for (int i = 0; i < 4; i++) {
        q[4 + i] = group < 7 ? tq1_digits(q[i], 3u * power)
                             : tq1_digits(last, (all >> (8 * i)) & 255u);
        q[i] = tq1_digits(q[i], power);
    }
}
