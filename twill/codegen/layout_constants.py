"""Register layouts as module constants of the emitted file: their names and their definitions."""

from __future__ import annotations

from twill.codegen.layouts import Blocked, Copied, Layout, Mma, Operand, Slice


class LayoutConstants:
    """The layouts that were named so far, each with its constant."""

    def __init__(self) -> None:
        self.names: dict[Layout, str] = {}

    def name(self, layout: Layout) -> str:
        """The module constant that holds a layout; what it is derived from gets one first."""
        if layout not in self.names:
            self.names[layout] = self._name(layout)
        return self.names[layout]

    def definitions(self) -> list[str]:
        """Module-level definitions of every layout that was named, each after what it refers to."""
        return [f"{name}: gl.constexpr = gl.constexpr({self._value(layout)})" for layout, name in self.names.items()]

    def _name(self, layout: Layout) -> str:
        if isinstance(layout, Mma):
            deep = "" if layout.k == 16 else f"_K{layout.k}"
            wide = "" if layout.across == 1 else f"x{layout.across}"
            return f"MMA_{layout.n}{wide}{deep}" + ("" if layout.warps == 4 else f"_W{layout.warps}")
        if isinstance(layout, Slice):
            kind = {0: "COLUMNS", 1: "ROWS"}.get(layout.axis, f"AXIS{layout.axis}")
            return f"{kind}_OF_{self.name(layout.parent)}"
        if isinstance(layout, Operand):
            return f"LEFT_OF_{self.name(layout.parent)}" + ("" if layout.k_width == 2 else f"_K{layout.k_width}")
        kind = "COPIED_" if isinstance(layout, Copied) else "BLOCKED_"
        return kind + "x".join(map(str, layout.shape)) + ("" if layout.warps == 4 else f"_W{layout.warps}")

    def _value(self, layout: Layout) -> str:
        if isinstance(layout, Mma):
            warps = [layout.warps // layout.across, layout.across]
            return (
                f"gl.NVMMADistributedLayout(version=[3, 0], warps_per_cta={warps}, "
                f"instr_shape=[16, {layout.n}, {layout.k}])"
            )
        if isinstance(layout, Slice):
            return f"gl.SliceLayout({layout.axis}, {self.name(layout.parent)}.value)"
        if isinstance(layout, Operand):
            return f"gl.DotOperandLayout(0, {self.name(layout.parent)}.value, {layout.k_width})"
        return _copied(layout) if isinstance(layout, Copied) else _blocked(layout)


def _copied(layout: Copied) -> str:
    """One vector a lane, as many lanes along a row as it has vectors."""
    across = min(32, layout.shape[1] // layout.elements)
    return (
        f"gl.BlockedLayout(size_per_thread=[1, {layout.elements}], threads_per_warp=[{32 // across}, {across}], "
        f"warps_per_cta=[{layout.warps}, 1], order=[1, 0])"
    )


def _blocked(layout: Blocked) -> str:
    """Vectors of up to 8 contiguous elements, lanes along the last dimension first, warps along rows."""
    rank = len(layout.shape)
    per_thread, lanes = [1] * rank, [1] * rank
    left, size = 32, layout.shape
    per_thread[-1] = max(1, min(8, size[-1] // 32))
    for axis in reversed(range(rank)):
        lanes[axis] = max(1, min(left, size[axis] // per_thread[axis]))
        left //= lanes[axis]
    lanes[0] *= left
    warps = [1] * rank
    warps[0] = layout.warps
    order = list(reversed(range(rank)))
    return (
        f"gl.BlockedLayout(size_per_thread={per_thread}, threads_per_warp={lanes}, warps_per_cta={warps}, "
        f"order={order})"
    )
