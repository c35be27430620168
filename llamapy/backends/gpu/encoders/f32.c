/* Plain numbers. Writes 32 values of a row, those that are within its columns. */
DEVICE void store32(GLOBAL uchar *row, int at, int columns, const float *w) {
    GLOBAL float *numbers = (GLOBAL float *)row;
    for (int i = 0; i < 32; i++)
        if (at + i < columns) numbers[at + i] = w[i];
}

DEVICE void decode4(const GLOBAL uchar *row, int at, int columns, float *w) {
    const GLOBAL float *numbers = (const GLOBAL float *)row + at;
    if (columns % 4 == 0 && at < columns) {
        const float4 four = *(const GLOBAL float4 *)numbers;
        w[0] = four.x;
        w[1] = four.y;
        w[2] = four.z;
        w[3] = four.w;
    } else {
        for (int i = 0; i < 4; i++) w[i] = at + i < columns ? numbers[i] : 0.0f;
    }
}

DEVICE void decode8(const GLOBAL uchar *row, int at, int columns, float *w) {
    decode4(row, at, columns, w);
    decode4(row, at + 4, columns, w + 4);
}
