"""The roles of a warp-specialized kernel in a listing made up in nvdisasm's form."""

import pytest

from twill.codegen.disassembly import roles_of


def listing(lines):
    """Lines of `(text, live)`, a label being a text that starts with a dot."""
    out, at = ['\t.headerflags\t@"x"', ".text.kernel:                     // |       |"], 0
    for line in lines:
        text, live = line if isinstance(line, tuple) else (line, "")
        if text.startswith("."):
            out.append(f"{text}:      // |  {live}  |   |")
            continue
        out.append(f"        /*{at:04x}*/        {text} ;      // |  {live}  |   2   |")
        at += 16
    return "\n".join(out)


KERNEL = [
    ("LDC R1, c[0x0][0x28]", 1),
    ("@!P0 BRA `(.L_x_0)", 1),
    ".L_x_1",
    ("USETMAXREG.DEALLOC.CTAPOOL 0x78", 2),
    ("@P0 BRA `(.L_x_1)", 2),
    ("BRX R2 -0x180                     (*\"BRANCH_TARGETS .L_x_2,.L_x_3,.L_x_9\"*)", 3),
    ".L_x_2",  # the first worker: a loop with a wgmma, a wait of its own at the end of the kernel
    ("USETMAXREG.TRY_ALLOC.CTAPOOL UP0, 0xf0", 4),
    (".L_x_4", ""),
    ("@!P1 BRA `(.L_x_5)", 90),
    ".L_x_6",
    ("HGMMA.64x64x16.F32 R88, R24, gdesc[UR16].tnspB, R88, gsb0", 100),
    ("STL.64 [R1+0x8], R2", 99),
    ("@P1 BRA `(.L_x_4)", 80),
    ("LDL R7, [R1]", 150),
    ("CALL.REL.NOINC `(.L_x_8)", 70),
    ("BRA `(.L_x_1)", 3),
    ".L_x_3",  # the second worker loads
    ("USETMAXREG.DEALLOC.CTAPOOL 0x18", 2),
    ("CALL.REL.NOINC `(.L_x_8)", 5),
    ("BRA `(.L_x_1)", 2),
    ".L_x_0",  # the first warps
    ("USETMAXREG.DEALLOC.CTAPOOL 0xe0", 2),
    ("FADD R41, R40, R41", 41),
    ".L_x_9",
    ("EXIT", ""),
    ".L_x_5",
    ("SYNCS.PHASECHK.TRANS64.TRYWAIT P1, [R199], R2", 120),
    ("BRA `(.L_x_6)", 90),
    ".L_x_8",
    ("MUFU.RCP R250, R250", 200),
    ("RET.REL.NODEC R4 `(kernel)", 9),
]  # fmt: skip


def test_each_role_has_its_own_code_in_order():
    first, worker, loader = roles_of(listing(KERNEL))
    assert (first.quotas, worker.quotas, loader.quotas) == ((0xE0,), (0xF0,), (0x18,))
    assert (first.live, worker.live, loader.live) == (41, 150, 5)


def test_loops_with_a_wgmma_include_waits_placed_elsewhere():
    first, worker, loader = roles_of(listing(KERNEL))
    assert worker.live_in_loop == 120  # the wait at the end of the kernel, not the 150 after the loop
    assert (first.live_in_loop, loader.live_in_loop) == (0, 0)


def test_spills_are_counted_by_role_and_width():
    assert [role.spill_bytes for role in roles_of(listing(KERNEL))] == [0, 12, 0]


def test_what_several_roles_share_is_none_of_theirs():
    assert max(role.highest for role in roles_of(listing(KERNEL))) == 200  # R199, not the subroutine's R250


def test_the_accumulator_of_a_wgmma_counts_with_its_width():
    alone = [("HGMMA.64x128x16.F32 R24, gdesc[UR20], RZ, !UPT", 64)]
    _, worker, _ = roles_of(listing([*KERNEL[:6], *KERNEL[6:9], *alone, *KERNEL[9:26], *KERNEL[27:]]))
    assert worker.highest == 88 + 32  # a 64 x 64 accumulator is wider to reach than 24 + 64


def test_a_kernel_without_roles_has_none():
    assert roles_of(listing([("LDC R1, c[0x0][0x28]", 1), ("EXIT", "")])) == ()
    assert roles_of("") == ()


@pytest.mark.parametrize(("opcode", "size"), [
    ("STL [R1], R2", 4), ("STL.128 [R1], R4", 16), ("LDL.64 R4, [R1]", 8), ("LDL.LU R4, [R1]", 4),
    ("STL.U8 [R1], R4", 1), ("LDS R4, [R1]", 0), ("STG.E R4, [R1]", 0),
])  # fmt: skip
def test_bytes_of_local_memory(opcode, size):
    lines = [(opcode, 1) if text == "STL.64 [R1+0x8], R2" else (text, live)
             for text, live in (line if isinstance(line, tuple) else (line, "") for line in KERNEL)
             if text != "LDL R7, [R1]"]  # fmt: skip
    assert roles_of(listing(lines))[1].spill_bytes == size


def test_a_loop_over_tiles_around_the_loop_with_a_wgmma_is_not_it():
    again = KERNEL.index(("LDL R7, [R1]", 150)) + 1
    tiles = [*KERNEL[:again], ("@P3 BRA `(.L_x_2)", 150), *KERNEL[again:]]
    _, worker, _ = roles_of(listing(tiles))
    assert (worker.live, worker.live_in_loop) == (150, 120)


@pytest.mark.parametrize("opcode", ["QGMMA.64x64x32.F32.E4M3.E4M3", "IGMMA.64x64x32.S8.S8"])
def test_wgmma_of_bytes_is_one_too(opcode):
    code = [(line[0].replace("HGMMA.64x64x16.F32", opcode), line[1]) if len(line) == 2 else line for line in KERNEL]
    assert [role.live_in_loop for role in roles_of(listing(code))] == [
        role.live_in_loop for role in roles_of(listing(KERNEL))
    ]
