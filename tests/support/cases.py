"""Small cores that together cover every axis of a configuration, for every test that needs one.

A case's name says its corner. Layers run on a case must keep to its `max_in_features` and
`max_out_features`, which are small for the corners of the counters.
"""

from __future__ import annotations

from hwgen.spec.config import CoreConfig, Pipeline

CASES: dict[str, CoreConfig] = {
    # Smallest legal core of each kind: one table, one port, counters of one bit.
    "lut_smallest": CoreConfig(
        kind="lut", act="int2", tables=1, ports=1, max_in_features=1, max_out_features=1
    ),
    "signflip_smallest": CoreConfig(
        kind="signflip", act="int2", tables=1, ports=1, max_in_features=1, max_out_features=1
    ),
    "multiplier_smallest": CoreConfig(
        kind="multiplier", act="int2", tables=1, ports=1, max_in_features=1, max_out_features=1
    ),
    # Tables on wires.
    "lut_mu1_wires_d2": CoreConfig(
        kind="lut", act="int5", tables=2, ports=3, reuse=2, max_in_features=301
    ),
    "lut_mu2_wires_d1": CoreConfig(kind="lut", act="int4", mu=2, tables=3, ports=2),
    "lut_mu2_full_wires_d3": CoreConfig(
        kind="lut", act="int4", mu=2, tables=3, ports=2, reuse=3, table="full", storage="wires"
    ),
    "lut_mu3_wires_d2_fetch1": CoreConfig(
        kind="lut", mu=3, tables=4, ports=3, reuse=2, pipeline=Pipeline(fetch=1)
    ),
    "lut_mu4_chain_wires_reduce2": CoreConfig(
        kind="lut",
        act="int6",
        mu=4,
        tables=5,
        ports=2,
        builder="chain",
        pipeline=Pipeline(reduce=2),
    ),
    "lut_mu5_naive_wires": CoreConfig(
        kind="lut", act="int3", mu=5, tables=2, ports=1, builder="naive"
    ),
    # Tables in registers.
    "lut_mu1_full_registers": CoreConfig(
        kind="lut", act="int7", tables=3, ports=2, table="full", storage="registers"
    ),
    "lut_mu3_registers_d1": CoreConfig(kind="lut", mu=3, tables=2, ports=4, storage="registers"),
    "lut_mu3_chain_full_registers_d5_pipelined": CoreConfig(
        kind="lut",
        mu=3,
        tables=3,
        ports=2,
        reuse=5,
        table="full",
        storage="registers",
        builder="chain",
        pipeline=Pipeline(build=1, fetch=1, reduce=1),
    ),
    "lut_mu3_naive_registers_d2_build2": CoreConfig(
        kind="lut",
        act="int9",
        mu=3,
        tables=1,
        ports=2,
        reuse=2,
        storage="registers",
        builder="naive",
        pipeline=Pipeline(build=2, fetch=1),
    ),
    "lut_mu4_registers_d3_build1_reduce3": CoreConfig(
        kind="lut",
        act="int5",
        mu=4,
        tables=6,
        ports=1,
        reuse=3,
        storage="registers",
        pipeline=Pipeline(build=1, reduce=3),
    ),
    "lut_mu5_chain_registers_build3": CoreConfig(
        kind="lut",
        act="int3",
        mu=5,
        tables=1,
        ports=2,
        storage="registers",
        builder="chain",
        pipeline=Pipeline(build=3),
    ),
    "lut_mu5_full_registers_d2": CoreConfig(
        kind="lut",
        act="int2",
        mu=5,
        tables=2,
        ports=1,
        reuse=2,
        table="full",
        storage="registers",
    ),
    # Other corners of tables, ports, reuse and accumulators.
    "lut_one_by_one_d5_pipelined": CoreConfig(
        kind="lut", mu=3, tables=1, ports=1, reuse=5, pipeline=Pipeline(fetch=1, reduce=1)
    ),
    "lut_reuse_beyond_outputs": CoreConfig(
        kind="lut", act="int4", mu=2, tables=2, ports=2, reuse=5, max_out_features=6
    ),
    "lut_int16": CoreConfig(
        kind="lut", act="int16", mu=2, tables=1, ports=5, reuse=2, max_in_features=1 << 20
    ),
    "lut_wrap": CoreConfig(kind="lut", mu=2, tables=5, ports=2, acc_bits=9, acc_overflow="wrap"),
    "lut_saturate_d3": CoreConfig(
        kind="lut",
        mu=3,
        tables=2,
        ports=3,
        reuse=3,
        storage="registers",
        acc_bits=12,
        acc_overflow="saturate",
    ),
    # Codebook sherry34: every group of four weights has exactly one zero.
    "lut_sherry34_wires_d2": CoreConfig(
        kind="lut", codebook="sherry34", mu=4, tables=3, ports=2, reuse=2, max_in_features=303
    ),
    "lut_sherry34_full_chain_registers_d3_pipelined": CoreConfig(
        kind="lut",
        act="int5",
        codebook="sherry34",
        mu=4,
        tables=5,
        ports=2,
        reuse=3,
        table="full",
        storage="registers",
        builder="chain",
        pipeline=Pipeline(build=1, fetch=1, reduce=1),
    ),
    "lut_sherry34_naive_registers_fetch1_saturate": CoreConfig(
        kind="lut",
        act="int6",
        codebook="sherry34",
        mu=4,
        tables=2,
        ports=3,
        storage="registers",
        builder="naive",
        pipeline=Pipeline(build=2, fetch=1),
        acc_bits=10,
        acc_overflow="saturate",
    ),
    "lut_sherry34_fp16_fixed_chain": CoreConfig(
        kind="lut",
        act="fp16",
        arith="fixed",
        codebook="sherry34",
        mu=4,
        tables=2,
        ports=2,
        builder="chain",
    ),
    "lut_sherry34_bf16_aligned_full_d2": CoreConfig(
        kind="lut",
        act="bf16",
        arith="fixed",
        fixed_bits=20,
        codebook="sherry34",
        mu=4,
        tables=2,
        ports=1,
        reuse=2,
        table="full",
        pipeline=Pipeline(fetch=1),
    ),
    "lut_sherry34_fp16_float_d2": CoreConfig(
        kind="lut",
        act="fp16",
        arith="float",
        codebook="sherry34",
        mu=4,
        tables=3,
        ports=2,
        reuse=2,
    ),
    "lut_sherry34_fp8_e4m3_float_full_registers_r2_to_fp16": CoreConfig(
        kind="lut",
        act="fp8_e4m3",
        arith="float",
        sum_format="fp16",
        codebook="sherry34",
        mu=4,
        tables=2,
        ports=2,
        table="full",
        storage="registers",
        pipeline=Pipeline(build=1, fetch=1, fp_add=1),
    ),
    "lut_sherry34_fp8_e5m2_float_chain": CoreConfig(
        kind="lut",
        act="fp8_e5m2",
        arith="float",
        sum_format="fp8_e5m2",
        codebook="sherry34",
        mu=4,
        tables=1,
        ports=2,
        builder="chain",
    ),
    "lut_sherry34_fp8_e5m2_float_naive_d3": CoreConfig(
        kind="lut",
        act="fp8_e5m2",
        arith="float",
        sum_format="fp16",
        codebook="sherry34",
        mu=4,
        tables=2,
        ports=1,
        reuse=3,
        builder="naive",
    ),
    # Baselines.
    "signflip_odd_d3_pipelined": CoreConfig(
        kind="signflip", tables=7, ports=3, reuse=3, pipeline=Pipeline(fetch=1, reduce=2)
    ),
    "signflip_saturate": CoreConfig(
        kind="signflip", act="int6", tables=4, ports=2, acc_bits=8, acc_overflow="saturate"
    ),
    "multiplier_int16": CoreConfig(kind="multiplier", act="int16", tables=3, ports=2),
    "multiplier_wrap_d5_pipelined": CoreConfig(
        kind="multiplier",
        tables=3,
        ports=2,
        reuse=5,
        acc_bits=17,
        acc_overflow="wrap",
        pipeline=Pipeline(fetch=1, reduce=1),
    ),
    # Floating-point activations as exact fixed point.
    "lut_fp16_fixed": CoreConfig(
        kind="lut", act="fp16", arith="fixed", mu=2, tables=3, ports=2, reuse=2
    ),
    "lut_fp8_e5m2_fixed_pipelined": CoreConfig(
        kind="lut",
        act="fp8_e5m2",
        arith="fixed",
        mu=3,
        tables=2,
        ports=3,
        reuse=3,
        table="full",
        storage="registers",
        pipeline=Pipeline(build=1, fetch=1, reduce=1),
    ),
    "signflip_fp8_e4m3_fixed": CoreConfig(
        kind="signflip", act="fp8_e4m3", arith="fixed", tables=5, ports=2
    ),
    # Rounding floating-point arithmetic.
    "lut_fp16_float_d2": CoreConfig(
        kind="lut", act="fp16", arith="float", mu=2, tables=3, ports=2, reuse=2
    ),
    "lut_fp8_e4m3_float_chain_full_pipelined": CoreConfig(
        kind="lut",
        act="fp8_e4m3",
        arith="float",
        sum_format="fp8_e4m3",
        mu=4,
        tables=2,
        ports=2,
        table="full",
        builder="chain",
        storage="registers",
        pipeline=Pipeline(build=1, fetch=1, reduce=1),
    ),
    "lut_fp8_e5m2_float_naive": CoreConfig(
        kind="lut",
        act="fp8_e5m2",
        arith="float",
        sum_format="fp8_e5m2",
        mu=3,
        tables=1,
        ports=3,
        builder="naive",
    ),
    "signflip_bf16_float_d3": CoreConfig(
        kind="signflip", act="bf16", arith="float", tables=5, ports=2, reuse=3
    ),
    "lut_bf16_aligned_d2": CoreConfig(
        kind="lut", act="bf16", arith="fixed", fixed_bits=24, mu=2, tables=3, ports=2, reuse=2
    ),
    "signflip_fp16_aligned_pipelined_to_fp32": CoreConfig(
        kind="signflip",
        act="fp16",
        arith="fixed",
        fixed_bits=12,
        sum_format="fp32",
        tables=5,
        ports=2,
        pipeline=Pipeline(fetch=1, reduce=2),
    ),
    "lut_fp8_e4m3_fixed_to_fp16": CoreConfig(
        kind="lut", act="fp8_e4m3", arith="fixed", sum_format="fp16", mu=2, tables=2, ports=3
    ),
    # Adders with registers: accumulators of latency R against blocks of D tiles.
    "lut_fp16_float_d1_r3": CoreConfig(
        kind="lut",
        act="fp16",
        arith="float",
        sum_format="fp32",
        mu=2,
        tables=3,
        ports=2,
        pipeline=Pipeline(fp_add=2),
    ),
    "lut_fp8_e5m2_float_full_d2_r2_to_bf16": CoreConfig(
        kind="lut",
        act="fp8_e5m2",
        arith="float",
        sum_format="bf16",
        mu=3,
        tables=2,
        ports=2,
        reuse=2,
        table="full",
        storage="registers",
        pipeline=Pipeline(build=1, fetch=1, reduce=1, fp_add=1),
    ),
    "signflip_fp8_e4m3_float_d7_r5": CoreConfig(
        kind="signflip",
        act="fp8_e4m3",
        arith="float",
        sum_format="fp16",
        tables=5,
        ports=1,
        reuse=7,
        pipeline=Pipeline(fp_add=4),
    ),
    "multiplier_fp8_e4m3_float_d3_r4": CoreConfig(
        kind="multiplier",
        act="fp8_e4m3",
        arith="float",
        sum_format="fp8_e4m3",
        tables=3,
        ports=2,
        reuse=3,
        pipeline=Pipeline(fetch=1, fp_add=3, fp_mul=2),
    ),
    "multiplier_fp8_e5m2_float": CoreConfig(
        kind="multiplier", act="fp8_e5m2", arith="float", sum_format="fp8_e5m2", tables=3, ports=2
    ),
}
"""Cores by name."""
