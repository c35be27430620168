/* Plain numbers. Rows need not divide into 32: what is beyond them is 0. */
DEVICE void decode32(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL float *numbers = (const GLOBAL float *)row + at;
    if (columns % 4 == 0 && at + 32 <= columns) {
        uint bits[32];
        words_at((const GLOBAL uchar *)numbers, 32, 16, bits);
        for (int i = 0; i < 32; i++) w[i] = BITS_FLOAT(bits[i]);
    } else {
        for (int i = 0; i < 32; i++) w[i] = at + i < columns ? numbers[i] : 0.0f;
    }
}

DEVICE float decode(const GLOBAL uchar *row, int i) {
    return ((const GLOBAL float *)row)[i];
}
