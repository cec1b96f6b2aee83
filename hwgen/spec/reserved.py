"""Names that some tool takes for something of its own, so that no module may have them.

Keywords of Verilog (`hwgen.spec.keywords`) are refused in a core's file. These are legal there and
refused where Verilog is written: tools would put a primitive of theirs in a module's place, or be
at a loss.
"""

from __future__ import annotations

from hwgen.spec.keywords import KEYWORDS


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


SYSTEM_VERILOG = _words("std process semaphore mailbox randomize")
"""The package that every SystemVerilog design has, and what is in it (IEEE 1800-2017, annex G)."""

VHDL = _words(
    """
    abs access after alias all and architecture array assert assume assume_guarantee attribute begin
    block body buffer bus case component configuration constant context cover default disconnect
    downto else elsif end entity exit fairness file for force function generate generic group
    guarded if impure in inertial inout is label library linkage literal loop map mod nand new next
    nor not null of on open or others out package parameter port postponed procedure process
    property protected pure range record register reject release rem report restrict
    restrict_guarantee return rol ror select sequence severity shared signal sla sll sra srl strong
    subtype then to transport type unaffected units until use variable vmode vprop vunit wait when
    while with work xnor xor
    """
)
"""Reserved words of VHDL (IEEE 1076-2008, section 15.10), and its library; case does not matter."""

PRIMITIVES = {
    "AMD FPGAs": """
    AND2B1L BSCANE2 BUFG BUFG_GT BUFG_PS BUFGCE BUFGCE_1 BUFGCE_DIV BUFGCTRL BUFGMUX BUFH BUFHCE
    BUFIO BUFMR BUFMRCE BUFR CARRY4 CARRY8 CFGLUT5 DCM DCM_ADV DCM_SP DSP48 DSP48A DSP48A1
    DSP48E DSP48E1 DSP48E2 DSP58 DSPCPLX DSPFP32 FD FDC FDCE FDCPE FDE FDP FDPE FDR FDRE FDRSE
    FDS FDSE FIFO18E1 FIFO18E2 FIFO36E1 FIFO36E2 GND IBUF IBUFDS IBUFDS_GTE2 IBUFDS_GTE4 IBUFG
    IBUFGDS ICAPE2 ICAPE3 IDDR IDDRE1 IDELAYCTRL IDELAYE2 IDELAYE3 INV IOBUF IOBUFDS ISERDESE2
    ISERDESE3 KEEPER LDC LDCE LDPE LOOKAHEAD8 LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT6_2 LUT6CY LUTCY1
    LUTCY2 MMCME2_ADV MMCME2_BASE MMCME3_ADV MMCME3_BASE MMCME4_ADV MMCME4_BASE MULT18X18
    MULT18X18S MULT_AND MUXCY MUXF5 MUXF6 MUXF7 MUXF8 MUXF9 OBUF OBUFDS OBUFT OBUFTDS ODDR
    ODDRE1 ODELAYE2 ODELAYE3 OR2L OSERDESE2 OSERDESE3 PLLE2_ADV PLLE2_BASE PLLE3_ADV PLLE3_BASE
    PLLE4_ADV PLLE4_BASE PS7 PS8 PULLDOWN PULLUP RAM128X1D RAM128X1S RAM16X1D RAM16X1S RAM256X1D
    RAM256X1S RAM32M RAM32M16 RAM32X16DR8 RAM32X1D RAM32X1S RAM512X1S RAM64M RAM64M8 RAM64X1D
    RAM64X1S RAM64X8SW RAMB16BWER RAMB18E1 RAMB18E2 RAMB36E1 RAMB36E2 RAMB8BWER SRL16 SRL16E
    SRLC16E SRLC32E STARTUPE2 STARTUPE3 SYSMONE1 SYSMONE4 URAM288 URAM288_BASE URAM288E5 VCC
    XADC XORCY
    """,
    "Lattice FPGAs": """
    ALU24B ALU54B BB BBPD BBPU CCU2 CCU2B CCU2C CCU2D CLKDIVF DCCA DCSC DCUA DELAYF DELAYG
    DP16KD DPR16X4C DQSBUFM DTR ECLKBRIDGECS ECLKSYNCB EHXPLLJ EHXPLLL EXTREFB FD1P3AX FD1P3AY
    FD1P3BX FD1P3DX FD1P3IX FD1P3JX FD1S3AX FD1S3AY FD1S3BX FD1S3DX FD1S3IX FD1S3JX GSR IB IBPD
    IBPU ICESTORM_LC ICESTORM_RAM IDDRX1F IDDRX2F ILVDS JTAGG L6MUX21 LUT4 LUT5 MULT18X18D
    MULT9X9D MULTADDSUB18X18 MULTADDSUB9X9WIDE OB OBZ ODDRX1F ODDRX2F OLVDS OSCG OSCH OXIDE_COMB
    OXIDE_EBR OXIDE_FF PDPSC16K PDPW16KD PFUMX PUR SB_CARRY SB_DFF SB_DFFE SB_DFFER SB_DFFES
    SB_DFFESR SB_DFFESS SB_DFFN SB_DFFNE SB_DFFNER SB_DFFNES SB_DFFNESR SB_DFFNESS SB_DFFNR
    SB_DFFNS SB_DFFNSR SB_DFFNSS SB_DFFR SB_DFFS SB_DFFSR SB_DFFSS SB_GB SB_GB_IO SB_HFOSC
    SB_I2C SB_IO SB_IO_OD SB_LFOSC SB_LUT4 SB_MAC16 SB_PLL40_2_PAD SB_PLL40_2F_CORE
    SB_PLL40_2F_PAD SB_PLL40_CORE SB_PLL40_PAD SB_RAM40_4K SB_RAM40_4KNR SB_RAM40_4KNRNW
    SB_RAM40_4KNW SB_RGBA_DRV SB_SPI SB_SPRAM256KA SB_WARMBOOT SPR16X4C TRELLIS_COMB
    TRELLIS_DPR16X4 TRELLIS_ECLKBUF TRELLIS_FF TRELLIS_IO TRELLIS_RAMW TRELLIS_SLICE USRMCLK VHI
    VLO WIDEFN9
    """,
    "Intel FPGAs": """
    alt_bidir_buf alt_inbuf alt_iobuf alt_outbuf alt_outbuf_tri altaccumulate altclkctrl
    altddio_bidir altddio_in altddio_out altdpram altera_pll altera_syncram altfp_add_sub
    altfp_mult altmult_accum altmult_add altpll altshift_taps altsyncram carry carry_sum cascade
    clklock dcfifo dff dffe dffea dffeas dlatch exp jkff jkffe latch lcell lpm_abs lpm_add_sub
    lpm_and lpm_bustri lpm_clshift lpm_compare lpm_constant lpm_counter lpm_decode lpm_divide
    lpm_ff lpm_inv lpm_latch lpm_mult lpm_mux lpm_or lpm_ram_dp lpm_ram_dq lpm_ram_io lpm_rom
    lpm_shiftreg lpm_xor MISTRAL_ALUT2 MISTRAL_ALUT3 MISTRAL_ALUT4 MISTRAL_ALUT5 MISTRAL_ALUT6
    MISTRAL_ALUT_ARITH MISTRAL_CLKBUF MISTRAL_FF MISTRAL_IB MISTRAL_IO MISTRAL_M10K MISTRAL_MLAB
    MISTRAL_MUL18X18 MISTRAL_MUL27X27 MISTRAL_MUL9X9 MISTRAL_NOT MISTRAL_OB opndrn row_global
    scfifo srff srffe tff tffe
    """,
    "Gowin FPGAs": """
    ALU ALU54D BUFG CLKDIV CLKDIV2 DCS DFF DFFC DFFCE DFFE DFFN DFFNC DFFNCE DFFNE DFFNP DFFNPE
    DFFNR DFFNRE DFFNS DFFNSE DFFP DFFPE DFFR DFFRE DFFS DFFSE DHCEN DL DLC DLCE DLE DLLDLY DLN
    DLP DPB DPX9B DQCE ELVDS_IBUF ELVDS_IOBUF ELVDS_OBUF ELVDS_TBUF GND GSR IBUF IDDR IDDRC
    IDES10 IDES4 IDES8 INV IOBUF IODELAY IVIDEO LUT1 LUT2 LUT3 LUT4 LUT5 LUT6 LUT7 LUT8
    MULT18X18 MULT27X36 MULT36X36 MULT9X9 MULTADDALU18X18 MULTALU18X18 MULTALU36X18 MUX2
    MUX2_LUT5 MUX2_LUT6 MUX2_LUT7 MUX2_LUT8 OBUF ODDR ODDRC OSC OSCH OSCO OSCZ OSER10 OSER4
    OSER8 OVIDEO PADD18 PADD9 PLLA PLLVR pROM pROMX9 RAM16S1 RAM16S2 RAM16S4 RAM16SDP1 RAM16SDP2
    RAM16SDP4 ROM16 rPLL SDPB SDPX9B SP SPX9 TBUF TLVDS_IBUF TLVDS_IOBUF TLVDS_OBUF TLVDS_TBUF
    VCC
    """,
    "Efinix FPGAs": """
    EFX_ADD EFX_COMB4 EFX_DPRAM10 EFX_DPRAM_5K EFX_DSP12 EFX_DSP24 EFX_DSP48 EFX_FF EFX_GBUFCE
    EFX_LUT4 EFX_MULT EFX_RAM10 EFX_RAM_5K EFX_SRL8
    """,
    "Microchip FPGAs": """
    ARI1 ARI1_CC CFG1 CFG2 CFG3 CFG4 CLKBUF CLKINT INBUF MACC MACC_PA OUTBUF RAM1K18 RAM1K20
    RAM64x12 RAM64x18 RCLKINT SLE TRIBUFF
    """,
}
"""Primitives of FPGAs by their maker, common ones at each; Verilog tells upper case from lower."""
_MAKERS = {name: maker for maker, names in reversed(PRIMITIVES.items()) for name in _words(names)}


def reserved(name: str) -> str | None:
    """What else ``name`` means to a tool; None if it can name a module."""
    if name in KEYWORDS:
        return "a keyword of Verilog"
    if name in SYSTEM_VERILOG:
        return "a name that every SystemVerilog design has already"
    if name.lower() in VHDL:
        return "a word of VHDL"
    return f"a primitive of {_MAKERS[name]}" if name in _MAKERS else None
