"""Loggers: tables, frames, TensorBoard and what stands in for it."""

import math

import pytest
import torch
from restarts import Stop, make

import torchmag as tm
from torchmag.loggers import Frames, ScalarTable, Summary, Table, picture, summarize
from torchmag.loggers.pictures import card, map_picture, with_wheel
from torchmag.loggers.values import columns


class Writer:
    """What a SummaryWriter gets."""

    def __init__(self):
        self.scalars, self.images, self.histograms = {}, {}, {}

    def add_scalar(self, tag, value, step):
        self.scalars[tag, step] = float(value)

    def add_image(self, tag, image, step):
        self.images[tag, step] = image

    def add_histogram(self, tag, values, step):
        self.histograms[tag, step] = values


def test_columns():
    values = {"m": torch.tensor([[1.0, 2, 3], [4, 5, 6]]), "E": torch.tensor([7.0, 8]), "H": torch.tensor([1, 2, 3]), "q": 0.5}
    found = columns(values)
    assert list(found) == ["m_0x", "m_0y", "m_0z", "m_1x", "m_1y", "m_1z", "E_0", "E_1", "Hx", "Hy", "Hz", "q"]
    assert found["m_1y"] == 5 and found["E_1"] == 8 and found["q"] == 0.5


def test_a_table_holds_the_quantities(tmp_path):
    llg, m0 = make()
    sim = tm.Simulation(llg, m0, quantities={"m": lambda m: tm.average(m, llg.magnet), "E": llg.energy.energy})
    sim.log(Table(tmp_path / "table.csv", {"E": "J"}), every=1e-12)
    sim.run(3e-12)
    sim.close()
    table = tm.io.read_table(tmp_path / "table.csv")
    assert table.units == {"t": "s", "mx": "", "my": "", "mz": "", "E": "J"} and len(table) == 4
    assert table["E"][-1] == float(llg.energy.energy(sim.m, 3e-12))
    assert [table[f"m{axis}"][-1] for axis in "xyz"] == tm.average(sim.m, llg.magnet).tolist()
    with pytest.raises(FileExistsError, match="overwrite=True"):
        again = tm.Simulation(llg, m0)
        again.log(Table(tmp_path / "table.csv"), every=1e-12)
        again.run(1e-12)


def test_a_refused_logger_leaves_no_checkpoint(tmp_path):
    (tmp_path / "table.csv").write_text("mine")
    sim = tm.Simulation(*make(), tmp_path / "run")
    sim.log(Table(tmp_path / "table.csv"), every=1e-12)
    with pytest.raises(FileExistsError):
        sim.run(1e-12)
    assert not list((tmp_path / "run").iterdir()) and (tmp_path / "table.csv").read_text() == "mine"
    other = tm.Simulation(*make(), tmp_path / "run")
    assert other.run(1e-12).t == 1e-12


def test_files_go_on_where_the_checkpoint_was(tmp_path):
    def simulation(name, resume):
        llg, m0 = make()
        (tmp_path / name).mkdir(exist_ok=True)
        sim = tm.Simulation(llg, m0, tmp_path / name, resume=resume, quantities={"E": llg.energy.energy})
        sim.log(Table(tmp_path / name / "table.csv"), every=0.5e-12)
        sim.log(Frames(tmp_path / name / "m.vtkhdf", llg.magnet, {"E": "J"}), every=1e-12)
        return sim

    sim = simulation("parts", False)

    def crash(t, dt, m):
        if t > 2e-12 and not (tmp_path / "parts" / "checkpoint.previous").exists():
            sim.save()
        if t > 4e-12:
            raise Stop

    with pytest.raises(Stop):
        sim.run(6e-12, callback=crash)
    sim.close()
    written = len(tm.io.read_table(tmp_path / "parts" / "table.csv"))
    sim = simulation("parts", True)
    sim.run(6e-12)
    sim.close()
    whole = simulation("whole", False)
    whole.run(6e-12)
    whole.close()
    assert written > 6 and torch.equal(sim.m, whole.m)
    assert (tmp_path / "parts" / "table.csv").read_bytes() == (tmp_path / "whole" / "table.csv").read_bytes()
    with tm.io.Trajectory.open(tmp_path / "parts" / "m.vtkhdf") as a, tm.io.Trajectory.open(tmp_path / "whole" / "m.vtkhdf") as b:
        assert len(a) == 7 and torch.equal(a[:], b[:]) and torch.equal(a.scalars["E"], b.scalars["E"])


def test_frames_need_their_scalars(tmp_path):
    sim = tm.Simulation(*make())
    sim.log(Frames(tmp_path / "m.vtkhdf", sim.llg.magnet, {"E": "J"}), every=1e-12)
    with pytest.raises(TypeError, match="no quantity E; the simulation has m"):
        sim.run(1e-12)


def test_pictures_have_the_usual_colours():
    mesh = tm.Mesh((3, 2), (5e-9, 5e-9, 3e-9))
    colours = {
        (0, 0, 1): (1, 1, 1), (0, 0, -1): (0, 0, 0), (1, 0, 0): (1, 0, 0), (-1, 0, 0): (0, 1, 1),
        (0.5, math.sqrt(0.75), 0): (1, 1, 0), (-0.5, math.sqrt(0.75), 0): (0, 1, 0), (-0.5, -math.sqrt(0.75), 0): (0, 0, 1),
    }  # fmt: skip
    for vector, colour in colours.items():
        image = picture(tm.uniform(mesh, vector), mesh)
        assert image.shape == (3, 3, 4)
        torch.testing.assert_close(
            image, torch.tensor(colour, dtype=image.dtype).reshape(3, 1, 1).expand(3, 3, 4), atol=1e-6, rtol=0
        )
    # y upwards: the first row of a picture is the largest y; vacuum is grey.
    m = tm.uniform(mesh, (0, 0, -1))
    m[:, :, -1] = torch.tensor([0.0, 0, 1])[:, None]
    image = picture(m, mesh)
    assert bool((image[:, 0] == 1).all()) and not image[:, 1:].any()
    assert float(picture(torch.zeros_like(m), mesh).unique()) == 0.5
    with pytest.raises(ValueError, match="one sample of a batch"):
        picture(m[None], mesh)
    cube = tm.Mesh((2, 2, 2), (5e-9,) * 3)
    assert picture(tm.uniform(cube, (0, 0, 1)), cube).shape == (3, 3, 3)


def test_maps_are_grey():
    image = map_picture(torch.tensor([[1.0, 2.0], [3.0, 5.0]]))
    assert image.tolist() == [[[0.25, 1.0], [0.0, 0.5]]]
    assert map_picture(torch.ones(3)) is None and map_picture(torch.full((2, 2), math.nan)) is None
    assert not map_picture(torch.ones(2, 2, 3)).any()


def test_cards_have_square_pixels_and_a_wheel():
    mesh = tm.Mesh((4, 2), (10e-9, 5e-9, 3e-9))
    grey = map_picture(torch.arange(8.0).reshape(4, 2), mesh)
    image = card(grey, mesh)
    assert image.shape == (1, 96, 384) and torch.equal(image[:, ::48, ::96], grey)
    batch = torch.stack((torch.arange(8.0).reshape(4, 2), torch.zeros(4, 2)))
    assert torch.equal(map_picture(batch, mesh), grey)
    large = torch.rand(1, 10, 3000)
    assert card(large).shape == (1, 5, 1536)
    # Beside a strip lower than the wheel, white; +x right, +y up, +z in the middle.
    whole = with_wheel(torch.zeros(3, 10, 50), size=71, gap=4)
    assert whole.shape == (3, 71, 125) and bool((whole[:, 10:, :50] == 1).all()) and not whole[:, :10, :50].any()
    wheel = whole[:, :, 54:]
    torch.testing.assert_close(wheel[:, 35, 70], torch.tensor([1.0, 0, 0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(wheel[:, 0, 35], torch.tensor([0.5, 1, 0]), rtol=0, atol=1e-12)
    torch.testing.assert_close(wheel[:, 35, 35], torch.ones(3), rtol=0, atol=1e-12)


def test_a_summary_of_a_simulation():
    writer, (llg, m0) = Writer(), make()
    sim = tm.Simulation(llg, m0)
    sim.log(Summary(writer, llg.mesh, pictures=2, units={"m": (1e-3, "permille")}), every=1e-12)
    sim.run(3e-12)
    tags = {tag for tag, _ in writer.scalars}
    assert tags == {"quantities/t_ns"} | {f"quantities/m{axis}_permille" for axis in "xyz"}
    assert writer.scalars["quantities/t_ns", 3] == pytest.approx(3e-3)
    mean = 1e3 * tm.average(m0, llg.magnet)[0]
    assert writer.scalars["quantities/mx_permille", 0] == pytest.approx(float(mean))
    assert set(writer.images) == {("pictures/m", 0), ("pictures/m", 2)}
    for unit in ("aJ", (0, "aJ"), (1e-18, 1)):
        with pytest.raises(ValueError, match=r"Summary: units\['E'\]"):
            Summary(writer, units={"E": unit})
    with pytest.raises(TypeError, match="add_scalar, add_image, add_histogram"):
        Summary(print)


def test_a_summary_of_a_training_loop():
    mesh = tm.Mesh((4, 3), (5e-9, 5e-9, 3e-9))
    film = tm.Magnet(mesh, 8e5)
    energy = tm.Exchange(film, torch.nn.Parameter(torch.tensor(1e-11)))
    energy = energy + tm.UniaxialAnisotropy(film, torch.nn.Parameter(torch.rand(4, 3)), (0, 0, 1))
    m = tm.random(mesh, seed=1)
    loss = energy.energy(m) * 1e20
    loss.backward()
    writer = Writer()
    summarize(writer, 7, energy, m=m, mesh=mesh, loss=loss)
    Ku = "uniaxial_anisotropy.Ku"
    assert writer.scalars["loss", 7] == float(loss.detach()) and writer.scalars["parameter/exchange.A", 7] == 1e-11
    assert writer.scalars[f"gradient_norm/{Ku}", 7] == float(energy.uniaxial_anisotropy.Ku.grad.norm())
    assert writer.scalars["gradient/exchange.A", 7] == float(energy.exchange.A.grad)
    assert set(writer.histograms) == {(f"parameter/{Ku}", 7), (f"gradient/{Ku}", 7)}
    assert set(writer.images) == {("pictures/m", 7), (f"pictures/parameter/{Ku}", 7), (f"pictures/gradient/{Ku}", 7)}
    # A tag of one kind shows; TensorBoard drops the others that share it.
    kinds = [{tag for tag, _ in entries} for entries in (writer.scalars, writer.histograms, writer.images)]
    assert not kinds[0] & kinds[1] and not kinds[0] & kinds[2] and not kinds[1] & kinds[2]
    assert writer.images[f"pictures/parameter/{Ku}", 7].shape == (1, 288, 384)
    assert writer.images["pictures/m", 7].shape == (3, 307, 384 + 8 + 72)
    with pytest.raises(TypeError, match="without its mesh"):
        summarize(writer, 8, m=m)


def test_a_table_of_scalars_goes_on(tmp_path):
    table = ScalarTable(tmp_path / "s.csv")
    for step in range(3):
        summarize(table, step, loss=step + 0.1)
        table.add_histogram("h", torch.tensor([1.0, 3.0]), step)
    state = table.state_dict()
    table.add_scalar("loss", 9.0, 9)
    table.close()
    with open(tmp_path / "s.csv", "a") as file:
        file.write("4,los")
    table = ScalarTable(tmp_path / "s.csv")
    table.load_state_dict(state)
    table.add_scalar("loss", 0.3, 3)
    table.close()
    lines = (tmp_path / "s.csv").read_text().split("\n")
    assert lines[:6] == ["step,tag,value", "0,loss,0.1", "0,h/mean,2.0", "0,h/std,1.0", "0,h/min,1.0", "0,h/max,3.0"]
    assert lines[-2:] == ["3,loss,0.3", ""] and len(lines) == 18
    with pytest.raises(ValueError, match="without commas"):
        ScalarTable(tmp_path / "t.csv").add_scalar("a,b", 1.0)
    (tmp_path / "other.csv").write_text("something else\n")
    with pytest.raises(ValueError, match="begins with"):
        ScalarTable(tmp_path / "other.csv")
    with pytest.raises(ValueError, match="the checkpoint knows of"):
        ScalarTable(tmp_path / "t2.csv").load_state_dict({"bytes": 1000})


def test_tensorboard_reads_what_is_written(tmp_path):
    board = pytest.importorskip("torch.utils.tensorboard")
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    llg, m0 = make()
    sim = tm.Simulation(llg, m0)
    sim.log(Summary(board.SummaryWriter(str(tmp_path)), llg.mesh), every=1e-12)
    sim.run(3e-12)
    sim.close()
    found = accumulator.EventAccumulator(str(tmp_path))
    found.Reload()
    assert [event.step for event in found.Scalars("quantities/mx")] == [0, 1, 2, 3] and found.Tags()["images"] == ["pictures/m"]
