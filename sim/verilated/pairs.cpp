// Pushes pairs of operands through a Verilated unit: one pair per cycle, every register loading.
//
// REGISTERS is the number of the unit's pipeline registers. Without any it has no clock.

#include <cstdint>
#include <memory>

#include "Vcore.h"
#include "verilated.h"

extern "C" {

// The result of pair i is what the unit shows `latency` cycles after the one that gave it the pair.
void pairs_run(const uint32_t* a, const uint32_t* b, uint32_t* o, uint64_t count, uint64_t latency,
               uint64_t seed) {
    VerilatedContext context;
    context.randReset(2);
    context.randSeed(static_cast<int>(seed % 2147483646u) + 1);
    auto unit = std::make_unique<Vcore>(&context);
#if REGISTERS
    unit->load = (1u << REGISTERS) - 1;
#endif
    for (uint64_t cycle = 0; cycle < count + latency; ++cycle) {
        const uint64_t pair = cycle < count ? cycle : count - 1;
        unit->a = a[pair];
        unit->b = b[pair];
#if REGISTERS
        unit->clk = 0;
#endif
        unit->eval();
        if (cycle >= latency) o[cycle - latency] = unit->o;
#if REGISTERS
        unit->clk = 1;
        unit->eval();
#endif
    }
    unit->final();
}
}
