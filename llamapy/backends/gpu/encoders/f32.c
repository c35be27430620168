/* Plain numbers. Writes 32 values of a row, those that are within its columns. */
DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL float *numbers = (GLOBAL float *)row;
    for (int i = 0; i < 32; i++)
        if (at + i < columns) numbers[at + i] = w[i];
}
