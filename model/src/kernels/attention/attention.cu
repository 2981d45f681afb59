// Attention of every head, softmax(scale q k') v, without ever holding the score matrix.
//
// Shapes, all row-major and contiguous:
//   q    [batch, queries, heads * head]      a head is a slice of a token's row, so nothing is transposed on the way
//   k, v [batch, keys,    heads * head]
//   out  [batch, queries, heads * head]
// Any number of queries and keys from 1; scale is 1 / sqrt(head). The head mask of a mix multiplies the context's q, k and
// v before they are joined with the image's, so it is in the operands already.
//
// Scheme (Dao et al. 2022, arXiv:2205.14135; Dao 2023, arXiv:2307.08691): a block owns some queries of one head and walks
// over the keys, a tile at a time in shared memory. Per query it keeps the largest score so far, the sum of the weights and
// the weighted sum of the values; when a tile raises the largest score, both sums are scaled down to it ("online softmax").
// Sums are f32 for both formats. Keys behind the last one have score -inf and value 0. The grid is
// (tiles of queries, heads, batch), the block THREADS threads.
//
// kernel                       | operands      | products                                      | queries a block
// attention_tensor_bf16_64     | bf16, head 64 | tensor cores, mma m16n8k16; needs sm_80       | 128
// attention_TYPE_{16,32,64,128}| f32 or bf16, head up to the number | fused multiply-adds in f32 | 256, 256, 128, 64
//
// The source includes nothing, as NVRTC has no headers at run time. It also compiles as C++ with the declarations of
// tests/cuda/emulator.h, where threads are fibres and the five functions of the section "Instructions" are spelled out.

typedef unsigned short Half;  // the bits of a bf16
typedef unsigned int Word;    // two of them, the first in the low half

#define THREADS 128
#define WARP 32
#define EVERYONE 0xffffffffu
#define MINUS_INFINITY __int_as_float(static_cast<int>(0xff800000u))

// ---- Instructions ---------------------------------------------------------------------------------------------------

#ifndef EMULATED

// 2^x to 2 units in the last place; 0 for -inf.
__device__ __forceinline__ float exp2_fast(float x) {
    float y;
    asm("ex2.approx.ftz.f32 %0, %1;" : "=f"(y) : "f"(x));
    return y;
}

#if __CUDA_ARCH__ >= 800 && !defined(ONE_PLAIN)
#define TENSOR_CORES

__device__ __forceinline__ Word shared_address(const void* p) {
    return static_cast<Word>(__cvta_generic_to_shared(p));
}

// Starts a copy of 16 bytes into shared memory, or of zeros.
__device__ __forceinline__ void copy_16(Half* to, const Half* from, bool valid) {
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared_address(to)), "l"(from), "r"(valid ? 16 : 0)
                 : "memory");
}

// Waits for this thread's copies.
__device__ __forceinline__ void copies_done() {
    asm volatile("cp.async.wait_all;" ::: "memory");
}

// Four matrices of 8 x 8: lanes 8i..8i+8 give the rows of matrix i; register i gets, of matrix i, row lane / 4 and columns
// 2 (lane % 4) and the next.
__device__ __forceinline__ void load_matrices(Word (&r)[4], const Half* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// The same of the transposed matrices.
__device__ __forceinline__ void load_transposed(Word (&r)[4], const Half* row) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0, %1, %2, %3}, [%4];"
                 : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
                 : "r"(shared_address(row))
                 : "memory");
}

// sums += a b for a of 16 x 16, b of 16 x 8. With g = lane / 4 and t = 2 (lane % 4): sums are (g, t), (g, t + 1),
// (g + 8, t), (g + 8, t + 1); a's pairs start at (g, t), (g + 8, t), (g, t + 8), (g + 8, t + 8); b's at (t, g), (t + 8, g).
__device__ __forceinline__ void multiply(float (&sums)[4], const Word (&a)[4], Word b0, Word b1) {
    asm(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(sums[0]), "+f"(sums[1]), "+f"(sums[2]), "+f"(sums[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b0), "r"(b1));
}

// Two values to bf16, to nearest even.
__device__ __forceinline__ Word pair(float low, float high) {
    Word word;
    asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(word) : "f"(high), "f"(low));
    return word;
}

#endif  // __CUDA_ARCH__
#endif  // EMULATED

// ---- Tensor cores, bf16, heads of 64 --------------------------------------------------------------------------------

#ifdef TENSOR_CORES

#define HEAD 64
#define QUERIES 128  // 32 a warp: what is loaded of a key or value serves two products
#define KEYS 64

// 16-byte pieces of a row; piece p of row r lies at p ^ (r % 8), so that the eight rows of a matrix lie in different banks.
#define PIECES (HEAD / 8)

__device__ __forceinline__ Half* piece_at(Half* tile, int row, int piece) {
    return tile + row * HEAD + ((piece ^ (row & 7)) << 3);
}

// Starts copying rows first.. of one head into a tile; rows from `count` on become 0.
template <int ROWS>
__device__ __forceinline__ void copy_rows(Half* tile, const Half* from, long long width, int first, int count) {
    const int piece = threadIdx.x % PIECES;
#pragma unroll
    for (int i = 0; i < ROWS * PIECES / THREADS; i++) {
        const int row = threadIdx.x / PIECES + i * (THREADS / PIECES);
        const bool valid = first + row < count;
        copy_16(piece_at(tile, row, piece), from + (valid ? first + row : 0) * width + piece * 8, valid);
    }
}

// What a warp keeps of its 32 queries, as two blocks of 16 rows. A lane has values of rows lane / 4 and lane / 4 + 8 of each.
struct Warp {
    Word q[2][HEAD / 16][4];
    float out[2][HEAD / 8][4];
    float top[2][2];    // largest score so far
    float total[2][2];  // of the weights in this lane's columns
};

// Scores of the warp's queries with a tile of keys.
__device__ __forceinline__ void score(const Warp& warp, Half* keys, float (&s)[2][KEYS / 8][4]) {
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int m = 0; m < 2; m++)
#pragma unroll
        for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) s[m][n][c] = 0.0f;
#pragma unroll
    for (int d = 0; d < HEAD / 16; d++) {
#pragma unroll
        for (int n = 0; n < KEYS / 16; n++) {
            Word b[4];  // keys 0-7 with both halves of the 16 channels, then keys 8-15
            load_matrices(b, piece_at(keys, n * 16 + lane / 16 * 8 + lane % 8, d * 2 + lane / 8 % 2));
#pragma unroll
            for (int m = 0; m < 2; m++) {
                multiply(s[m][2 * n], warp.q[m][d], b[0], b[1]);
                multiply(s[m][2 * n + 1], warp.q[m][d], b[2], b[3]);
            }
        }
    }
}

// Scores to weights; sums so far are scaled to the new largest score. `scale` is for powers of two.
__device__ __forceinline__ void soften(Warp& warp, float (&s)[2][KEYS / 8][4], float scale) {
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float top = warp.top[m][r];
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) top = fmaxf(top, fmaxf(s[m][n][2 * r], s[m][n][2 * r + 1]));
            // The four lanes of a row.
            top = fmaxf(top, __shfl_xor_sync(EVERYONE, top, 1));
            top = fmaxf(top, __shfl_xor_sync(EVERYONE, top, 2));
            const float shrink = exp2_fast((warp.top[m][r] - top) * scale);
            warp.top[m][r] = top;
            const float shift = top * scale;
            float total = warp.total[m][r] * shrink;
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++) {
#pragma unroll
                for (int c = 2 * r; c < 2 * r + 2; c++) {
                    s[m][n][c] = exp2_fast(fmaf(s[m][n][c], scale, -shift));
                    total += s[m][n][c];
                }
            }
            warp.total[m][r] = total;
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++) {
                warp.out[m][n][2 * r] *= shrink;
                warp.out[m][n][2 * r + 1] *= shrink;
            }
        }
    }
}

// Adds the weighted values of a tile. Sums of a score product lie as the left operand of the next one wants them.
__device__ __forceinline__ void gather(Warp& warp, Half* values, const float (&s)[2][KEYS / 8][4]) {
    const int lane = threadIdx.x % WARP;
#pragma unroll
    for (int k = 0; k < KEYS / 16; k++) {
        Word a[2][4];
#pragma unroll
        for (int m = 0; m < 2; m++) {
#pragma unroll
            for (int i = 0; i < 4; i++) a[m][i] = pair(s[m][2 * k + i / 2][i % 2 * 2], s[m][2 * k + i / 2][i % 2 * 2 + 1]);
        }
#pragma unroll
        for (int n = 0; n < HEAD / 16; n++) {
            Word b[4];  // channels 0-7 with both halves of the 16 keys, then channels 8-15
            load_transposed(b, piece_at(values, k * 16 + lane % 16, n * 2 + lane / 16));
#pragma unroll
            for (int m = 0; m < 2; m++) {
                multiply(warp.out[m][2 * n], a[m], b[0], b[1]);
                multiply(warp.out[m][2 * n + 1], a[m], b[2], b[3]);
            }
        }
    }
}

// Divides by the sums of weights and writes the warp's rows, through its own rows of the tile that held the queries.
__device__ __forceinline__ void finish(Warp& warp, Half* tile, Half* out, long long width, int first, int queries) {
    const int lane = threadIdx.x % WARP, warp_row = threadIdx.x / WARP * 32;
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int r = 0; r < 2; r++) {
            float total = warp.total[m][r];
            total += __shfl_xor_sync(EVERYONE, total, 1);
            total += __shfl_xor_sync(EVERYONE, total, 2);
            const float inverse = 1.0f / total;
            const int row = warp_row + m * 16 + r * 8 + lane / 4;
#pragma unroll
            for (int n = 0; n < HEAD / 8; n++) {
                const Word word = pair(warp.out[m][n][2 * r] * inverse, warp.out[m][n][2 * r + 1] * inverse);
                *reinterpret_cast<Word*>(piece_at(tile, row, n) + lane % 4 * 2) = word;
            }
        }
    }
    __syncwarp();
#pragma unroll
    for (int i = 0; i < 32 * PIECES / WARP; i++) {
        const int row = warp_row + i * (WARP / PIECES) + lane / PIECES, piece = lane % PIECES;
        if (first + row < queries) {
            *reinterpret_cast<int4*>(out + (first + row) * width + piece * 8) =
                *reinterpret_cast<const int4*>(piece_at(tile, row, piece));
        }
    }
}

// While a tile of keys and values is used, the next one is on its way into the other buffer.
extern "C" __global__ void __launch_bounds__(THREADS, 2)
    attention_tensor_bf16_64(const Half* q, const Half* k, const Half* v, Half* out, int queries, int keys, int heads,
                             int head, float scale) {
    alignas(16) __shared__ Half query_tile[QUERIES * HEAD];
    alignas(16) __shared__ Half key_tiles[2][KEYS * HEAD];
    alignas(16) __shared__ Half value_tiles[2][KEYS * HEAD];
    const long long width = static_cast<long long>(heads) * head;
    const long long row_of_q = static_cast<long long>(blockIdx.z) * queries * width + blockIdx.y * HEAD;
    const long long row_of_k = static_cast<long long>(blockIdx.z) * keys * width + blockIdx.y * HEAD;
    const int first = blockIdx.x * QUERIES, lane = threadIdx.x % WARP;
    const int tiles = (keys + KEYS - 1) / KEYS;
    const float scale_2 = scale * 1.4426950408889634f;

    copy_rows<QUERIES>(query_tile, q + row_of_q, width, first, queries);
    copy_rows<KEYS>(key_tiles[0], k + row_of_k, width, 0, keys);
    copy_rows<KEYS>(value_tiles[0], v + row_of_k, width, 0, keys);
    copies_done();
    __syncthreads();

    Warp warp;
#pragma unroll
    for (int m = 0; m < 2; m++) {
#pragma unroll
        for (int d = 0; d < HEAD / 16; d++) {
            const int row = threadIdx.x / WARP * 32 + m * 16 + lane % 16;
            load_matrices(warp.q[m][d], piece_at(query_tile, row, d * 2 + lane / 16));
        }
#pragma unroll
        for (int n = 0; n < HEAD / 8; n++)
#pragma unroll
            for (int c = 0; c < 4; c++) warp.out[m][n][c] = 0.0f;
#pragma unroll
        for (int r = 0; r < 2; r++) {
            warp.top[m][r] = MINUS_INFINITY;
            warp.total[m][r] = 0.0f;
        }
    }

    for (int tile = 0; tile < tiles; tile++) {
        const int next = (tile + 1) % 2;
        if (tile + 1 < tiles) {
            copy_rows<KEYS>(key_tiles[next], k + row_of_k, width, (tile + 1) * KEYS, keys);
            copy_rows<KEYS>(value_tiles[next], v + row_of_k, width, (tile + 1) * KEYS, keys);
        }
        float s[2][KEYS / 8][4];
        score(warp, key_tiles[tile % 2], s);
        const int left = keys - tile * KEYS;
        if (left < KEYS) {
#pragma unroll
            for (int n = 0; n < KEYS / 8; n++)
#pragma unroll
                for (int c = 0; c < 4; c++)
                    if (n * 8 + lane % 4 * 2 + c % 2 >= left) s[0][n][c] = s[1][n][c] = MINUS_INFINITY;
        }
        soften(warp, s, scale_2);
        gather(warp, value_tiles[tile % 2], s);
        copies_done();
        __syncthreads();
    }
    finish(warp, query_tile, out + row_of_q, width, first, queries);
}

#undef HEAD
#undef QUERIES
#undef KEYS

#endif  // TENSOR_CORES

// ---- Plain f32 arithmetic, f32 and bf16, heads up to 128 ------------------------------------------------------------

__device__ __forceinline__ float widen(float x) { return x; }

__device__ __forceinline__ float widen(Half x) {
    union {
        Word bits;
        float value;
    } both;
    both.bits = static_cast<Word>(x) << 16;
    return both.value;
}

__device__ __forceinline__ void narrow(float x, float* to) { *to = x; }

// To nearest, ties to even; a NaN keeps its top bits and must not round to infinity.
__device__ __forceinline__ void narrow(float x, Half* to) {
    union {
        float value;
        Word bits;
    } both;
    both.value = x;
    const Word rounded = both.bits + 0x7fffu + ((both.bits >> 16) & 1u);
    *to = static_cast<Half>((x != x ? both.bits | 0x00400000u : rounded) >> 16);
}

// LANES neighbouring threads share EACH queries, with CHANNELS of the head apiece: a value that is read from shared memory,
// the same for all groups of a warp, serves EACH products. Lane g has the groups of four channels i * LANES + g.
template <typename T, int MOST>
struct Plain {
    static constexpr int LANES = MOST > 32 ? MOST / 32 : 1;
    static constexpr int CHANNELS = MOST / LANES;
    static constexpr int EACH = 2;
    static constexpr int GROUPS = THREADS / LANES;
    static constexpr int KEYS = 32;
    static constexpr int STEP = 8;  // keys whose scores are in registers at once

    float q[EACH][CHANNELS], out[EACH][CHANNELS], top[EACH], total[EACH];

    static __device__ __forceinline__ int channel(int i) {
        return (i / 4 * LANES + threadIdx.x % LANES) * 4 + i % 4;
    }

    static __device__ __forceinline__ int query(int e) {
        return (blockIdx.x * EACH + e) * GROUPS + threadIdx.x / LANES;
    }

    // A tile of rows from `first` on; channels from `head` and rows from `count` on become 0.
    static __device__ __forceinline__ void copy_rows(float* tile, const T* from, long long width, int first, int count, int head) {
        for (int i = threadIdx.x; i < KEYS * MOST; i += THREADS) {
            const int row = first + i / MOST, channel = i % MOST;
            tile[i] = row < count && channel < head ? widen(from[row * width + channel]) : 0.0f;
        }
    }

    // Queries carry the scale, and log2 e for powers of two.
    __device__ __forceinline__ void start(const T* from, long long width, int queries, int head, float scale_2) {
#pragma unroll
        for (int e = 0; e < EACH; e++) {
#pragma unroll
            for (int i = 0; i < CHANNELS; i++) {
                const bool valid = query(e) < queries && channel(i) < head;
                q[e][i] = valid ? widen(from[query(e) * width + channel(i)]) * scale_2 : 0.0f;
                out[e][i] = 0.0f;
            }
            top[e] = MINUS_INFINITY;
            total[e] = 0.0f;
        }
    }

    static __device__ __forceinline__ void read_four(float (&x)[4], const float* tile, int key, int i) {
        const float4 four = *reinterpret_cast<const float4*>(tile + key * MOST + channel(i));
        x[0] = four.x, x[1] = four.y, x[2] = four.z, x[3] = four.w;
    }

    // Takes in STEP keys, of which the first `left` are there.
    __device__ __forceinline__ void take(const float* keys, const float* values, int left) {
        float s[EACH][STEP];
#pragma unroll
        for (int j = 0; j < STEP; j++) {
#pragma unroll
            for (int e = 0; e < EACH; e++) s[e][j] = 0.0f;
#pragma unroll
            for (int i = 0; i < CHANNELS; i += 4) {
                float key[4];
                read_four(key, keys, j, i);
#pragma unroll
                for (int e = 0; e < EACH; e++)
#pragma unroll
                    for (int c = 0; c < 4; c++) s[e][j] = fmaf(q[e][i + c], key[c], s[e][j]);
            }
        }
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            float highest = top[e];
#pragma unroll
            for (int j = 0; j < STEP; j++) {
#pragma unroll
                for (int lanes = 1; lanes < LANES; lanes *= 2) s[e][j] += __shfl_xor_sync(EVERYONE, s[e][j], lanes);
                if (j >= left) s[e][j] = MINUS_INFINITY;
                highest = fmaxf(highest, s[e][j]);
            }
            const float shrink = exp2_fast(top[e] - highest);
            top[e] = highest;
            total[e] *= shrink;
#pragma unroll
            for (int j = 0; j < STEP; j++) {
                s[e][j] = exp2_fast(s[e][j] - highest);
                total[e] += s[e][j];
            }
#pragma unroll
            for (int i = 0; i < CHANNELS; i++) out[e][i] *= shrink;
        }
#pragma unroll
        for (int j = 0; j < STEP; j++) {
#pragma unroll
            for (int i = 0; i < CHANNELS; i += 4) {
                float value[4];
                read_four(value, values, j, i);
#pragma unroll
                for (int e = 0; e < EACH; e++)
#pragma unroll
                    for (int c = 0; c < 4; c++) out[e][i + c] = fmaf(s[e][j], value[c], out[e][i + c]);
            }
        }
    }

    __device__ __forceinline__ void finish(T* to, long long width, int queries, int head) {
#pragma unroll
        for (int e = 0; e < EACH; e++) {
            const float inverse = 1.0f / total[e];
#pragma unroll
            for (int i = 0; i < CHANNELS; i++)
                if (query(e) < queries && channel(i) < head)
                    narrow(out[e][i] * inverse, to + query(e) * width + channel(i));
        }
    }
};

template <typename T, int MOST>
__device__ __forceinline__ void plain_attention(const T* q, const T* k, const T* v, T* out, int queries, int keys, int heads,
                                                int head, float scale, float* key_tile, float* value_tile) {
    typedef Plain<T, MOST> Part;
    const long long width = static_cast<long long>(heads) * head;
    const long long row_of_q = static_cast<long long>(blockIdx.z) * queries * width + blockIdx.y * head;
    const long long row_of_k = static_cast<long long>(blockIdx.z) * keys * width + blockIdx.y * head;
    Part part;
    part.start(q + row_of_q, width, queries, head, scale * 1.4426950408889634f);
    for (int first = 0; first < keys; first += Part::KEYS) {
        __syncthreads();
        Part::copy_rows(key_tile, k + row_of_k, width, first, keys, head);
        Part::copy_rows(value_tile, v + row_of_k, width, first, keys, head);
        __syncthreads();
        const int there = keys - first < Part::KEYS ? keys - first : Part::KEYS;
        for (int j = 0; j < there; j += Part::STEP) part.take(key_tile + j * MOST, value_tile + j * MOST, there - j);
    }
    part.finish(out + row_of_q, width, queries, head);
}

#define PLAIN_ATTENTION(NAME, T, MOST)                                                                                  \
    extern "C" __global__ void __launch_bounds__(THREADS, 2)                                                            \
        NAME(const T* q, const T* k, const T* v, T* out, int queries, int keys, int heads, int head, float scale) {     \
        alignas(16) __shared__ float key_tile[Plain<T, MOST>::KEYS * MOST];                                             \
        alignas(16) __shared__ float value_tile[Plain<T, MOST>::KEYS * MOST];                                           \
        plain_attention<T, MOST>(q, k, v, out, queries, keys, heads, head, scale, key_tile, value_tile);                \
    }

// A program compiles one kernel at a time, as all would take NVRTC seconds: plain ones with -D ONE_PLAIN=name -D TYPE=type
// -D SIZE=head, the other with -D ONE_TENSOR.
#if defined(ONE_PLAIN)
PLAIN_ATTENTION(ONE_PLAIN, TYPE, SIZE)
#elif !defined(ONE_TENSOR)
PLAIN_ATTENTION(attention_f32_16, float, 16)
PLAIN_ATTENTION(attention_f32_32, float, 32)
PLAIN_ATTENTION(attention_f32_64, float, 64)
PLAIN_ATTENTION(attention_f32_128, float, 128)
PLAIN_ATTENTION(attention_bf16_16, Half, 16)
PLAIN_ATTENTION(attention_bf16_32, Half, 32)
PLAIN_ATTENTION(attention_bf16_64, Half, 64)
PLAIN_ATTENTION(attention_bf16_128, Half, 128)
#endif
