/* Activations rounded to 8 bits, 32 with one scale. Beside them stand the sums of what both halves
 * were rounded to, for formats whose weights have an offset: 48 bytes for each 32. */
KERNEL round_activations(GLOBAL uchar *out, const GLOBAL float *xs, int blocks) {
    LOCAL_VAR float room[LANES];
    const size_t i = INDEX / 32;
    const float x = i < blocks ? xs[INDEX] : 0.0f;
    const float top = max_of_32(fabs(x), room);
    BARRIER;
    const int q = top > 0.0f ? (int)rint(x * (127.0f / top)) : 0;
    const int is_second = LANE / 16 % 2;
    const float first = sum_of_32(is_second ? 0.0f : (float)q, room);
    BARRIER;
    const float second = sum_of_32(is_second ? (float)q : 0.0f, room);
    if (i >= blocks) return;
    GLOBAL uchar *block = out + i * 48;
    block[LANE % 32] = (uchar)q;
    GLOBAL float *scales = (GLOBAL float *)(block + 32);
    const float d = top / 127.0f;
    if (LANE % 32 > 2) return;
    scales[LANE % 32] = LANE % 32 == 0 ? d : LANE % 32 == 1 ? d * first : d * second;
}
