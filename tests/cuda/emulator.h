// Runs a CUDA kernel's source as C++: every thread of a block is a fibre, blocks run one after the other.
//
// A fibre runs until it waits for its block (__syncthreads) or its warp (shuffles, matrix loads, products); what a warp does
// together is done when all 32 lanes have arrived, with operands and results placed as the PTX ISA says for
// "ldmatrix" and "mma.m16n8k16". Asynchronous copies happen as late as they may: when their thread waits for them. Lanes
// take turns in random order and warps for random times, so that a missing barrier shows as a wrong result. Anything that
// a GPU would leave undefined (lanes that wait for different things, misaligned copies, a barrier that some threads never
// reach) ends the program; matrix loads with bank conflicts are counted.
#pragma once

#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <numeric>
#include <random>
#include <vector>

#define EMULATED
#define TENSOR_CORES
#define __global__
#define __device__
#define __forceinline__ inline
#define __launch_bounds__(...)
#define __shared__ static
#define threadIdx (emulator::current->index)
#define blockIdx (emulator::block)

struct alignas(16) float4 {
    float x, y, z, w;
};
struct alignas(16) int4 {
    int x, y, z, w;
};

namespace emulator {

struct Index {
    unsigned x = 0, y = 0, z = 0;
};

enum class Call { None, Block, Warp, ShuffleXor, Load, LoadTransposed, Multiply };

struct Copy {
    void* to;
    const void* from;
    bool valid;
};

// One thread, and the operands of what it waits for.
struct Fibre {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    Index index;
    bool done = false;
    Call waits = Call::None;
    std::vector<Copy> copies;
    const uint16_t* row = nullptr;
    uint32_t* registers = nullptr;
    float* sums = nullptr;
    const uint32_t* a = nullptr;
    uint32_t b[2] = {};
    float value = 0, result = 0;
    int lane_mask = 0;
};

inline Fibre* current = nullptr;
inline Index block;
inline ucontext_t scheduler;
inline std::function<void()> kernel;
inline uint64_t bank_conflicts = 0, products = 0;
inline std::mt19937 order{1};

[[noreturn]] inline void fail(const char* reason) {
    std::fprintf(stderr, "emulator: %s, block %u %u %u, thread %u\n", reason, block.x, block.y, block.z,
                 current ? current->index.x : 0);
    std::exit(1);
}

inline void wait_for(Call call) {
    current->waits = call;
    swapcontext(&current->context, &scheduler);
}

inline uint16_t half_of(const uint32_t* words, int i) { return static_cast<uint16_t>(words[i / 2] >> (i % 2 * 16)); }

inline float wide(uint16_t bits) {
    const uint32_t word = static_cast<uint32_t>(bits) << 16;
    float value;
    std::memcpy(&value, &word, 4);
    return value;
}

inline uint16_t rounded(float value) {
    uint32_t bits;
    std::memcpy(&bits, &value, 4);
    if (value != value) return static_cast<uint16_t>(bits >> 16 | 0x40);
    return static_cast<uint16_t>((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

inline void load(Fibre* const* lanes, bool transposed) {
    for (int matrix = 0; matrix < 4; matrix++) {
        bool banks[8] = {};
        for (int row = 0; row < 8; row++) {
            const auto address = reinterpret_cast<uintptr_t>(lanes[8 * matrix + row]->row);
            if (address % 16 != 0) fail("a matrix row is not at a multiple of 16 bytes");
            bool& taken = banks[address / 16 % 8];
            bank_conflicts += taken;
            taken = true;
        }
        for (int lane = 0; lane < 32; lane++) {
            uint32_t word = 0;
            for (int i = 0; i < 2; i++) {
                int row = lane / 4, column = lane % 4 * 2 + i;
                if (transposed) std::swap(row, column);
                word |= static_cast<uint32_t>(lanes[8 * matrix + row]->row[column]) << (16 * i);
            }
            lanes[lane]->registers[matrix] = word;
        }
    }
}

inline void multiply_all(Fibre* const* lanes) {
    float a[16][16], b[16][8];
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane / 4, pair = lane % 4 * 2;
        for (int i = 0; i < 8; i++) {
            const int row = group + (i / 2 % 2 ? 8 : 0), column = pair + i % 2 + (i / 4 ? 8 : 0);
            a[row][column] = wide(half_of(lanes[lane]->a, i));
        }
        for (int i = 0; i < 4; i++) b[pair + i % 2 + (i / 2 ? 8 : 0)][group] = wide(half_of(lanes[lane]->b, i));
    }
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4; i++) {
            const int row = lane / 4 + (i / 2 ? 8 : 0), column = lane % 4 * 2 + i % 2;
            float& sum = lanes[lane]->sums[i];
            for (int k = 0; k < 16; k++) sum = std::fma(a[row][k], b[k][column], sum);
        }
    }
    products++;
}

// Does what a warp has gathered for, if all of it has.
inline bool release_warp(Fibre* const* lanes) {
    const Call call = lanes[0]->waits;
    if (call == Call::None || call == Call::Block) return false;
    for (int lane = 0; lane < 32; lane++) {
        if (lanes[lane]->waits == Call::None && !lanes[lane]->done) return false;
        if (lanes[lane]->waits != call) fail("lanes of a warp wait for different things");
    }
    switch (call) {
        case Call::ShuffleXor:
            for (int lane = 0; lane < 32; lane++) lanes[lane]->result = lanes[lane ^ lanes[lane]->lane_mask]->value;
            break;
        case Call::Load:
        case Call::LoadTransposed:
            load(lanes, call == Call::LoadTransposed);
            break;
        case Call::Multiply:
            multiply_all(lanes);
            break;
        default:
            break;
    }
    for (int lane = 0; lane < 32; lane++) lanes[lane]->waits = Call::None;
    return true;
}

inline void enter() {
    kernel();
    if (!current->copies.empty()) fail("a thread ends before its copies");
    current->done = true;
    swapcontext(&current->context, &scheduler);
}

// Lets the lanes of a warp run until each waits for something; false if none could.
inline bool advance(Fibre* const* lanes) {
    int turns[32];
    std::iota(turns, turns + 32, 0);
    std::shuffle(turns, turns + 32, order);
    bool moved = false;
    for (const int lane : turns) {
        if (lanes[lane]->done || lanes[lane]->waits != Call::None) continue;
        current = lanes[lane];
        swapcontext(&scheduler, &current->context);
        moved = true;
    }
    return release_warp(lanes) || moved;
}

inline void start(Fibre& fibre, unsigned index) {
    constexpr size_t STACK = 256 << 10;
    fibre.index.x = index;
    fibre.stack = std::make_unique<char[]>(STACK);
    getcontext(&fibre.context);
    fibre.context.uc_stack.ss_sp = fibre.stack.get();
    fibre.context.uc_stack.ss_size = STACK;
    fibre.context.uc_link = nullptr;
    makecontext(&fibre.context, enter, 0);
}

inline void run_block(unsigned threads) {
    std::vector<Fibre> fibres(threads);
    std::vector<Fibre*> lanes;
    for (unsigned i = 0; i < threads; i++) {
        start(fibres[i], i);
        lanes.push_back(&fibres[i]);
    }
    std::vector<unsigned> warps(threads / 32);
    std::iota(warps.begin(), warps.end(), 0);
    for (;;) {
        // A warp is often far ahead of the others, and often level with them.
        std::shuffle(warps.begin(), warps.end(), order);
        bool moved = false;
        for (const unsigned warp : warps)
            for (unsigned left = 1u << order() % 12; left > 0 && advance(&lanes[warp * 32]); left--) moved = true;
        if (moved) continue;
        if (std::all_of(fibres.begin(), fibres.end(), [](const Fibre& fibre) { return fibre.done; })) return;
        for (Fibre& fibre : fibres) {
            current = &fibre;
            if (fibre.waits != Call::Block) fail("threads wait for each other");
            fibre.waits = Call::None;
        }
    }
}

// Launches a kernel: `body` calls it with its arguments.
inline void launch(Index grid, unsigned threads, std::function<void()> body) {
    kernel = std::move(body);
    for (block.z = 0; block.z < grid.z; block.z++)
        for (block.y = 0; block.y < grid.y; block.y++)
            for (block.x = 0; block.x < grid.x; block.x++) run_block(threads);
}

}  // namespace emulator

inline void __syncthreads() { emulator::wait_for(emulator::Call::Block); }

inline void __syncwarp() { emulator::wait_for(emulator::Call::Warp); }

inline float __shfl_xor_sync(unsigned, float value, int lane_mask) {
    emulator::current->value = value;
    emulator::current->lane_mask = lane_mask;
    emulator::wait_for(emulator::Call::ShuffleXor);
    return emulator::current->result;
}

inline float __int_as_float(int bits) {
    float value;
    std::memcpy(&value, &bits, 4);
    return value;
}

inline float exp2_fast(float x) { return std::exp2(x); }

inline void copy_16(uint16_t* to, const uint16_t* from, bool valid) {
    if (reinterpret_cast<uintptr_t>(to) % 16 != 0 || reinterpret_cast<uintptr_t>(from) % 16 != 0)
        emulator::fail("a copy is not at a multiple of 16 bytes");
    emulator::current->copies.push_back({to, from, valid});
}

inline void copies_done() {
    for (const emulator::Copy& copy : emulator::current->copies) {
        if (copy.valid)
            std::memcpy(copy.to, copy.from, 16);
        else
            std::memset(copy.to, 0, 16);
    }
    emulator::current->copies.clear();
}

inline void load_matrices(uint32_t (&registers)[4], const uint16_t* row) {
    emulator::current->row = row;
    emulator::current->registers = registers;
    emulator::wait_for(emulator::Call::Load);
}

inline void load_transposed(uint32_t (&registers)[4], const uint16_t* row) {
    emulator::current->row = row;
    emulator::current->registers = registers;
    emulator::wait_for(emulator::Call::LoadTransposed);
}

inline void multiply(float (&sums)[4], const uint32_t (&a)[4], uint32_t b0, uint32_t b1) {
    emulator::current->sums = sums;
    emulator::current->a = a;
    emulator::current->b[0] = b0;
    emulator::current->b[1] = b1;
    emulator::wait_for(emulator::Call::Multiply);
}

inline uint32_t pair(float low, float high) {
    return emulator::rounded(low) | static_cast<uint32_t>(emulator::rounded(high)) << 16;
}
