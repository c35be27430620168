/* Half precision, the nearest. Writes 32 values of a row, those that are within its columns. */
DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL ushort *numbers = (GLOBAL ushort *)row;
    for (int i = 0; i < 32; i++)
        if (at + i < columns) numbers[at + i] = FLOAT_TO_HALF(w[i]);
}
