/* Recurrences. A state lies in a slot: `read` says in which a sequence's lies before the step (-1:
 * there is none), and `write` where it is wanted after a token. No slot is read and written. */

#ifndef ROOM
/* the token before, in a sequence: -1 for none */
DEVICE int before(const GLOBAL int *sequences, int token) {
    const int sequence = sequences[token];
    do token--;
    while (token >= 0 && sequences[token] != sequence);
    return token;
}

/* the results of tokens of no sequence: a lane for each value */
KERNEL unseen(GLOBAL float *out, const GLOBAL int *sequences, int n, int columns) {
    const size_t i = INDEX;
    if (i < (size_t)n * columns && sequences[i / columns] < 0) out[i] = 0.0f;
}

/* a lane for each column of each token */
KERNEL token_before(
    GLOBAL float *out, const GLOBAL float *x, GLOBAL float *states, const GLOBAL int *read,
    const GLOBAL int *write, const GLOBAL int *sequences, int n, int columns, int slots, int rows
) {
    const size_t i = INDEX;
    if (i >= (size_t)n * columns) return;
    const int token = i / columns, column = i % columns, sequence = sequences[token];
    if (sequence < 0) {
        out[i] = 0.0f;
        return;
    }
    const int last = before(sequences, token);
    if (last >= 0)
        out[i] = x[(size_t)last * columns + column];
    else
        out[i] = read[sequence] < 0 ? 0.0f : states[(size_t)read[sequence] * columns + column];
    if (write[token] >= 0) states[(size_t)write[token] * columns + column] = x[i];
}

/* a lane for each column of each token; `reach` tokens before it count, or rows of the state */
KERNEL causal_conv(
    GLOBAL float *out, const GLOBAL float *x, const GLOBAL float *w, const GLOBAL float *b,
    GLOBAL float *states, const GLOBAL int *read, const GLOBAL int *write,
    const GLOBAL int *sequences, int n, int columns, int taps, int slots, int reach, int rows
) {
    const size_t i = INDEX;
    if (i >= (size_t)n * columns) return;
    const int token = i / columns, column = i % columns, sequence = sequences[token];
    if (sequence < 0) {
        out[i] = 0.0f;
        return;
    }
    const int from = read[sequence], to = write[token];
    int at = token, missing = 0;
    float sum = b ? b[column] : 0.0f;
    for (int tap = reach; tap >= 0; tap--) { /* from the token on back */
        float value = 0.0f;
        if (at >= 0)
            value = x[(size_t)at * columns + column];
        else if (++missing && from >= 0)
            value = states[((size_t)from * reach + reach - missing) * columns + column];
        sum += value * w[column * taps + tap];
        if (to >= 0 && tap > 0) states[((size_t)to * reach + tap - 1) * columns + column] = value;
        if (at >= 0) at = before(sequences, at);
    }
    out[i] = sum;
}
#endif

#ifdef SCAN
/* A selective state space: 32 lanes for a row of a head's state, each with ROOM of its values. */
KERNEL ssm_scan(
    GLOBAL float *out, const GLOBAL float *x, const GLOBAL float *dt, const GLOBAL float *a,
    const GLOBAL float *b, const GLOBAL float *c, const GLOBAL float *skip, GLOBAL float *states,
    const GLOBAL int *read, const GLOBAL int *write, const GLOBAL int *sequences, int n, int heads,
    int size, int rates, int groups, int columns
) {
    LOCAL_VAR float room[LANES];
    const int heads_rows = heads * size, parts = (heads_rows + LANES / 32 - 1) / (LANES / 32);
    const int sequence = GROUP / parts, lane = LANE % 32;
    const int from = read[sequence], after = GROUP % parts * (LANES / 32) + LANE / 32;
    const int row = after < heads_rows ? after : heads_rows - 1; /* lanes too many do the last again */
    const int head = row / size, group = head / (heads / groups);
    float state[ROOM];
    UNROLLED(ROOM)
    for (int i = 0; i < ROOM; i++) {
        const int column = lane + 32 * i;
        const int is_kept = from >= 0 && column < columns;
        state[i] = is_kept ? states[((size_t)from * heads_rows + row) * columns + column] : 0.0f;
    }
    for (int token = 0; token < n; token++) {
        if (sequences[token] != sequence) continue;
        const float lasts = dt[token * heads + head];
        const float time = fmax(lasts, 0.0f) + log1p(exp(-fabs(lasts)));
        const float in = x[(size_t)token * heads_rows + row];
        const size_t shared = ((size_t)token * groups + group) * columns;
        float sum = 0.0f;
        UNROLLED(ROOM)
        for (int i = 0; i < ROOM; i++) {
            const int column = lane + 32 * i;
            if (column < columns) {
                const float rate = a[rates == 1 ? head : head * rates + column];
                state[i] = state[i] * exp(time * rate) + in * time * b[shared + column];
                sum += state[i] * c[shared + column];
            }
        }
        sum = sum_of_32(sum, room);
        if (lane == 0) out[(size_t)token * heads_rows + row] = sum + in * skip[head];
        UNROLLED(ROOM)
        for (int i = 0; i < ROOM; i++) {
            const int column = lane + 32 * i;
            if (write[token] >= 0 && column < columns)
                states[((size_t)write[token] * heads_rows + row) * columns + column] = state[i];
        }
    }
}
#endif

#ifdef MATRIX
/* A state that is a matrix: it fades, learns the product of a key and a value, and is read by a
 * query. A group has 32 columns of a head's, and its lanes have every PARTS-th row of one.
 *
 *   asks, a    what the state says of `a`, or of the key, after it has faded (of the delta rule)
 *   beta       how much of the difference to what it says is learned
 *   b          the rows that get back what it says
 *   first      the state is read before, with as much of the token as `first` says */
#define PARTS (LANES / 32)
#define SUM_OF_PARTS(x, total)                                                                     \
    BARRIER;                                                                                       \
    room[LANE] = x;                                                                                \
    BARRIER;                                                                                       \
    total = 0.0f;                                                                                  \
    for (int p = 0; p < PARTS; p++) total += room[p * 32 + lane];

KERNEL learn(
    GLOBAL float *out, const GLOBAL float *q, const GLOBAL float *k, const GLOBAL float *v,
    const GLOBAL float *fade, const GLOBAL float *rate, const GLOBAL float *beta,
    const GLOBAL float *first, const GLOBAL float *a, const GLOBAL float *b, GLOBAL float *states,
    const GLOBAL int *read, const GLOBAL int *write, const GLOBAL int *sequences, int n, int heads,
    int rows, int columns, int rates
) {
    LOCAL_VAR float room[LANES];
    LOCAL_VAR float query[PARTS * ROOM], key[PARTS * ROOM], fades[PARTS * ROOM];
    LOCAL_VAR float asks[PARTS * ROOM], gets[PARTS * ROOM];
    const int blocks = (columns + 31) / 32, lane = LANE % 32, part = LANE / 32;
    const int sequence = GROUP / blocks / heads, head = GROUP / blocks % heads;
    const int from = read[sequence], after = GROUP % blocks * 32 + lane;
    const int column = after < columns ? after : columns - 1; /* lanes too many do the last again */
    float state[ROOM];
    UNROLLED(ROOM)
    for (int i = 0; i < ROOM; i++) {
        const int row = i * PARTS + part;
        const int is_kept = from >= 0 && row < rows;
        const size_t at = (((size_t)from * heads + head) * rows + row) * columns + column;
        state[i] = is_kept ? states[at] : 0.0f;
    }
    for (int token = 0; token < n; token++) {
        if (sequences[token] != sequence) continue;
        const size_t of_head = (size_t)token * heads + head;
        const int to = write[token];
        BARRIER;
        for (int i = LANE; i < PARTS * ROOM; i += LANES) {
            const size_t at = of_head * rows + i;
            const int is_row = i < rows;
            query[i] = is_row ? q[at] : 0.0f;
            key[i] = is_row ? k[at] : 0.0f;
            fades[i] = !is_row ? 1.0f : fade ? fade[at] : exp(rate[of_head * rates + i % rates]);
            asks[i] = !is_row ? 0.0f : a ? a[at] : beta ? key[i] * fades[i] : 0.0f;
            gets[i] = is_row && b ? b[at] : 0.0f;
        }
        BARRIER;
        const float value = v[of_head * columns + column];
        float known, total, sum = 0.0f;
        UNROLLED(ROOM)
        for (int i = 0; i < ROOM; i++) sum += asks[i * PARTS + part] * state[i];
        SUM_OF_PARTS(sum, known)
        const float learned = beta ? (value - known) * beta[of_head] : value;
        sum = 0.0f;
        UNROLLED(ROOM)
        for (int i = 0; i < ROOM; i++) {
            const int row = i * PARTS + part;
            const float taken = key[row] * learned;
            const float at_first = first && row < rows ? first[head * rows + row] : 0.0f;
            if (first) sum += query[row] * (state[i] + at_first * taken);
            state[i] = state[i] * fades[row] + taken + gets[row] * known;
            if (!first) sum += query[row] * state[i];
            if (to >= 0 && row < rows)
                states[(((size_t)to * heads + head) * rows + row) * columns + column] = state[i];
        }
        SUM_OF_PARTS(sum, total)
        if (part == 0) out[of_head * columns + column] = total;
    }
}
#endif
