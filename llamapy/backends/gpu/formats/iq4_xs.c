/* 256 weights, 32 with a scale of 6 bits: w = d * (scale - 32) * step, of 16 uneven steps. */
DEVICE void levels32(const GLOBAL uchar *block, int group, uint *q, float *d, float *low) {
    uint halves[4];
    words_at(block + 8 + 16 * group, 4, BLOCK_ALIGNED, halves);
    for (int i = 0; i < 4; i++) LOOK_UP_IQ4(halves[i], &q[i], &q[4 + i]);
    const int four = (block[4 + group / 2] >> (group % 2 * 4)) & 15;
    const int two = (ushort_at(block + 2) >> (2 * group)) & 3;
    d[0] = half_at(block) * ((four | two << 4) - 32);
}
