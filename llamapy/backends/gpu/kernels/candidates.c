/* The largest of a row. A group has a part of it, in which it finds the number that is just large
 * enough bit by bit; what it chose from parts is chosen from again, and then put in order.
 *
 * Values compare as whole numbers: `place_of`. Of equals, the lowest token comes first. */
#define CHOSEN(i) (2 * (size_t)(i)) /* where a candidate lies: its value, and its token */

DEVICE uint place_of(float x) {
    const uint bits = FLOAT_BITS(x + 0.0f);
    if (x != x) return 0xffffffffu; /* before all numbers: it shall be seen */
    return bits >> 31 ? ~bits : bits | 0x80000000u;
}

/* how many lanes' numbers there are in all */
DEVICE int group_count(int x, LOCAL_PTR int *room) {
    BARRIER;
    room[LANE] = x;
    for (int half_way = LANES / 2; half_way > 0; half_way /= 2) {
        BARRIER;
        if (LANE < half_way) room[LANE] += room[LANE + half_way];
    }
    BARRIER;
    return room[0];
}

/* `logits` has rows of values alone; otherwise `from` has candidates, some of which fill up */
KERNEL choose(
    GLOBAL float *to, int to_at, const GLOBAL float *logits, const GLOBAL float *from, int columns,
    int parts, int width, int count
) {
    LOCAL_VAR int room[LANES], taken[LANES];
    const int part = GROUP % parts, first = part * width;
    const size_t row = (size_t)(GROUP / parts) * columns;
    const int last = first + width < columns ? first + width : columns;
#define VALUE(i) (logits ? logits[row + (i)] : from[CHOSEN(row + (i))])
#define TOKEN(i) (logits ? (i) : (int)from[CHOSEN(row + (i)) + 1])
#define PLACE(i) (TOKEN(i) < 0 ? 0u : place_of(VALUE(i)))
    /* the largest place that `count` candidates reach */
    uint place = 0u;
    for (int bit = 31; bit >= 0; bit--) {
        const uint higher = place | (1u << bit);
        int reach = 0;
        for (int i = first + LANE; i < last; i += LANES) reach += PLACE(i) >= higher;
        if (group_count(reach, room) >= count) place = higher;
    }
    int above = 0;
    for (int i = first + LANE; i < last; i += LANES) above += PLACE(i) > place;
    const int wanted = count - group_count(above, room);
    /* of those at that place, the tokens below this one are wanted */
    uint below = 0u;
    for (int bit = 23; bit >= 0; bit--) {
        const uint higher = below | (1u << bit);
        int reach = 0;
        for (int i = first + LANE; i < last; i += LANES)
            reach += PLACE(i) == place && (uint)TOKEN(i) < higher;
        if (group_count(reach, room) <= wanted) below = higher;
    }
#define IS_CHOSEN(i) (PLACE(i) > place || (PLACE(i) == place && place && (uint)TOKEN(i) < below))
    int mine = 0;
    for (int i = first + LANE; i < last; i += LANES) mine += IS_CHOSEN(i);
    BARRIER;
    taken[LANE] = mine;
    BARRIER;
    int at = 0, all = 0;
    for (int lane = 0; lane < LANES; lane++) {
        if (lane < LANE) at += taken[lane];
        all += taken[lane];
    }
    GLOBAL float *out = to + CHOSEN(to_at + GROUP * count);
    for (int i = first + LANE; i < last; i += LANES) {
        if (IS_CHOSEN(i)) {
            out[CHOSEN(at)] = VALUE(i);
            out[CHOSEN(at) + 1] = (float)TOKEN(i);
            at++;
        }
    }
    for (int i = all + LANE; i < count; i += LANES) { /* a part may have too few */
        out[CHOSEN(i)] = -INFINITY;
        out[CHOSEN(i) + 1] = -1.0f;
    }
}

/* a lane for each candidate, which counts those before it */
KERNEL in_order(
    GLOBAL float *out, const GLOBAL float *candidates, int from_at, int n, int count
) {
    const GLOBAL float *from = candidates + CHOSEN(from_at);
    const size_t i = INDEX, row = i / count;
    if (row >= n) return;
    const GLOBAL float *all = from + CHOSEN(row) * count;
    const float value = from[CHOSEN(i)], token = from[CHOSEN(i) + 1];
    const uint place = place_of(value);
    int before = 0;
    for (int other = 0; other < count; other++) {
        const uint there = place_of(all[CHOSEN(other)]);
        before += there > place || (there == place && all[CHOSEN(other) + 1] < token);
    }
    out[CHOSEN(row) * count + before] = token;
    out[CHOSEN(row) * count + count + before] = value;
}
