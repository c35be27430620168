/* Activations rounded to 8 bits, 32 with one scale; beside them stands the sum of what was rounded,
 * for formats whose weights have an offset. */
KERNEL round_activations(GLOBAL uchar *out, const GLOBAL float *xs, int blocks) {
    const size_t i = INDEX;
    if (i >= blocks) return;
    const GLOBAL float *x = xs + i * 32;
    float top = 0.0f;
    for (int j = 0; j < 32; j++) top = fmax(top, fabs(x[j]));
    const float d = top / 127.0f, by = top > 0.0f ? 127.0f / top : 0.0f;
    GLOBAL float *head = (GLOBAL float *)(out + i * 40);
    GLOBAL schar *q = (GLOBAL schar *)(head + 2);
    int sum = 0;
    for (int j = 0; j < 32; j++) {
        const int whole = (int)rint(x[j] * by);
        q[j] = (schar)whole;
        sum += whole;
    }
    head[0] = d;
    head[1] = d * sum;
}
