/* What follows from the words, in every dialect. */
#define INDEX ((size_t)GROUP * LANES + LANE) /* of a lane among all */

DEVICE float BF16_TO_FLOAT(ushort h) { return BITS_FLOAT((uint)h << 16); }

/* the nearest, ties to even; NaN stays NaN */
DEVICE ushort FLOAT_TO_BF16(float x) {
    const uint bits = FLOAT_BITS(x);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (ushort)((bits >> 16) | 64u);
    return (ushort)((bits + (0x7fffu + ((bits >> 16) & 1u))) >> 16);
}

/* halves lie at even addresses in all formats */
DEVICE ushort ushort_at(const GLOBAL uchar *p) { return *(const GLOBAL ushort *)p; }
DEVICE float half_at(const GLOBAL uchar *p) { return HALF_TO_FLOAT(ushort_at(p)); }

/* the sum over a group's lanes, which all get; `room` has a place for each */
DEVICE float group_sum(float x, LOCAL_PTR float *room) {
    room[LANE] = x;
    BARRIER;
    for (int half_way = LANES / 2; half_way > 0; half_way /= 2) {
        if (LANE < half_way) room[LANE] += room[LANE + half_way];
        BARRIER;
    }
    const float total = room[0];
    BARRIER;
    return total;
}

DEVICE float group_max(float x, LOCAL_PTR float *room) {
    room[LANE] = x;
    BARRIER;
    for (int half_way = LANES / 2; half_way > 0; half_way /= 2) {
        if (LANE < half_way) room[LANE] = fmax(room[LANE], room[LANE + half_way]);
        BARRIER;
    }
    const float top = room[0];
    BARRIER;
    return top;
}
