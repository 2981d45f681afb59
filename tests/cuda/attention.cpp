// The attention kernels on a processor, thread by thread, beside softmax(scale q k') v in double precision. From the
// repository root:
//
//   g++ -std=c++20 -O2 -Wall -Wextra -Wno-unknown-pragmas -o target/attention_emulated tests/cuda/attention.cpp && target/attention_emulated
//
// Prints the largest error of each case over the largest result, and ends with 1 when one is above its tolerance.
#include <chrono>

#include "emulator.h"
// The kernels' source itself.
#include "../../model/src/kernels/attention/attention.cu"

struct Case {
    int batch, queries, keys, heads, head;
    float spread;  // standard deviation of queries and keys: how sharp the softmax is
};

using Kernel = void (*)(const Half*, const Half*, const Half*, Half*, int, int, int, int, float);
using KernelF32 = void (*)(const float*, const float*, const float*, float*, int, int, int, int, float);

static float as_float(float x) { return x; }
static float as_float(Half x) { return emulator::wide(x); }
static void store(float x, float& to) { to = x; }
static void store(float x, Half& to) { to = emulator::rounded(x); }

template <typename T>
static std::vector<T> gaussian(size_t count, float spread, unsigned seed) {
    std::mt19937 random(seed);
    std::normal_distribution<float> normal(0, spread);
    std::vector<T> values(count);
    for (T& value : values) store(normal(random), value);
    return values;
}

// One query of one head, in double precision.
template <typename T>
static std::vector<double> expected(const Case& c, const T* q, const T* k, const T* v) {
    const int width = c.heads * c.head;
    std::vector<double> weights(c.keys), out(c.head);
    for (int j = 0; j < c.keys; j++)
        for (int i = 0; i < c.head; i++) weights[j] += double(as_float(q[i])) * as_float(k[j * width + i]);
    const double top = *std::max_element(weights.begin(), weights.end());
    double total = 0;
    for (double& weight : weights) total += weight = std::exp((weight - top) / std::sqrt(double(c.head)));
    for (int j = 0; j < c.keys; j++)
        for (int i = 0; i < c.head; i++) out[i] += weights[j] / total * as_float(v[j * width + i]);
    return out;
}

// Largest error over the largest result.
template <typename T>
static double error_of(void (*kernel)(const T*, const T*, const T*, T*, int, int, int, int, float), unsigned block_queries,
                       const Case& c) {
    const size_t width = size_t(c.heads) * c.head;
    const auto q = gaussian<T>(c.batch * c.queries * width, c.spread, 1), k = gaussian<T>(c.batch * c.keys * width, c.spread, 2);
    const auto v = gaussian<T>(c.batch * c.keys * width, 1, 3);
    std::vector<T> out(q.size());
    for (T& value : out) store(NAN, value);
    const emulator::Index grid{(c.queries + block_queries - 1) / block_queries, unsigned(c.heads), unsigned(c.batch)};
    const float scale = 1 / std::sqrt(float(c.head));
    emulator::launch(grid, THREADS, [&] {
        kernel(q.data(), k.data(), v.data(), out.data(), c.queries, c.keys, c.heads, c.head, scale);
    });
    double worst = 0, largest = 0;
    for (int b = 0; b < c.batch; b++)
        for (int row = 0; row < c.queries; row++)
            for (int h = 0; h < c.heads; h++) {
                const size_t at = (size_t(b) * c.queries + row) * width + h * c.head, keys_at = size_t(b) * c.keys * width + h * c.head;
                const auto right = expected(c, &q[at], &k[keys_at], &v[keys_at]);
                for (int i = 0; i < c.head; i++) {
                    const double error = std::abs(right[i] - as_float(out[at + i]));
                    worst = error > worst || error != error ? error : worst;
                    largest = std::max(largest, std::abs(right[i]));
                }
            }
    return worst / largest;
}

static bool report(const char* name, const Case& c, double error, double tolerance) {
    const bool good = error <= tolerance;
    std::printf("%-26s %d x %3d queries, %4d keys, %d x %3d, spread %g: %.1e (at most %.0e)%s\n", name, c.batch, c.queries, c.keys,
                c.heads, c.head, c.spread, error, tolerance, good ? "" : "  WRONG");
    return good;
}

int main() {
    const auto start = std::chrono::steady_clock::now();
    bool good = true;
    // A bf16 has 8 bits: half a unit in the last place of the result is 2e-3 of it, and weights are rounded as well.
    const double f32 = 2e-6, bf16 = 4e-3;
#define RUN(KERNEL, QUERIES, TOLERANCE, ...) \
    for (const Case c : {__VA_ARGS__}) good &= report(#KERNEL, c, error_of(KERNEL, QUERIES, c), TOLERANCE)
    RUN(attention_tensor_bf16_64, 128, bf16, Case{1, 1, 1, 1, 64, 1}, {2, 26, 154, 2, 64, 1}, {1, 128, 64, 1, 64, 1},
        {1, 150, 218, 2, 64, 1}, {1, 33, 65, 3, 64, 5}, {1, 257, 257, 1, 64, 2}, {2, 9, 129, 1, 64, 0}, {1, 26, 4250, 1, 64, 1});
    RUN(attention_f32_64, 128, f32, Case{1, 1, 1, 1, 64, 1}, {2, 130, 154, 2, 64, 1}, {1, 20, 97, 1, 48, 5});
    RUN(attention_f32_128, 64, f32, Case{1, 65, 70, 2, 128, 1}, {1, 9, 33, 1, 100, 1});
    RUN(attention_f32_32, 256, f32, Case{1, 257, 31, 2, 32, 1}, {1, 5, 41, 2, 17, 2});
    RUN(attention_f32_16, 256, f32, Case{2, 64, 81, 3, 16, 1}, {1, 3, 7, 2, 4, 1}, {1, 3, 8, 2, 1, 1});
    RUN(attention_bf16_64, 128, bf16, Case{1, 130, 100, 1, 64, 1});
    RUN(attention_bf16_128, 64, bf16, Case{1, 9, 33, 1, 96, 1});
    RUN(attention_bf16_32, 256, bf16, Case{1, 40, 33, 1, 24, 1});
    RUN(attention_bf16_16, 256, bf16, Case{2, 64, 81, 3, 16, 1});
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    std::printf("%llu products of 16 x 8 x 16, %llu bank conflicts of matrix loads, %.1f s\n",
                static_cast<unsigned long long>(emulator::products), static_cast<unsigned long long>(emulator::bank_conflicts), seconds);
    if (emulator::bank_conflicts != 0) good = false;
    std::puts(good ? "all within tolerance" : "WRONG");
    return good ? 0 : 1;
}
