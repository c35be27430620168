/* Rotary positions: a lane for each value of the result. */

/* value i of a head, when its pair (a, b) turns; `second` says which of the two it is */
DEVICE float turned(float a, float b, float angle, float magnitude, int second) {
    const float c = cos(angle) * magnitude, s = sin(angle) * magnitude;
    return second ? a * s + b * c : a * c - b * s;
}

KERNEL rope_pairs(
    GLOBAL float *out, const GLOBAL float *x, const GLOBAL int *positions,
    const GLOBAL float *frequencies, float magnitude, int tokens, int heads, int size, int pairs
) {
    const size_t at = INDEX;
    if (at >= (size_t)tokens * heads * size) return;
    const int i = at % size, pair = i / 2;
    const GLOBAL float *both = x + (at - i % 2);
    if (pair >= pairs) {
        out[at] = x[at];
        return;
    }
    const float angle = (float)positions[at / size / heads] * frequencies[pair];
    out[at] = turned(both[0], both[1], angle, magnitude, i % 2);
}

KERNEL rope_halves(
    GLOBAL float *out, const GLOBAL float *x, const GLOBAL int *positions,
    const GLOBAL float *frequencies, float magnitude, int tokens, int heads, int size, int pairs
) {
    const size_t at = INDEX;
    if (at >= (size_t)tokens * heads * size) return;
    const int i = at % size, second = i >= pairs, pair = i - (second ? pairs : 0);
    if (pair >= pairs) {
        out[at] = x[at];
        return;
    }
    const GLOBAL float *first = x + (at - i + pair);
    const float angle = (float)positions[at / size / heads] * frequencies[pair];
    out[at] = turned(first[0], first[pairs], angle, magnitude, second);
}

KERNEL rope_sections(
    GLOBAL float *out, const GLOBAL float *x, const GLOBAL int *positions,
    const GLOBAL float *frequencies, const GLOBAL int *component, float magnitude, int tokens,
    int heads, int size, int components, int pairs
) {
    const size_t at = INDEX;
    if (at >= (size_t)tokens * heads * size) return;
    const int i = at % size, second = i >= pairs, pair = i - (second ? pairs : 0);
    if (pair >= pairs) {
        out[at] = x[at];
        return;
    }
    const GLOBAL float *first = x + (at - i + pair);
    const int position = positions[at / size / heads * components + component[pair]];
    out[at] = turned(first[0], first[pairs], (float)position * frequencies[pair], magnitude, second);
}
