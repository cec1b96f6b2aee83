// Drives a Verilated core from plain memory: commands, activations and keys in, sums out.
//
// One call of core_run plays any number of queued runs from a freshly reset core and returns when
// every result has moved (and some idle cycles have shown that nothing more comes), when nothing
// has moved for `patience` cycles, or when `idle` results too many have come. Streams follow the
// core's rules: once offered, a beat stays until it moves. All beats are little-endian and padded to
// multiples of 8 bytes. ports.h, made from the core's manifest, names the ports.

#include <chrono>
#include <cstdint>
#include <cstring>
#include <memory>

#include "Vcore.h"
#include "ports.h"
#include "verilated.h"

#define PORT(stream, signal) core->PORT_##stream##_##signal

namespace {

template <typename T>
void put(T& port, const uint8_t* beat) {
    std::memcpy(&port, beat, sizeof(T));  // CData … QData: the low bytes of the beat.
}

template <std::size_t Words>
void put(VlWide<Words>& port, const uint8_t* beat) {
    std::memcpy(&port[0], beat, sizeof(EData) * Words);
}

template <typename T>
void get(const T& port, uint8_t* beat) {
    std::memcpy(beat, &port, sizeof(T));
}

template <std::size_t Words>
void get(const VlWide<Words>& port, uint8_t* beat) {
    std::memcpy(beat, &port[0], sizeof(EData) * Words);
}

// xorshift64*: stalls only need to be irregular and repeatable.
struct Random {
    uint64_t state;
    bool chance(uint32_t percent) {
        if (percent == 0) return false;
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        return ((state * 2685821657736338717ull) >> 33) % 100 < percent;
    }
};

using Clock = std::chrono::steady_clock;

}  // namespace

extern "C" {

// One run of the queue. Beats are indices into the shared arrays.
struct Run {
    uint64_t tokens;          // T
    uint64_t in_tiles;        // I: activation beats of one token
    uint64_t blocks;          // times that a token's activations are sent
    uint64_t tiles;           // key beats of one token
    uint64_t results;         // result beats of one token
    uint64_t command;         // its beat in `commands`
    uint64_t acts;            // its first beat in `acts`
    uint64_t keys;            // its first beat in `keys`
};

struct Job {
    const Run* runs;
    uint64_t n_runs;
    const uint8_t* commands;
    const uint8_t* acts;
    const uint8_t* keys;
    uint8_t* sums;            // room for the results of all runs
    uint64_t command_bytes, acts_bytes, keys_bytes, sums_bytes;  // of one beat
    uint64_t seed;            // of stalls and of the registers' contents at start
    uint32_t stall_commands, stall_acts, stall_keys, stall_sums;  // percent of cycles
    uint64_t fill, drain;     // key beat j can move ceil((j + 1) * fill / drain) cycles after the first
                              // command, not before; fill 0: from the start
    uint64_t patience;        // cycles without a transfer after which to give up
    uint64_t idle;            // cycles to wait for strays at the end
    // Results.
    uint64_t cycles;          // from the edge that takes the first command to the last result's
    uint64_t received;        // result beats
    uint64_t strays;          // result beats beyond those expected
    uint64_t leftover;        // input beats never taken
    double copy_seconds;      // of the run time, spent moving beats to and from the model
};

int core_run(Job* job) {
    VerilatedContext context;
    context.randReset(2);
    context.randSeed(static_cast<int>(job->seed % 2147483646u) + 1);
    auto core = std::make_unique<Vcore>(&context);
    Random random{job->seed * 0x9E3779B97F4A7C15ull + 1};

    uint64_t expected = 0, inputs = 0;
    for (uint64_t r = 0; r < job->n_runs; ++r) {
        const Run& run = job->runs[r];
        expected += run.tokens * run.results;
        inputs += 1 + run.tokens * (run.blocks * run.in_tiles + run.tiles);
    }

    core->clk = 0;
    core->rst = 1;
    PORT(commands, valid) = PORT(acts, valid) = PORT(keys, valid) = PORT(sums, ready) = 0;
    for (int edge = 0; edge < 4; ++edge) {
        core->clk = edge & 1;
        core->eval();
    }
    core->rst = 0;

    uint64_t command_run = 0, acts_run = 0, keys_run = 0;
    uint64_t acts_token = 0, acts_block = 0, acts_beat = 0, keys_token = 0, keys_beat = 0;
    bool command_offered = false, acts_offered = false, keys_offered = false;
    uint64_t keys_moved = 0;
    bool commanded = false;
    uint64_t taken = 0, received = 0, strays = 0, first = 0, last = 0, quiet = 0, cycle = 0;
    Clock::duration copying{};

    while (true) {
        const auto copy_start = Clock::now();
        if (!command_offered && command_run < job->n_runs && !random.chance(job->stall_commands)) {
            put(PORT(commands, payload),
                job->commands + job->runs[command_run].command * job->command_bytes);
            command_offered = true;
        }
        if (!acts_offered && acts_run < job->n_runs && !random.chance(job->stall_acts)) {
            const Run& run = job->runs[acts_run];
            const uint64_t beat = run.acts + acts_token * run.in_tiles + acts_beat;
            put(PORT(acts, payload), job->acts + beat * job->acts_bytes);
            acts_offered = true;
        }
        const bool arrived = job->fill == 0 ||
            (commanded && (cycle - first) * job->drain >= (keys_moved + 1) * job->fill);
        if (!keys_offered && keys_run < job->n_runs && arrived && !random.chance(job->stall_keys)) {
            const Run& run = job->runs[keys_run];
            put(PORT(keys, payload), job->keys + (run.keys + keys_beat) * job->keys_bytes);
            keys_offered = true;
        }
        copying += Clock::now() - copy_start;
        PORT(commands, valid) = command_offered;
        PORT(acts, valid) = acts_offered;
        PORT(keys, valid) = keys_offered;
        PORT(sums, ready) = !random.chance(job->stall_sums);
        core->clk = 0;
        core->eval();
        const bool command_moves = command_offered && PORT(commands, ready);
        const bool acts_moves = acts_offered && PORT(acts, ready);
        const bool keys_moves = keys_offered && PORT(keys, ready);
        const bool sums_moves = PORT(sums, valid) && PORT(sums, ready);
        if (sums_moves) {
            if (received < expected) {
                const auto start = Clock::now();
                get(PORT(sums, payload), job->sums + received * job->sums_bytes);
                copying += Clock::now() - start;
                ++received;
                last = cycle;
            } else {
                ++strays;
            }
        }
        if (command_moves && command_run == 0) first = cycle, commanded = true;
        core->clk = 1;
        core->eval();
        if (command_moves) {
            command_offered = false;
            ++command_run;
        }
        if (acts_moves) {
            acts_offered = false;
            const Run& run = job->runs[acts_run];
            if (++acts_beat == run.in_tiles) {
                acts_beat = 0;
                if (++acts_block == run.blocks) {
                    acts_block = 0;
                    if (++acts_token == run.tokens) acts_token = 0, ++acts_run;
                }
            }
        }
        if (keys_moves) {
            keys_offered = false;
            ++keys_moved;
            const Run& run = job->runs[keys_run];
            if (++keys_beat == run.tiles) {
                keys_beat = 0;
                if (++keys_token == run.tokens) keys_token = 0, ++keys_run;
            }
        }
        taken += command_moves + acts_moves + keys_moves;
        const bool moved = command_moves || acts_moves || keys_moves || sums_moves;
        quiet = moved ? 0 : quiet + 1;
        ++cycle;
        const bool complete = received == expected && taken == inputs;
        if (quiet >= (complete ? job->idle : job->patience) || strays >= job->idle) break;
    }
    core->final();
    job->cycles = last - first + 1;
    job->received = received;
    job->strays = strays;
    job->leftover = inputs - taken;
    job->copy_seconds = std::chrono::duration<double>(copying).count();
    return 0;
}
}
