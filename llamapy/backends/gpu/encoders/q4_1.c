/* A scale and the least of 32 values; the first 16 lie in the low halves. */
DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL uchar *block = row + ROW_BYTES(at);
    float least = w[0], most = w[0];
    for (int i = 1; i < 32; i++) {
        if (w[i] < least) least = w[i]; /* the first of equals */
        most = fmax(most, w[i]);
    }
    const float d = fabs(most - least) / 15.0f, by = d != 0.0f ? 1.0f / d : 0.0f;
    *(GLOBAL ushort *)block = FLOAT_TO_HALF(d);
    *(GLOBAL ushort *)(block + 2) = FLOAT_TO_HALF(least);
    for (int i = 0; i < 16; i++) {
        const uint low = level_of(TIMES(w[i] - least, by) + 0.5f, 15u);
        block[4 + i] = (uchar)(low | level_of(TIMES(w[16 + i] - least, by) + 0.5f, 15u) << 4);
    }
}

DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL uchar *block = row + at / 32 * BLOCK_BYTES, *q = block + 4 + at % 16;
    const uint both = ushort_at(q) | (uint)ushort_at(q + 2) << 16;
    const uint four = (at % 32 < 16 ? both : both >> 4) & 0x0f0f0f0fu;
    const float d = half_at(block), least = half_at(block + 2);
    for (int i = 0; i < 4; i++) w[i] = d * (int)(four >> (8 * i) & 255) + least;
}
