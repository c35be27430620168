/* What those share that write and read cells in blocks. */
DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w);

DEVICE void decode8(const GLOBAL uchar *row, int at, int columns, float *w) {
    decode4(row, at, columns, w);
    decode4(row, at + 4, columns, w + 4);
}

/* a whole number of few bits, cast as the definitions cast */
DEVICE uint level_of(float x, uint most) {
    const uint level = fabs(x) < 2147483648.0f ? (uint)(int)x & 255u : 0u;
    return level < most ? level : most;
}

