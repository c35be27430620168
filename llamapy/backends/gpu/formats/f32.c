/* Plain numbers. Rows need not divide into 32: what is beyond them is 0. */
DEVICE void decode32(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL float *numbers = (const GLOBAL float *)row;
    for (int i = 0; i < 32; i++) w[i] = at + i < columns ? numbers[at + i] : 0.0f;
}

DEVICE float decode(const GLOBAL uchar *row, int i) {
    return ((const GLOBAL float *)row)[i];
}
