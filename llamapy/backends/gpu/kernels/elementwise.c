/* One value at a time: a lane for each. Arguments: the result, operands, parameters, sizes. */
#define ARRAY GLOBAL float *

#define MAP(name, ...)                                                                             \
    KERNEL name(ARRAY out, const ARRAY xs, int count) {                                            \
        const size_t i = INDEX;                                                                    \
        if (i < count) {                                                                           \
            const float x = xs[i];                                                                 \
            out[i] = __VA_ARGS__;                                                                  \
        }                                                                                          \
    }
#define MAP_TWO(name, ...)                                                                         \
    KERNEL name(ARRAY out, const ARRAY xs, const ARRAY ys, int count) {                            \
        const size_t i = INDEX;                                                                    \
        if (i < count) {                                                                           \
            const float x = xs[i], y = ys[i];                                                      \
            out[i] = __VA_ARGS__;                                                                  \
        }                                                                                          \
    }
#define MAP_COLUMNS(name, ...)                                                                     \
    KERNEL name(ARRAY out, const ARRAY xs, const ARRAY ys, int rows, int columns) {                \
        const size_t i = INDEX;                                                                    \
        if (i < (size_t)rows * columns) {                                                          \
            const float x = xs[i], y = ys[i % columns];                                            \
            out[i] = __VA_ARGS__;                                                                  \
        }                                                                                          \
    }

DEVICE float sigmoid_of(float x) { return 1.0f / (1.0f + exp(-x)); }
DEVICE float softplus_of(float x) { return fmax(x, 0.0f) + log1p(exp(-fabs(x))); }
DEVICE float silu_of(float x) { return x / (1.0f + exp(-x)); }
DEVICE float gelu_of(float x) {
    return 0.5f * x * (1.0f + tanh(0.7978845608028654f * (x + 0.044715f * x * x * x)));
}
DEVICE float gelu_erf_of(float x) { return 0.5f * x * (1.0f + erf(x * 0.7071067811865476f)); }
DEVICE float quick(float x) { return x / (1.0f + exp(-1.702f * x)); }
DEVICE float limited(float x, float low, float high) { return fmin(fmax(x, low), high); }

MAP(tanh_, tanh(x))
MAP(sigmoid, sigmoid_of(x))
MAP(softplus, softplus_of(x))
MAP(sqrt_softplus, sqrt(softplus_of(x)))
MAP(silu, silu_of(x))
MAP(gelu, gelu_of(x))
MAP(gelu_erf, gelu_erf_of(x))
MAP(gelu_quick, quick(x))
MAP(relu, fmax(x, 0.0f))
MAP(relu_squared, fmax(x, 0.0f) * fmax(x, 0.0f))
MAP(exp_, exp(x))

MAP_TWO(add, x + y)
MAP_TWO(mul, x *y)
MAP_TWO(silu_gate, silu_of(x) * y)
MAP_TWO(gelu_gate, gelu_of(x) * y)
MAP_TWO(gelu_erf_gate, gelu_erf_of(x) * y)
MAP_TWO(relu_gate, fmax(x, 0.0f) * y)

MAP_COLUMNS(add_bias, x + y)
MAP_COLUMNS(mul_columns, x *y)
MAP_COLUMNS(div_columns, x / y)

KERNEL scale(ARRAY out, const ARRAY x, float by, int count) {
    const size_t i = INDEX;
    if (i < count) out[i] = x[i] * by;
}

KERNEL softcap(ARRAY out, const ARRAY x, float cap, int count) {
    const size_t i = INDEX;
    if (i < count) out[i] = cap * tanh(x[i] / cap);
}

KERNEL clamp_(ARRAY out, const ARRAY x, float low, float high, int count) {
    const size_t i = INDEX;
    if (i < count) out[i] = limited(x[i], low, high);
}

KERNEL xielu(
    ARRAY out, const ARRAY xs, float positive, float negative, float slope, float eps, int count
) {
    const size_t i = INDEX;
    if (i < count) {
        const float x = xs[i];
        const float bent = x > 0.0f ? positive * x * x : negative * (expm1(fmin(x, eps)) - x);
        out[i] = bent + slope * x;
    }
}

KERNEL clipped_gate(ARRAY out, const ARRAY gate, const ARRAY up, float limit, int count) {
    const size_t i = INDEX;
    if (i < count) out[i] = quick(fmin(gate[i], limit)) * (limited(up[i], -limit, limit) + 1.0f);
}

KERNEL mul_scalar(ARRAY out, const ARRAY x, const ARRAY by, int count, int one) {
    const size_t i = INDEX;
    if (i < count) out[i] = x[i] * by[0];
}

KERNEL mul_heads(ARRAY out, const ARRAY x, const ARRAY by, int tokens, int heads, int size) {
    const size_t i = INDEX;
    if (i < (size_t)tokens * heads * size) out[i] = x[i] * by[i / size];
}
