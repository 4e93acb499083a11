"""The moving window: m, body and regions move by whole cells, the sample's coordinates with them."""

import torch

from torchmag.mx3.values import Vector


class Window:
    """What comes in at the ends, and what is followed.

    Attributes:
        edges: what comes in from the left, right, bottom and top; zero: the end's own m once more.
        move_m, move_body, move_regions: what a shift moves.
        carry_edge: the end's own m comes in, and `edges` only where it was empty.
    """

    def __init__(self, world):
        self.world = world
        self.edges = {side: Vector(0.0, 0.0, 0.0) for side in "LRDU"}
        self.move_m = self.move_body = self.move_regions = True
        self.carry_edge = False
        self.last_shift, self.last_time, self.speed = 0.0, 0.0, 0.0

    def shift(self, cells: int, axis: int = 0) -> None:
        """Move what is in the window by cells; positive: to the right, or up."""
        world, grid = self.world, self.world.grid
        if abs(cells) >= grid.n[axis]:
            raise ValueError(f"a shift by {cells} cells, but there are {grid.n[axis]}")
        if not cells:
            return
        m, nodes = world.m.cells(), world.m.at_nodes()
        was_body = world.geometry.fill > 0
        before = (world.geometry.fill, world.regions.ids)
        grid.shift[axis] += cells * grid.size[axis]
        if self.move_body:
            world.geometry.renew()
        if self.move_regions:
            world.regions.renew()
        if any(not torch.equal(a, b) for a, b in zip(before, (world.geometry.fill, world.regions.ids))):
            world.changed("body")
        if world.parameters["b_ext"].masks:
            world.changed("terms")
        if self.move_m:
            side = self.edges[("LR" if axis == 0 else "DU")[cells < 0]]
            world.m.put(self._moved(m, cells, axis, side, was_body), self._moved(nodes, cells, axis, side, None))
        for function in world.when_shifted:
            function(cells, axis)

    def _moved(self, m, cells, axis, side, body):
        where, n = axis + 1, m.shape[axis + 1]
        moved = m.roll(cells, where)
        end = m.narrow(where, 0 if cells > 0 else n - 1, 1)
        fill = torch.tensor(side.xyz).to(m).reshape(3, 1, 1, 1)
        given = bool(fill.any())
        if self.carry_edge and given and body is not None:
            inside = body.narrow(axis, 0 if cells > 0 else n - 1, 1)
            coming = torch.where(inside, end, fill.expand_as(end))
        else:
            coming = fill.expand_as(end) if given and not self.carry_edge else end
        moved.narrow(where, 0 if cells > 0 else n - abs(cells), abs(cells)).copy_(coming)
        return moved

    def follow(self, component: int, mean) -> None:
        """Keep a component of m close to zero, by whole cells after each step; `mean()` gives it."""
        self.world.post_steps.append(lambda: self._center(component, mean))

    def _center(self, component, mean):
        """Whether it moved: beyond the change that two cells make."""
        world = self.world
        left, right = self.edges["L"], self.edges["R"]
        if not any(left.xyz) or not any(right.xyz):
            _, ny, nz = world.grid.n
            sign = 1.0 if float(world.m.values()[component, 0, ny // 2, nz // 2]) > 0 else -1.0
            for side, value in (("L", sign), ("R", -sign)):
                self.edges[side] = Vector(*(value if i == component else x for i, x in enumerate(self.edges[side].xyz)))
        sign = 1 if self.edges["L"][component] > 0 else -1
        value = mean()
        if abs(value) <= 4 / world.grid.n[0]:
            return False
        self.shift(sign if value < 0 else -sign)
        return True

    def position(self, axis: int = 0) -> float:
        """Of the window in the sample, m."""
        return -self.world.grid.shift[axis]

    def velocity(self) -> float:
        """Of the window, m/s: since it last moved."""
        now, t = self.position(), self.world.t
        if now != self.last_shift:
            self.speed = (now - self.last_shift) / (t - self.last_time) if t > self.last_time else 0.0
            self.last_shift, self.last_time = now, t
        return self.speed
