// The "vanilla" kernels: plain CUDA C, correct first and simple on purpose, no library.
//
// Compiled once per combination of
//   HALF  0: float storage, 1: 16-bit storage (arithmetic is always float)
//   NHWC  0: tensors are NCHW, 1: tensors are NHWC
//   VEC   elements one thread of a streaming kernel handles (1, or 16 bytes' worth)
// No header is included, so that NVRTC alone can build it; PERFMODEL_HOST lets a C++ compiler
// build the same source for the tests that check it without a GPU.
// Weights are (cout, cin/groups, kh, kw) for NCHW and (cout, kh, kw, cin/groups) for NHWC.

#ifndef HALF
#define HALF 0
#endif
#ifndef NHWC
#define NHWC 0
#endif
#ifndef VEC
#define VEC 1
#endif
#define TILE 16
#define THREADS 256

#if HALF
typedef unsigned short real;
#ifdef PERFMODEL_HOST
__device__ float load(const real *p) { return host_half_to_float(*p); }
__device__ void store(real *p, float v) { *p = host_float_to_half(v); }
#else
__device__ __forceinline__ float load(const real *p)
{
    float v;
    asm("cvt.f32.f16 %0, %1;" : "=f"(v) : "h"(*p));
    return v;
}
__device__ __forceinline__ void store(real *p, float v)
{
    unsigned short bits;
    asm("cvt.rn.f16.f32 %0, %1;" : "=h"(bits) : "f"(v));
    *p = bits;
}
#endif
#else
typedef float real;
__device__ float load(const real *p) { return *p; }
__device__ void store(real *p, float v) { *p = v; }
#endif

// VEC elements moved by one memory access
struct __align__(sizeof(real) * VEC) Pack {
    real at[VEC];
};

__device__ float activate(float v, int activation)
{
    switch (activation) {
    case 1: return fmaxf(v, 0.0f);
    case 2: return fminf(fmaxf(v, 0.0f), 6.0f);
    case 3: return 1.0f / (1.0f + expf(-v));
    case 4: return tanhf(v);
    case 5: return v * fminf(fmaxf(v / 6.0f + 0.5f, 0.0f), 1.0f);
    case 6: return fminf(fmaxf(v / 6.0f + 0.5f, 0.0f), 1.0f);
    case 7: return v / (1.0f + expf(-v));
    default: return v;
    }
}

__device__ long long offset(int n, int c, int y, int x, int channels, int height, int width)
{
#if NHWC
    return (((long long)n * height + y) * width + x) * channels + c;
#else
    return (((long long)n * channels + c) * height + y) * width + x;
#endif
}

// Convolution with one group as a tiled matrix product over pixels and filters; the input patch
// is gathered on the fly (implicit im2col). Block 16 x 16, one output element a thread.
extern "C" __global__ void conv_gemm(const real *x, const real *w, const real *bias,
                                     const real *residual, real *out, int batch, int cin, int hin,
                                     int win, int cout, int hout, int wout, int kh, int kw, int sh,
                                     int sw, int top, int left, int dh, int dw, int activation)
{
    __shared__ float filters[TILE][TILE + 1];
    __shared__ float patches[TILE][TILE + 1];
    const int tx = threadIdx.x, ty = threadIdx.y;
    const int depth = cin * kh * kw;
    const int pixels = batch * hout * wout;
    // neighbouring threads write neighbouring elements: channels in NHWC, pixels in NCHW
#if NHWC
    const int first_pixel = blockIdx.y * TILE, first_filter = blockIdx.x * TILE;
    const int my_pixel = ty, my_filter = tx;
#else
    const int first_pixel = blockIdx.x * TILE, first_filter = blockIdx.y * TILE;
    const int my_pixel = tx, my_filter = ty;
#endif
    const int pixel = first_pixel + my_pixel, filter = first_filter + my_filter;
    // the pixel whose patch this thread gathers; along the other axis it walks through the depth
#if NHWC
    const int gather_pixel = first_pixel + ty;
#else
    const int gather_pixel = first_pixel + tx;
#endif
    const int gather_n = gather_pixel / (hout * wout);
    const int gather_y = gather_pixel / wout % hout, gather_x = gather_pixel % wout;
    float sum = 0.0f;
    for (int d0 = 0; d0 < depth; d0 += TILE) {
        const int wd = d0 + tx;
        const int row = first_filter + ty;
        filters[ty][tx] = row < cout && wd < depth ? load(w + (long long)row * depth + wd) : 0.0f;
#if NHWC
        const int d = d0 + tx;
        const int c = d % cin, ky = d / cin / kw, kx = d / cin % kw;
#else
        const int d = d0 + ty;
        const int c = d / (kh * kw), ky = d / kw % kh, kx = d % kw;
#endif
        const int y = gather_y * sh - top + ky * dh, xx = gather_x * sw - left + kx * dw;
        const bool inside = gather_pixel < pixels && d < depth && y >= 0 && y < hin && xx >= 0 && xx < win;
        const float value = inside ? load(x + offset(gather_n, c, y, xx, cin, hin, win)) : 0.0f;
#if NHWC
        patches[ty][tx] = value;
#else
        patches[tx][ty] = value;
#endif
        __syncthreads();
        for (int i = 0; i < TILE; ++i)
            sum += filters[my_filter][i] * patches[my_pixel][i];
        __syncthreads();
    }
    if (pixel < pixels && filter < cout) {
        const int n = pixel / (hout * wout), y = pixel / wout % hout, xx = pixel % wout;
        const long long at = offset(n, filter, y, xx, cout, hout, wout);
        float v = sum + load(bias + filter);
        if (residual)
            v += load(residual + at);
        store(out + at, activate(v, activation));
    }
}

// Grouped and depthwise convolution, one output element a thread.
extern "C" __global__ void conv_direct(const real *x, const real *w, const real *bias,
                                       const real *residual, real *out, int batch, int cin, int hin,
                                       int win, int cout, int hout, int wout, int kh, int kw,
                                       int sh, int sw, int top, int left, int dh, int dw,
                                       int groups, int activation)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= batch * cout * hout * wout)
        return;
#if NHWC
    const int f = i % cout, xo = i / cout % wout, yo = i / cout / wout % hout;
    const int n = i / cout / wout / hout;
#else
    const int xo = i % wout, yo = i / wout % hout, f = i / wout / hout % cout;
    const int n = i / wout / hout / cout;
#endif
    const int depth = cin / groups, first = f / (cout / groups) * depth;
    float sum = load(bias + f);
    for (int c = 0; c < depth; ++c)
        for (int ky = 0; ky < kh; ++ky)
            for (int kx = 0; kx < kw; ++kx) {
                const int y = yo * sh - top + ky * dh, xx = xo * sw - left + kx * dw;
                if (y < 0 || y >= hin || xx < 0 || xx >= win)
                    continue;
#if NHWC
                const int at = ((f * kh + ky) * kw + kx) * depth + c;
#else
                const int at = ((f * depth + c) * kh + ky) * kw + kx;
#endif
                sum += load(x + offset(n, first + c, y, xx, cin, hin, win)) * load(w + at);
            }
    if (residual)
        sum += load(residual + i);
    store(out + i, activate(sum, activation));
}

#if NHWC
// Depthwise convolution, VEC channels a thread; weights are (kh, kw, channels).
extern "C" __global__ void depthwise_nhwc(const real *x, const real *w, const real *bias,
                                          const real *residual, real *out, int batch, int channels,
                                          int hin, int win, int hout, int wout, int kh, int kw,
                                          int sh, int sw, int top, int left, int dh, int dw,
                                          int activation)
{
    const int packs = channels / VEC;
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= batch * hout * wout * packs)
        return;
    const int c = i % packs * VEC, xo = i / packs % wout, yo = i / packs / wout % hout;
    const int n = i / packs / wout / hout;
    float sum[VEC];
    const Pack b = *(const Pack *)(bias + c);
    for (int j = 0; j < VEC; ++j)
        sum[j] = load(&b.at[j]);
    for (int ky = 0; ky < kh; ++ky) {
        const int y = yo * sh - top + ky * dh;
        if (y < 0 || y >= hin)
            continue;
        for (int kx = 0; kx < kw; ++kx) {
            const int xx = xo * sw - left + kx * dw;
            if (xx < 0 || xx >= win)
                continue;
            const Pack v = *(const Pack *)(x + offset(n, c, y, xx, channels, hin, win));
            const Pack k = *(const Pack *)(w + (long long)(ky * kw + kx) * channels + c);
            for (int j = 0; j < VEC; ++j)
                sum[j] += load(&v.at[j]) * load(&k.at[j]);
        }
    }
    const long long at = (long long)i * VEC;
    Pack result;
    for (int j = 0; j < VEC; ++j) {
        if (residual)
            sum[j] += load(residual + at + j);
        store(&result.at[j], activate(sum[j], activation));
    }
    *(Pack *)(out + at) = result;
}
#endif

// out[m, n] = activation(sum_k x[m, k] * w[n, k] + bias[n]); block 16 x 16.
extern "C" __global__ void linear(const real *x, const real *w, const real *bias, real *out, int m,
                                  int n, int k, int activation)
{
    __shared__ float rows[TILE][TILE + 1];
    __shared__ float filters[TILE][TILE + 1];
    const int tx = threadIdx.x, ty = threadIdx.y;
    const int row = blockIdx.y * TILE + ty, column = blockIdx.x * TILE + tx;
    const int filter = blockIdx.x * TILE + ty;
    float sum = 0.0f;
    for (int d0 = 0; d0 < k; d0 += TILE) {
        const int d = d0 + tx;
        rows[ty][tx] = row < m && d < k ? load(x + (long long)row * k + d) : 0.0f;
        filters[ty][tx] = filter < n && d < k ? load(w + (long long)filter * k + d) : 0.0f;
        __syncthreads();
        for (int i = 0; i < TILE; ++i)
            sum += rows[ty][i] * filters[tx][i];
        __syncthreads();
    }
    if (row < m && column < n)
        store(out + (long long)row * n + column, activate(sum + load(bias + column), activation));
}

// Max or average over a window; padding counts in neither. VEC channels a thread (NHWC).
extern "C" __global__ void pool(const real *x, real *out, int batch, int channels, int hin, int win,
                                int hout, int wout, int kh, int kw, int sh, int sw, int top,
                                int left, int maximum)
{
    const int packs = channels / VEC;
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= batch * packs * hout * wout)
        return;
#if NHWC
    const int c = i % packs * VEC, xo = i / packs % wout, yo = i / packs / wout % hout;
    const int n = i / packs / wout / hout;
#else
    const int xo = i % wout, yo = i / wout % hout, c = i / wout / hout % channels;
    const int n = i / wout / hout / channels;
#endif
    float result[VEC];
    for (int j = 0; j < VEC; ++j)
        result[j] = maximum ? -3.402823466e38f : 0.0f;
    int count = 0;
    for (int ky = 0; ky < kh; ++ky) {
        const int y = yo * sh - top + ky;
        if (y < 0 || y >= hin)
            continue;
        for (int kx = 0; kx < kw; ++kx) {
            const int xx = xo * sw - left + kx;
            if (xx < 0 || xx >= win)
                continue;
            ++count;
            const Pack v = *(const Pack *)(x + offset(n, c, y, xx, channels, hin, win));
            for (int j = 0; j < VEC; ++j)
                result[j] = maximum ? fmaxf(result[j], load(&v.at[j])) : result[j] + load(&v.at[j]);
        }
    }
    Pack packed;
    for (int j = 0; j < VEC; ++j)
        store(&packed.at[j], maximum ? result[j] : result[j] / count);
    *(Pack *)(out + (long long)i * VEC) = packed;
}

// Mean over all pixels of each image and channel. NCHW: a block of 256 per (image, channel);
// NHWC: a block of 32 channels x 8 pixel lanes per image.
extern "C" __global__ void mean_pixels(const real *x, real *out, int batch, int channels, int pixels)
{
    __shared__ float partial[THREADS];
#if NHWC
    const int lane = threadIdx.y, lanes = 8;
    const int c = blockIdx.x * 32 + threadIdx.x, n = blockIdx.y;
    const int slot = lane * 32 + threadIdx.x, next = 32;
    const real *from = x + (long long)n * pixels * channels + c;
    const int step = channels;
    const bool mine = c < channels;
#else
    const int lane = threadIdx.x, lanes = THREADS;
    const int c = blockIdx.x, n = blockIdx.y;
    const int slot = lane, next = 1;
    const real *from = x + ((long long)n * channels + c) * pixels;
    const int step = 1;
    const bool mine = true;
#endif
    float sum = 0.0f;
    if (mine)
        for (int p = lane; p < pixels; p += lanes)
            sum += load(from + (long long)p * step);
    partial[slot] = sum;
    for (int half = lanes / 2; half > 0; half /= 2) {
        __syncthreads();
        if (lane < half)
            partial[slot] += partial[slot + half * next];
    }
    if (lane == 0 && mine)
        store(out + (long long)n * channels + c, partial[slot] / pixels);
}

// out = activation(a + b)
extern "C" __global__ void add(const real *a, const real *b, real *out, int packs, int activation)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= packs)
        return;
    const Pack u = ((const Pack *)a)[i], v = ((const Pack *)b)[i];
    Pack result;
    for (int j = 0; j < VEC; ++j)
        store(&result.at[j], activate(load(&u.at[j]) + load(&v.at[j]), activation));
    ((Pack *)out)[i] = result;
}

// out = activation(x * scale[channel] + shift[channel] + residual); the last
// three may be null.
// A channel is constant over `inner` elements (1 in NHWC, height * width in NCHW).
extern "C" __global__ void scale_shift(const real *x, const real *scale, const real *shift,
                                       const real *residual, real *out, int packs, int channels,
                                       int inner, int activation)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= packs)
        return;
    const Pack v = ((const Pack *)x)[i];
    const int first = (int)((long long)i * VEC / inner % channels);
    Pack result;
    for (int j = 0; j < VEC; ++j) {
        const int c = NHWC ? first + j : first;
        float value = load(&v.at[j]) * (scale ? load(scale + c) : 1.0f);
        if (shift)
            value += load(shift + c);
        if (residual)
            value += load(residual + (long long)i * VEC + j);
        store(&result.at[j], activate(value, activation));
    }
    ((Pack *)out)[i] = result;
}

// out = activation(x)
extern "C" __global__ void apply_activation(const real *x, real *out, int packs, int activation)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= packs)
        return;
    const Pack v = ((const Pack *)x)[i];
    Pack result;
    for (int j = 0; j < VEC; ++j)
        store(&result.at[j], activate(load(&v.at[j]), activation));
    ((Pack *)out)[i] = result;
}

// Up to four inputs side by side: row r of the output is [a row r | b row r | ...]. `ends` are
// where each input's part of a row ends, in packs; a row is a pixel in NHWC, an image in NCHW.
extern "C" __global__ void concat(const real *a, const real *b, const real *c, const real *d,
                                  real *out, int rows, int end_a, int end_b, int end_c, int end_d,
                                  int row_packs, int first)
{
    const int part = end_d;
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= rows * part)
        return;
    const int row = i / part, at = i % part;
    const real *from = at < end_a ? a : at < end_b ? b : at < end_c ? c : d;
    const int begin = at < end_a ? 0 : at < end_b ? end_a : at < end_c ? end_b : end_c;
    const int end = at < end_a ? end_a : at < end_b ? end_b : at < end_c ? end_c : end_d;
    ((Pack *)out)[(long long)row * row_packs + first + at] =
        ((const Pack *)from)[(long long)row * (end - begin) + at - begin];
}

// Softmax over rows of n elements, one block a row.
extern "C" __global__ void softmax(const real *x, real *out, int n)
{
    __shared__ float partial[THREADS];
    const int t = threadIdx.x;
    const real *row = x + (long long)blockIdx.x * n;
    float top = -3.402823466e38f;
    for (int i = t; i < n; i += THREADS)
        top = fmaxf(top, load(row + i));
    partial[t] = top;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half)
            partial[t] = fmaxf(partial[t], partial[t + half]);
    }
    __syncthreads();
    top = partial[0];
    __syncthreads();
    float sum = 0.0f;
    for (int i = t; i < n; i += THREADS)
        sum += expf(load(row + i) - top);
    partial[t] = sum;
    for (int half = THREADS / 2; half > 0; half /= 2) {
        __syncthreads();
        if (t < half)
            partial[t] += partial[t + half];
    }
    __syncthreads();
    sum = partial[0];
    for (int i = t; i < n; i += THREADS)
        store(out + (long long)blockIdx.x * n + i, expf(load(row + i) - top) / sum);
}

// Local response normalisation across channels, one element a thread.
extern "C" __global__ void lrn(const real *x, real *out, int elements, int channels, int inner,
                               int size, float alpha, float beta, float bias)
{
    const int i = blockIdx.x * THREADS + threadIdx.x;
    if (i >= elements)
        return;
    const int c = i / inner % channels;
    const int before = (size - 1) / 2;
    float sum = 0.0f;
    for (int d = -before; d < size - before; ++d)
        if (c + d >= 0 && c + d < channels) {
            const float v = load(x + i + (long long)d * inner);
            sum += v * v;
        }
    store(out + i, load(x + i) / powf(bias + alpha * sum, beta));
}
