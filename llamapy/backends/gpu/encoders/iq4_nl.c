/* A scale for 32 values, the one of 16 that errs least, and for each the nearest of 16 uneven steps. */
TABLE float STEPS[16] = {
    -127.0f, -104.0f, -83.0f, -65.0f, -49.0f, -35.0f, -22.0f, -10.0f,
    1.0f, 13.0f, 25.0f, 38.0f, 53.0f, 69.0f, 89.0f, 113.0f
};

/* halfway, the upper one */
DEVICE int nearest_step(float x) {
    int n = 0;
    for (int i = 0; i < 15; i++) n += !(x < 0.5f * (STEPS[i] + STEPS[i + 1]));
    return n;
}

DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL uchar *block = row + ROW_BYTES(at);
    float largest = 0.0f, d = 0.0f, best = 0.0f;
    for (int i = 0; i < 32; i++)
        if (fabs(w[i]) > fabs(largest)) largest = w[i]; /* the first of equals */
    for (int turn = -8; turn < 8 && fabs(largest) >= 1e-15f; turn++) {
        const float by = turn < -7 ? 1.0f / (largest / 127.0f) : ((float)turn - 127.0f) / largest;
        float qx = 0.0f, qq = 0.0f; /* errors count by the squares of values */
        for (int i = 0; i < 32; i++) {
            const float q = STEPS[nearest_step(by * w[i])];
            const float weighted = TIMES(TIMES(w[i], w[i]), q);
            qx += TIMES(weighted, w[i]);
            qq += TIMES(weighted, q);
        }
        if (qq > 0.0f && (turn < -7 || TIMES(qx, qx) > TIMES(best, qq))) {
            d = qx / qq;
            best = TIMES(d, qx);
        }
    }
    const float by = d != 0.0f ? 1.0f / d : 0.0f;
    *(GLOBAL ushort *)block = FLOAT_TO_HALF(d);
    for (int i = 0; i < 16; i++)
        block[2 + i] = (uchar)(nearest_step(by * w[i]) | nearest_step(by * w[16 + i]) << 4);
}

DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL uchar *block = row + at / 32 * BLOCK_BYTES, *q = block + 2 + at % 16;
    const float d = half_at(block);
    for (int i = 0; i < 4; i++) w[i] = d * STEPS[at % 32 < 16 ? q[i] & 15 : q[i] >> 4];
}
