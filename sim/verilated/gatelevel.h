// Put before sim/driver.cpp by the compiler: the driver's core counts toggles, too.
//
// One sample a cycle, where the clock is low: registers show what they took at the last edge and all
// inputs those of the new cycle. Zero-delay logic has settled there, so that a net counts once for
// a cycle however often it would glitch. The first sample lasts 2^40 time units, so that T1 tells
// which nets were 1 at the start; the SAIF writer takes all of them to rise from 0 then.

#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "Vcore.h"
#include "ports.h"
#include "verilated.h"
#include "verilated_saif_c.h"

namespace gates {
std::string file;
uint64_t from = 0;    // first cycle after reset that is sampled
uint64_t cycles = 0;  // at most that many
uint64_t seen = 0;    // cycles from the first sample to the last
uint64_t tiles = 0;   // key beats that moved in them
}  // namespace gates

class CountingCore final : public Vcore {
    VerilatedSaifC m_saif;
    uint64_t m_cycle = 0;
    uint64_t m_now = 0;
    bool m_moves = false;

public:
    explicit CountingCore(VerilatedContext* context)
        : Vcore{(context->traceEverOn(true), context)} {
        trace(&m_saif, 99);
        gates::seen = gates::tiles = 0;
    }
    void eval() {
        Vcore::eval();
        if (clk || rst) return;
        if (m_cycle == gates::from) {
            m_saif.open(gates::file.c_str());
            m_saif.dump(0);
            m_now = uint64_t{1} << 40;
        } else if (m_cycle > gates::from && m_cycle <= gates::from + gates::cycles) {
            m_saif.dump(m_now++);
            gates::tiles += m_moves;  // The key of the cycle before this sample.
            ++gates::seen;
        }
        m_moves = PORT_keys_valid && PORT_keys_ready;
        ++m_cycle;
    }
    void final() {
        m_saif.close();
        Vcore::final();
    }
};

extern "C" void gates_sample(const char* file, uint64_t from, uint64_t cycles) {
    gates::file = file;
    gates::from = from;
    gates::cycles = cycles;
}
extern "C" uint64_t gates_seen() { return gates::seen; }
extern "C" uint64_t gates_tiles() { return gates::tiles; }

#define Vcore CountingCore
