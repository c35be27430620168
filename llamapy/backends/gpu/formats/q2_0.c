/* 64 weights: w = d * (q - 1), q of 2 bits. */
#define HAS_LOW
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint packed[2];
    words_at(block + 2 + 8 * group, 2, BLOCK_ALIGNED, packed);
    for (int i = 0; i < 8; i++) {
        const uint four = (packed[i / 4] >> (i % 4 * 8)) & 255u;
        const uint pairs = (four | four << 12) & 0x000f000fu;
        q[i] = (pairs | pairs << 6) & 0x03030303u;
    }
    d[0] = half_at(block);
    low[0] = -d[0];
}
