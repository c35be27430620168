/* What blocks of weights are read with: words from anywhere, and four small numbers in each. */

/* n words at p, of which `aligned` is known to be a divisor: by aligned words, which are moved */
DEVICE void words_at(const GLOBAL uchar *p, int n, int aligned, uint *words) {
    if (aligned % 16 == 0 && n % 4 == 0) {
        for (int i = 0; i < n / 4; i++) {
            const uint4 four = ((const GLOBAL uint4 *)p)[i];
            words[4 * i] = four.x;
            words[4 * i + 1] = four.y;
            words[4 * i + 2] = four.z;
            words[4 * i + 3] = four.w;
        }
    } else if (aligned % 4 == 0) {
        for (int i = 0; i < n; i++) words[i] = ((const GLOBAL uint *)p)[i];
    } else {
        const int odd = (int)((size_t)p & 3);
        const GLOBAL uint *from = (const GLOBAL uint *)(p - odd);
        uint low = from[0];
        for (int i = 0; i < n; i++) {
            const uint high = from[i + 1 < n || odd ? i + 1 : i]; /* none behind the last */
            words[i] = (uint)((((ulong)high << 32) | low) >> (8 * odd));
            low = high;
        }
    }
}

/* 32 levels in 16 bytes: the first 16 in their low halves */
DEVICE void halves_at(const GLOBAL uchar *p, int aligned, uint *q) {
    words_at(p, 4, aligned, q);
    for (int i = 0; i < 4; i++) {
        q[4 + i] = (q[i] >> 4) & 0x0f0f0f0fu;
        q[i] &= 0x0f0f0f0fu;
    }
}

/* 4 bits as 4 bytes, 0 or 1 */
DEVICE uint bytes_of(uint bits) { return ((bits & 15u) * 0x00204081u) & 0x01010101u; }

/* the fifth bits of 32 levels */
DEVICE void add_fifth_bits(uint bits, uint *q) {
    for (int i = 0; i < 8; i++) q[i] |= bytes_of(bits >> (4 * i)) << 4;
}

/* bytes above 0, those below 0 whose bit is set */
DEVICE uint with_signs(uint four, uint bits) {
    const uint negative = bytes_of(bits);
    return (four ^ (negative * 255u)) + negative;
}

/* 7 signs, and an eighth that makes the count of those set even */
DEVICE uint even_signs(uint bits) {
    uint odd = bits & 127u;
    odd ^= odd >> 4;
    odd ^= odd >> 2;
    odd ^= odd >> 1;
    return (bits & 127u) | ((odd & 1u) << 7);
}

/* 16 bytes of a table, chosen by 8 half bytes: those in low halves, and those in high halves */
DEVICE void look_up(
    uint halves, uint table0, uint table1, uint table2, uint table3, uint *low, uint *high
) {
    const uint place = halves & 0x77777777u, upper = 0x32103210u | ((halves & 0x88888888u) >> 1);
    const uint first = PICK(PICK(table0, table1, place), PICK(table2, table3, place), upper);
    const uint second = PICK(
        PICK(table0, table1, place >> 16), PICK(table2, table3, place >> 16), upper >> 16
    );
    *low = PICK(first, second, 0x6420u);
    *high = PICK(first, second, 0x7531u);
}
/* 4-bit floats, doubled; and the uneven steps of IQ4 */
#define LOOK_UP_FP4(halves, low, high)                                                             \
    look_up(halves, 0x03020100u, 0x0c080604u, 0xfdfeff00u, 0xf4f8fafcu, low, high)
#define LOOK_UP_IQ4(halves, low, high)                                                             \
    look_up(halves, 0xbfad9881u, 0xf6eaddcfu, 0x26190d01u, 0x71594535u, low, high)
